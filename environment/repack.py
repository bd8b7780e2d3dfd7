"""Add the buildout dialect of ``dialect/`` to a stock zc.buildout wheel.

Nothing of zc.buildout is held here and no line of it is changed: the modules
of ``dialect/`` are added, and a call of theirs is appended to one file.  The
result carries a local version made from the dialect's content, so that a
changed dialect is another version for pip and for buildout.

  python3 repack.py STOCK_WHEEL OUTPUT_FOLDER
"""
import ast
import base64
import hashlib
import pathlib
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = 'zc/buildout/'
HOOKED = PACKAGE + 'buildout.py'
HOOK = '''

# Changed on 2026-11-23 by "the resilient stack": these lines were appended.
import zc.buildout.resilient_dialect
zc.buildout.resilient_dialect.install(sys.modules[__name__])
'''
# What the dialect replaces or calls in the hooked file.
ANCHORS = {
  '_annotate', '_dists_sig', '_open', '_save_option', '_save_options',
  'Buildout.__init__', 'Buildout.__setitem__', 'Buildout.install',
  'Buildout._read_installed_part_options', 'Buildout._save_installed_options',
  'Buildout._update_installed', 'Options.__getitem__', 'Options.__setitem__',
  'Options._sub', 'Options.copy', 'Options.get',
}


def repack(stock, output):
  """Given a stock wheel and a folder, write the wheel with the dialect there.

  Return its path.  Raise LookupError, naming what lacks, if the wheel is not
  built as the dialect expects; zipfile.BadZipFile if it is no wheel.
  """
  with zipfile.ZipFile(stock) as wheel:
    content = {name: wheel.read(name) for name in wheel.namelist()}
  check_anchors(content)
  added = {PACKAGE + path.name: path.read_bytes()
           for path in sorted(HERE.glob('dialect/*.py'))}
  content[HOOKED] += HOOK.encode()
  content.update(added)

  name, stock_version = stock.name.split('-')[:2]
  mark = hashlib.sha256(HOOK.encode() + b''.join(added.values())).hexdigest()
  version = '%s+resilient%s' % (stock_version, mark[:8])
  content = with_version(content, name, stock_version, version)
  path = output / stock.name.replace(stock_version, version, 1)
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as wheel:
    for entry, data in content.items():
      wheel.writestr(entry, data)
  return path


def check_anchors(content):
  """Raise LookupError if the hooked file lacks what the dialect hooks into."""
  if HOOKED not in content:
    raise LookupError('the stock wheel has no %s' % HOOKED)
  defined = set()
  for node in ast.parse(content[HOOKED]).body:
    if isinstance(node, ast.FunctionDef):
      defined.add(node.name)
    elif isinstance(node, ast.ClassDef):
      defined.update('%s.%s' % (node.name, method.name) for method in node.body
                     if isinstance(method, ast.FunctionDef))
  missing = ANCHORS - defined
  if missing:
    raise LookupError('%s of the stock wheel does not define %s; the dialect '
                      'was not written for it'
                      % (HOOKED, ', '.join(sorted(missing))))


def with_version(content, name, old, new):
  """Given a wheel's files, return them as those of another version."""
  old_folder = '%s-%s.dist-info/' % (name, old)
  new_folder = '%s-%s.dist-info/' % (name, new)
  line = 'Version: %s\n'
  metadata = content[old_folder + 'METADATA'].decode()
  if metadata.count(line % old) != 1:
    raise LookupError('METADATA of the stock wheel has no %r' % (line % old))
  content[old_folder + 'METADATA'] = metadata.replace(
    line % old, line % new).encode()
  del content[old_folder + 'RECORD']
  content = {entry.replace(old_folder, new_folder): data
             for entry, data in content.items()}
  record = ['%s,sha256=%s,%d\n' % (entry, digest(data), len(data))
            for entry, data in content.items()]
  record.append(new_folder + 'RECORD,,\n')
  content[new_folder + 'RECORD'] = ''.join(record).encode()
  return content


def digest(data):
  """Return the sha256 of bytes in the form that a wheel's RECORD wants."""
  raw = hashlib.sha256(data).digest()
  return base64.urlsafe_b64encode(raw).rstrip(b'=').decode()


if __name__ == '__main__':
  print(repack(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
