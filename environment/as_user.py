"""Make a target as an ordinary user although root asked for it.

Installs the Debian packages, makes the user ``resilient``, gives it a copy of
the project in its home folder, and becomes ``make TARGET`` there: exit status,
signals and terminal are those of make.

  python3 environment/as_user.py TARGET [VARIABLE=VALUE…]
"""
import hashlib
import os
import pathlib
import pwd
import subprocess
import sys

import machine
import packages
from progress import Failure, say

USER = 'resilient'
LOG = pathlib.Path('/var/log/resilient-environment.log')
PROJECT = pathlib.Path(__file__).resolve().parent.parent
# In the copy: the names of all that came from here, to know what is gone.
MANIFEST = '.copied'
PIP_CONFIGURATION = '.pip.conf'
KEPT = {
  'PATH', 'TERM', 'COLUMNS', 'TZ', 'CI', 'LANG', 'LANGUAGE', 'http_proxy',
  'https_proxy', 'no_proxy', 'all_proxy', 'SSL_CERT_FILE', 'SSL_CERT_DIR',
  'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE',
}
KEPT |= {name.upper() for name in KEPT}
KEPT_PREFIXES = ('LC_', 'PIP_', 'RESILIENT_')


def main(arguments):
  """Become make for a target and variables; return a status if that fails."""
  try:
    target = arguments[0]
    if target in ('stop', 'clean') and not known_copy().exists():
      say('nothing was started from %s' % PROJECT)
      return 0
    prepare_machine()
    user = ordinary_user()
    # All that root may read and the user may not is read before it is root
    # no more; what is written then cannot go where the user could not write.
    environ = clean_environment(user)
    content = project_content()
    in_place = PROJECT.stat().st_uid == user.pw_uid
    become(user)
    folder = PROJECT
    if not in_place:
      folder = copy_of_project(user)
      write_copy(folder, content)
    if (folder / PIP_CONFIGURATION).exists():
      environ.setdefault('PIP_CONFIG_FILE', str(folder / PIP_CONFIGURATION))
    say('going on as user %s in %s' % (user.pw_name, folder))
    sys.stdout.flush()
    os.chdir(folder)
    os.execvpe('make', ['make', *arguments], environ)
  except (Failure, OSError, subprocess.CalledProcessError) as failure:
    print('environment: %s' % failure, file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('environment: interrupted', file=sys.stderr)
    return 130


def prepare_machine():
  """Do what only root can do.  Raise Failure if the machine will not do."""
  machine.check_python()
  machine.check_loopback()
  machine.check_shared_memory()
  missing = packages.missing()
  if missing:
    packages.install(missing, LOG, packages.root_command())


def ordinary_user():
  """Return the user that runs the node, and make it if there is none.

  Raise Failure if the user of that name is root, CalledProcessError if it
  cannot be made.
  """
  try:
    user = pwd.getpwnam(USER)
  except KeyError:
    say('making the user %s' % USER)
    subprocess.run(['useradd', '--system', '--create-home',
                    '--shell', '/bin/bash', USER], check=True)
    user = pwd.getpwnam(USER)
  if user.pw_uid == 0:
    raise Failure('the user %s is root: a node needs an ordinary user' % USER)
  return user


def known_copy():
  """Return the path of the copy; a path that does not exist without user."""
  try:
    return copy_of_project(pwd.getpwnam(USER))
  except KeyError:
    return pathlib.Path('/nonexistent')


def copy_of_project(user):
  """Return the folder of the user that holds the copy of this project."""
  mark = hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:8]
  return pathlib.Path(user.pw_dir, '%s-%s' % (PROJECT.name, mark))


def clean_environment(user):
  """Return the environment variables for the user's make."""
  environ = {name: value for name, value in os.environ.items()
             if name in KEPT or name.startswith(KEPT_PREFIXES)}
  environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name,
                 SHELL=user.pw_shell)
  environ.setdefault('PATH', os.defpath)
  return environ


def project_content():
  """Return the project's files: name → (permissions, content).

  Those that git knows or would add; all of them if this is no clone of git.
  The content of a symbolic link is its target, with None for permissions.
  """
  git = ['git', '-c', 'safe.directory=%s' % PROJECT, '-C', str(PROJECT),
         'ls-files', '-z', '--cached', '--others', '--exclude-standard']
  names = subprocess.run(git, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
  names = os.fsdecode(names).split('\0')
  if 'Makefile' not in names:
    names = [str(path.relative_to(PROJECT)) for path in PROJECT.rglob('*')
             if not {'.git', '.node', '__pycache__'} & set(
               path.relative_to(PROJECT).parts)]
  content = {}
  for name in names:
    path = PROJECT / name
    if path.is_symlink():
      content[name] = None, os.fsencode(os.readlink(path))
    elif path.is_file():
      content[name] = path.stat().st_mode & 0o777, path.read_bytes()
  for path in ('~/.config/pip/pip.conf', '~/.pip/pip.conf'):
    configuration = pathlib.Path(path).expanduser()
    if configuration.is_file():
      content[PIP_CONFIGURATION] = 0o600, configuration.read_bytes()
      break
  return content


def become(user):
  """Be this user from now on, with nothing left of root."""
  os.umask(0o022)
  os.initgroups(user.pw_name, user.pw_gid)
  os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
  os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def write_copy(folder, content):
  """Bring a folder up to date; what did not come from the project stays."""
  folder.mkdir(exist_ok=True)
  manifest = folder / MANIFEST
  if manifest.exists():
    for name in set(manifest.read_text().split('\0')) - {'', *content}:
      (folder / name).unlink(missing_ok=True)
  manifest.write_text('\0'.join(content))
  for name, (permissions, data) in content.items():
    path = folder / name
    if present(path) == (permissions, data):
      continue
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + '.new')
    new.unlink(missing_ok=True)
    if permissions is None:
      new.symlink_to(os.fsdecode(data))
    else:
      new.touch(0o600)
      new.write_bytes(data)
      new.chmod(permissions | 0o600)
    new.rename(path)


def present(path):
  """Return (permissions, content) of a file as it is, None if there is none."""
  if path.is_symlink():
    return None, os.fsencode(os.readlink(path))
  if path.is_file():
    return path.stat().st_mode & 0o777, path.read_bytes()
  return None


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
