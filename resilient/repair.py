"""Repair of a mirror: what differs from its manifest is put right in place,
from what is there and from other good copies.

Nothing is taken for good by its size or date: content that is put in place has
the digest that the manifest asks for.  What it replaces is kept aside.
"""
import contextlib
import logging
import os
import stat

from . import manifest
from .durable import copy_sparse, fsync_directory, remove_tree
from .entries import describe, encode_path, Unkeepable
from .process import Failed
from .repository import Repository

log = logging.getLogger('resilient.repair')

_SPECIAL = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK}


class Mender:
  """Repairs directory `root`.

  sources: ssh.Remotes whose dump may hold what is missing, the best first.
  place: a directory on the same disk, for what is fetched and what is replaced.
  """

  def __init__(self, configuration, root, sources, place):
    self._configuration = configuration
    self._root = os.fsencode(root)
    self._sources = sources
    self._fetched = os.path.join(place, 'fetched')
    self._replaced = os.path.join(place, 'replaced')
    self._place = place

  def mend(self, wanted):
    """Make the directory what Manifest `wanted` says, as far as that can be.
    Returns the Differences that remain.  Raises OSError."""
    differences = manifest.compare(self._root, wanted)
    if not differences:
      return []
    self._set_modes(wanted, differences)
    differences = manifest.compare(self._root, wanted)
    broken = _broken(wanted, differences)
    if broken:
      log.warning('to be repaired: %s', '; '.join(map(str, differences[:5])))
      with self._workplace():
        self._replace(wanted, broken)
      differences = manifest.compare(self._root, wanted)
    return differences

  def set_aside(self, paths):
    """Move `paths`, a list of bytes with each directory before what it holds,
    out of the directory.  Raises OSError."""
    with self._workplace():
      for path in paths:
        if os.path.lexists(os.path.join(self._root, path)):
          with self._writable_parent(path):
            self._set_aside(path)

  def mend_manifest(self, generation):
    """Make the manifest in the directory that of `generation`.  Returns the
    Manifest.  Raises InvalidManifest, if nobody has it."""
    with contextlib.suppress(manifest.InvalidManifest):
      return self._manifest_of(os.fsdecode(self._root), generation)
    with self._workplace():
      for folder in self._fetch([os.fsencode(manifest.MANIFEST)]):
        with contextlib.suppress(manifest.InvalidManifest):
          found = self._manifest_of(folder, generation)
          path = os.fsencode(manifest.MANIFEST)
          self._make_folder(os.path.dirname(path), 0o700)
          self._install(os.path.join(os.fsencode(folder), path), path, 0o600,
                        manifest.moment(generation))
          log.warning('the manifest of generation %s is repaired',
                      generation.label)
          return found
    raise manifest.InvalidManifest('the manifest of generation %s is damaged,'
                                   ' and nobody has another' % generation.label)

  @staticmethod
  def _manifest_of(folder, generation):
    found = manifest.read(folder)
    if found.generation != generation:
      raise manifest.InvalidManifest('it is of generation %s' % (
        found.generation.label))
    return found

  @contextlib.contextmanager
  def _workplace(self):
    # What was replaced last time is no longer of interest.
    remove_tree(self._place)
    os.makedirs(self._replaced, mode=0o700)
    try:
      yield
    finally:
      remove_tree(self._fetched)

  def _set_modes(self, wanted, differences):
    """Give what differs the mode that it should have: rdiff-backup, unless run
    by root, leaves a new read-only directory writable."""
    for entry in _broken(wanted, differences):
      path = os.path.join(self._root, entry.path)
      with contextlib.suppress(OSError):
        self._require_inside(os.path.dirname(path))
        status = os.lstat(path)
        if (entry.type in ('file', 'directory')
            and stat.S_ISDIR(status.st_mode) == (entry.type == 'directory')
            and not stat.S_ISLNK(status.st_mode)
            and stat.S_IMODE(status.st_mode) != entry.mode):
          os.chmod(path, entry.mode)

  def _require_inside(self, directory):
    root = os.path.realpath(self._root)
    if os.path.commonpath((root, os.path.realpath(directory))) != root:
      raise OSError('a link leads out of %s' % os.fsdecode(root))

  def _fetch(self, paths):
    """Yield a directory with what each source has of `paths`."""
    for remote in self._sources:
      remove_tree(self._fetched)
      os.mkdir(self._fetched)
      try:
        Repository(self._configuration, self._fetched).fetch(remote, paths)
      except Failed as error:
        log.info('nothing for the repair from %s: %s', remote.alias, error)
        continue
      for directory, folders, names in os.walk(os.fsencode(self._fetched)):
        for name in (*folders, *names):
          path = os.path.join(directory, name)
          # What a link leads to was not fetched; a folder is to be emptied.
          if os.path.islink(path):
            os.unlink(path)
          elif name in folders:
            os.chmod(path, 0o700)
      yield self._fetched

  def _replace(self, wanted, broken):
    files = {entry.path: entry for entry in broken if entry.type == 'file'
             and entry.link is None}
    for entry in broken:
      if entry.type == 'directory':
        self._make_folder(entry.path, entry.mode)
      elif entry.type != 'file':
        self._make_special(entry)
    missing = {}
    for path, entry in files.items():
      if not self._is_good(entry):
        missing[path] = entry
      elif os.lstat(os.path.join(self._root, path)).st_nlink > 1:
        self._part(entry)
    if missing:
      for folder in self._fetch(list(missing)):
        for path, entry in list(missing.items()):
          if self._take(os.fsencode(folder), entry):
            del missing[path]
        if not missing:
          break
    names = {entry.path for entry in broken}
    for entry in wanted.entries:
      if entry.link is not None and not {entry.path, entry.link}.isdisjoint(
          names):
        self._link(entry)

  def _is_good(self, entry):
    try:
      found = describe(self._root, entry.path)
    except (OSError, Unkeepable):
      return False
    return found is not None and entry.matches(found)

  def _take(self, folder, entry):
    """Whether the fetched directory `folder` had `entry`, now in its place."""
    try:
      found = describe(folder, entry.path)
      if found is None or not entry._replace(mode=0).matches(
          found._replace(mode=0)):
        return False
      self._install(
        os.path.join(folder, entry.path), entry.path, entry.mode, entry.mtime)
    except (OSError, Unkeepable) as error:
      log.warning('%s is not repaired: %s', encode_path(entry.path), error)
      return False
    log.warning('%s is repaired', encode_path(entry.path))
    return True

  @contextlib.contextmanager
  def _writable_parent(self, path):
    """Let the directory that holds `path` be written to; it looks as before
    afterwards."""
    parent = os.path.dirname(os.path.join(self._root, path))
    self._require_inside(parent)
    status = os.stat(parent)
    os.chmod(parent, status.st_mode | 0o700)
    try:
      yield
      fsync_directory(parent)
    finally:
      os.utime(parent, ns=(status.st_atime_ns, status.st_mtime_ns))
      os.chmod(parent, stat.S_IMODE(status.st_mode))

  def _set_aside(self, path):
    full = os.path.join(self._root, path)
    if os.path.lexists(full):
      if stat.S_ISDIR(os.lstat(full).st_mode):
        os.chmod(full, 0o700)  # or else it cannot be moved
      number = len(os.listdir(self._replaced))
      os.rename(full, os.path.join(self._replaced, str(number)).encode())

  def _install(self, source, path, mode, mtime):
    """Move file `source` to `path`, with `mode` and `mtime`."""
    os.chmod(source, 0o600)
    with open(source, 'rb') as content:
      os.fsync(content.fileno())
    os.utime(source, (mtime, mtime))
    os.chmod(source, mode)
    with self._writable_parent(path):
      self._set_aside(path)
      os.rename(source, os.path.join(self._root, path))

  def _make_folder(self, path, mode):
    full = os.path.join(self._root, path)
    if os.path.islink(full) or not os.path.isdir(full):
      with self._writable_parent(path):
        self._set_aside(path)
        os.mkdir(full)
        os.chmod(full, mode)

  def _make_special(self, entry):
    full = os.path.join(self._root, entry.path)
    with self._writable_parent(entry.path):
      self._set_aside(entry.path)
      if entry.type == 'symlink':
        os.symlink(entry.target, full)
      else:
        os.mknod(full, _SPECIAL[entry.type] | 0o600)
        os.chmod(full, entry.mode)

  def _part(self, entry):
    """Let `entry`, whose content is good, be a file of its own."""
    copy = os.fsencode(os.path.join(self._place, 'copy'))
    copy_sparse(os.path.join(self._root, entry.path), copy)
    self._install(copy, entry.path, entry.mode, entry.mtime)

  def _link(self, entry):
    """Let `entry` be another name of the file that it is a link to."""
    first = os.path.join(self._root, entry.link)
    path = os.path.join(self._root, entry.path)
    if os.path.exists(first) and not (
        os.path.exists(path) and os.path.samefile(first, path)):
      with self._writable_parent(entry.path):
        self._set_aside(entry.path)
        os.link(first, path)


def _broken(wanted, differences):
  """Return the entries of Manifest `wanted` that differ, in its order."""
  paths = {difference.path for difference in differences}
  return [entry for entry in wanted.entries if entry.path in paths]
