"""Where secrets may be seen: files, processes, logs."""
import os
import pathlib
import stat

import psutil

_PRIVATE_KEY = b'PRIVATE KEY-----'
_LOG_LIMIT = 8 << 20


def secrets_of(tree):
  """Return {what: text} of all secrets that `tree` has."""
  found = {}
  for key, value in tree.root.parameters.items():
    if key.endswith('-password'):
      found[key] = value
  for title, node in tree.nodes().items():
    path = node.path / 'etc/resilient-secret'
    if path.exists():
      found['secret of ' + title] = node.secret()
  return found


def world_readable(tree):
  """Return sentences on the files with a secret that other users of the
  computer can read."""
  secrets = [text.encode() for text in secrets_of(tree).values()]
  found = []
  for folder, names, files in os.walk(tree.instance_root):
    # What nobody else may enter hides all that is in it.
    names[:] = [name for name in names
                if _others(folder, name) & stat.S_IXOTH]
    for name in files:
      if not _others(folder, name) & stat.S_IROTH:
        continue
      data = pathlib.Path(folder, name).read_bytes()
      if _PRIVATE_KEY in data or any(secret in data for secret in secrets):
        found.append('%s/%s can be read by everybody' % (folder, name))
  return found


def _others(folder, name):
  """Return the mode of a name, 0 for what is no file or directory."""
  status = os.lstat(os.path.join(folder, name))
  regular = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
  return status.st_mode if regular else 0


def loose_keys(tree):
  """Return sentences on the files that are made for a secret, and that others
  than their owner may read or write."""
  found = []
  for node in tree.nodes().values():
    for pattern in ('etc/resilient-secret', 'etc/resilient.json',
                    'etc/ssh/*_key', 'etc/takeover-certificate/*'):
      for path in node.path.glob(pattern):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
          found.append('%s has mode %o' % (path, mode))
  return found


def in_processes(tree):
  """Return sentences on the processes that show a secret in their command
  line, or pass one on in their environment."""
  secrets, found = secrets_of(tree), []
  for process in psutil.process_iter():
    try:
      shown = '\0'.join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
      continue
    found += ['process %d, %s, shows the %s' % (
      process.pid, process.name(), what)
      for what, text in secrets.items() if text in shown]
  return found


def in_logs(tree):
  """Return sentences on the logs with a secret in them: those of the services,
  of supervisor, and of the node."""
  secrets, found = secrets_of(tree), []
  root = pathlib.Path(tree.instance_root)
  for path in [*root.glob('*/var/log/**/*'), *root.glob('*/.*.log'),
               *root.glob('var/log/*'), *root.parent.glob('var/log/*')]:
    if not path.is_file():
      continue
    with path.open('rb') as source:
      data = source.read(_LOG_LIMIT)
    found += ['%s has the %s' % (path, what)
              for what, text in secrets.items() if text.encode() in data]
    if _PRIVATE_KEY in data:
      found.append('%s has a private key' % path)
  return found


def leaks(tree):
  """Return sentences on all secrets of `tree` that others may see."""
  return [*world_readable(tree), *loose_keys(tree), *in_processes(tree),
          *in_logs(tree)]
