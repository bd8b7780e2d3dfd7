"""A program that runs rdiff-backup's with two defects mended.  It runs what its
peer sends: see plain_pickle.py.  And in version 2.2.6 a restore never ends
where a file with a long name (from about 205 bytes) is no longer in the mirror,
but once was, beside others.

Its arguments are the path of rdiff-backup's program and the arguments for it.
It imports nothing of ours, for it runs in rdiff-backup's own interpreter.
"""
import importlib.abc
import importlib.util
import pickle
import runpy
import sys

_MODULE = 'rdiffbackup.locations._repo_shadow'


def mend(module):
  """Let the cache of a directory's files list the directory once for each file
  that is looked for: what is not listed is found by its other name then, but
  never, as long as the list is made again."""
  cache = getattr(module, '_CachedRF', None)
  if cache is None:
    # A version that does it in another way.
    return
  look_up, list_again = cache._get_rf, cache._add_rfs

  def get_rf(self, index, *arguments):
    self.listed = set()
    return look_up(self, index, *arguments)

  def add_rfs(self, index, *arguments):
    if index in self.listed:
      return 0
    self.listed.add(index)
    return list_again(self, index, *arguments)

  cache._get_rf, cache._add_rfs = get_rf, add_rfs


class _Mender(importlib.abc.MetaPathFinder):
  """Mends the module when rdiff-backup imports it: only its program knows from
  where."""

  def find_spec(self, name, path, target=None):
    """Find the module as others would, and have it mended once loaded."""
    if name != _MODULE:
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(name)
    load = spec.loader.exec_module

    def load_and_mend(module):
      load(module)
      mend(module)

    spec.loader.exec_module = load_and_mend
    return spec


def interpreter(program):
  """Return the words that start the interpreter of Python script `program`, or
  [] if it is no such script.  Raises OSError."""
  with open(program, 'rb') as source:
    line = source.readline(1024)
  words = line[2:].decode('utf-8', 'replace').split()
  return words if line[:2] == b'#!' and 'python' in words[0] else []


def command(program):
  """Return the command that runs `program`, rdiff-backup's, mended."""
  try:
    words = interpreter(program)
  except OSError:
    # To be said when it is started.
    words = []
  return [*words, __file__, program] if words else [program]


def _main():
  # Beside this file, wherever that is.
  import plain_pickle
  # Our folder is no place for rdiff-backup to import from.
  del sys.argv[0], sys.path[0]
  sys.meta_path.insert(0, _Mender())
  plain_pickle.restrict()
  try:
    runpy.run_path(sys.argv[0], run_name='__main__')
  except pickle.UnpicklingError as error:
    sys.exit('rdiff-backup: %s' % error)


if __name__ == '__main__':
  _main()
