"""A program that runs rdiff-backup's with some defects mended.  It runs what
its peer sends: see plain_pickle.py.  And in version 2.2.6

* a restore never ends where a file with a long name (from about 205 bytes) is
  no longer in the mirror, but once was, beside others;
* a pull fails, each time, where a directory became another name of a file;
* a pull that was cut short is not taken back as a whole where a directory with
  a long name was changed or removed: no other pull succeeds from then on;
* a directory whose name is like that of an increment, as ``a.<time>.missing``,
  is taken for one among the increments: what is below it is left out of
  restores, and pruning removes it;
* a new file named like a temporary one of rdiff-backup's, as
  ``rdiff-backup.tmp.1``, is deleted as such where the numbers meet;
* a server that is restricted to a path can be led out of it by a symbolic link
  on the way;
* a name that a peer, or the list of an archive, gives may lead out of where it
  belongs.

Its arguments are the path of rdiff-backup's program and the arguments for it.
The variable WRITABLE of its environment, if there is one, lists in JSON all the
directories in which it changes files: see confine.py.  It imports nothing of
ours but what needs nothing, for it runs in rdiff-backup's own interpreter.
"""
import copy
import functools
import importlib.abc
import importlib.util
import json
import os
import pickle
import runpy
import sys

WRITABLE = 'RESILIENT_WRITABLE'


def _mend_cache(cache):
  """Let the cache of a directory's files list the directory once for each file
  that is looked for: what is not listed is found by its other name then, but
  never, as long as the list is made again."""
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


def _mend_replacement(patcher, absent):
  """Let a directory become another name of a file, which comes without content
  of its own.

  absent: makes what stands for the path of an index where nothing is.
  """
  replace, link = patcher._set_dir_replacement, patcher._patch_hardlink_to_temp

  def set_dir_replacement(self, diff_rorp, base_rp):
    if diff_rorp.isflaglinked():
      # Asserted, and not looked at.
      diff_rorp.set_attached_filetype('snapshot')
    return replace(self, diff_rorp, base_rp)

  def patch_hardlink_to_temp(self, basis_rp, diff_rorp, new):
    if basis_rp is None:
      basis_rp = absent(diff_rorp.index)
    return link(self, basis_rp, diff_rorp, new)

  patcher._set_dir_replacement = set_dir_replacement
  patcher._patch_hardlink_to_temp = patch_hardlink_to_temp


def _mend_regress(regressed):
  """Let the increments of what is in a directory be looked for below
  ``increments``, where they are also if that of the directory itself has
  another name."""
  begin, below = regressed.__init__, regressed.yield_sub_rfs

  def init(self, mirror_rp, inc_rp, inc_list):
    begin(self, mirror_rp, inc_rp, inc_list)
    self.place = inc_rp

  def yield_sub_rfs(self):
    found = copy.copy(self)
    found.inc_rp = self.place
    return below(found)

  regressed.__init__, regressed.yield_sub_rfs = init, yield_sub_rfs


def _mend_names(path):
  """Let no directory be an increment: those are files, also of directories."""
  is_named_like_one = path.isincfile
  path.isincfile = lambda self: not self.isdir() and is_named_like_one(self)


def _mend_temporary(path):
  """Let no temporary file have the path of what it stands in for: that does
  not exist yet where a file is new."""
  take = path.get_temp_rpath

  def get_temp_rpath(self, sibling=False):
    found = take(self, sibling)
    # The next one has the next number.
    return take(self, sibling) if found.path == self.path else found

  path.get_temp_rpath = get_temp_rpath


def mend_security(module):
  """Let a restriction to a path hold for what a path leads to."""
  vet = module._vet_rpath

  def vet_rpath(rp, *request):
    vet(rp, *request)
    restricted = module._restrict_path
    if restricted and rp.conn is module.Globals.local_connection:
      path, root = rp.normalize().path, os.path.realpath(restricted)
      folder = os.path.realpath(os.path.dirname(path))
      if path != restricted and os.path.commonpath((folder, root)) != root:
        module._raise_violation(
          'a link leads out of the restricted path', *request)

  module._vet_rpath = vet_rpath


def _require_names(index):
  for name in map(os.fsencode, index):
    if name in (b'', b'.', b'..') or b'/' in name or b'\0' in name:
      raise ValueError('a name leads out of where it belongs: %r' % (index,))


def mend_rpath(module):
  """Let what stands for a path have no index that leads out of its base."""
  begin = module.RORPath.__init__

  def init(self, index, *data):
    _require_names(index)
    begin(self, index, *data)

  def checked(restore):
    def set_state(self, state):
      restore(self, state)
      _require_names(self.index)
    return set_state

  module.RORPath.__init__ = init
  for path in (module.RORPath, module.RPath):
    path.__setstate__ = checked(path.__setstate__)


def mend(module):
  """Mend `module`, unless it is of a version that does all this in another way.
  """
  if hasattr(module, '_CachedRF'):
    _mend_cache(module._CachedRF)
    _mend_replacement(module._RepoPatchITRB, module.rpath.RORPath)
    _mend_regress(module._RegressFile)
    _mend_names(module.rpath.RPath)
    _mend_temporary(module.rpath.RPath)


class _Mender(importlib.abc.MetaPathFinder):
  """Mends modules when rdiff-backup imports them: only its program knows from
  where."""

  def __init__(self):
    self._left = {'rdiffbackup.locations._repo_shadow': mend,
                  'rdiff_backup.rpath': mend_rpath,
                  'rdiff_backup.Security': mend_security}

  def before_a_peer_is_heard(self, act):
    """Have act() called when ssh was started, and nothing was read from it: ssh
    has to connect, and all else has not."""
    def mend_connection(module):
      begin = module.PipeConnection.__init__

      def init(self, *arguments):
        act()
        begin(self, *arguments)

      module.PipeConnection.__init__ = init

    self._left['rdiff_backup.connection'] = mend_connection

  def find_spec(self, name, path, target=None):
    """Find a module as others would, and have it mended once loaded."""
    mend_it = self._left.pop(name, None)
    if not mend_it:
      return None
    spec = importlib.util.find_spec(name)
    load = spec.loader.exec_module

    def load_and_mend(module):
      load(module)
      mend_it(module)

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


def _confine(confine, directories):
  """Change files in `directories` alone from now on.  Raises SystemExit."""
  try:
    if not confine(*directories, linking=True):
      sys.stderr.write('the Landlock of this kernel, if it has any, is too old:'
                       ' rdiff-backup is not confined\n')
  except OSError as error:
    sys.exit('rdiff-backup is not started unconfined: %s' % error)


def _main():
  # Beside this file, wherever that is.
  import confine
  import plain_pickle
  # Our folder is no place for rdiff-backup to import from.
  del sys.argv[0], sys.path[0]
  mender = _Mender()
  directories = json.loads(os.environ.pop(WRITABLE, 'null'))
  if directories:
    confine_now = functools.partial(_confine, confine.confine, directories)
    if '--remote-schema' in sys.argv:
      mender.before_a_peer_is_heard(confine_now)
    else:
      confine_now()
  sys.meta_path.insert(0, mender)
  plain_pickle.restrict()
  try:
    runpy.run_path(sys.argv[0], run_name='__main__')
  except pickle.UnpicklingError as error:
    sys.exit('rdiff-backup: %s' % error)


if __name__ == '__main__':
  _main()
