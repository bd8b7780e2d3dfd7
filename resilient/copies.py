"""A copy of a generation, in a folder of a clone: what it begins as, and is it
whole?"""
import contextlib
import logging
import os
import stat

from . import manifest
from .durable import is_locked, remove_tree
from .process import Failed, run
from .reserve import free

log = logging.getLogger('resilient.clone')


class Unverified(Exception):
  """A copy is not what its manifest says."""


def holds(root, generation):
  """Whether the copy in `root` says that it is `generation`."""
  try:
    return manifest.read(root).generation == generation
  except manifest.InvalidManifest:
    return False


def verify(root, what, generation, mend=None, durable=False):
  """Verify that `root` holds `generation`, byte for byte.  Files that differ
  are deleted, so that the next push sends them again, even where size and mtime
  are as they should be.

  what: the copy, in words.  mend: repairs what it can of a Manifest, and
  returns the Differences that are left.  durable: whether all must be on the
  disk.

  Raises Unverified.
  """
  try:
    found = manifest.read(root)
  except manifest.InvalidManifest as error:
    _drop(root, [manifest.Difference(os.fsencode(manifest.MANIFEST), '')])
    raise Unverified('%s: %s' % (what, error)) from error
  if found.generation != generation:
    raise Unverified('%s holds generation %s, not %s' % (
      what, found.generation.label, generation.label))
  differences = manifest.compare(root, found, durable)
  if differences and mend:
    differences = mend(found)
  if differences:
    _drop(root, differences)
    raise Unverified('%s: %s' % (what, manifest.mismatch(found, differences)))


def _drop(root, differences):
  root = os.path.realpath(os.fsencode(root))
  for difference in differences:
    path = os.path.join(root, difference.path)
    # The names, and the symlinks, come from a PBS: nothing outside is theirs.
    folder = os.path.realpath(os.path.dirname(path))
    inside = os.path.commonpath((root, folder)) == root
    if difference.path and inside and not os.path.isdir(path):
      with contextlib.suppress(OSError):
        # The next push gives the folder its mode again.
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | 0o700)
        os.unlink(path)


def _require_room(configuration):
  with contextlib.suppress(manifest.InvalidManifest):
    _, needed = manifest.outline(configuration.dump_directory)
    room = free(configuration.state_directory)
    if room < needed:
      raise OSError(
        'an import runs, and one more copy would leave it no room: %d bytes are'
        ' free, and %d are needed; nothing is received until it has ended' % (
          room, needed))


def begin_with_current(configuration, held):
  """Where no older copy is to spare, because this clone is new, or imports the
  current one: let the push find a copy of the current one, and send no more
  than what is new.  `accept` finds what is wrong in it, and that is sent too.

  held: descriptor of the lock on the staging area.

  Raises OSError, if an import runs and one more copy may not fit beside it.
  """
  place = configuration.state('staging.new')
  if is_locked(configuration.state('import.lock')):
    _require_room(configuration)
  try:
    remove_tree(place)
    # Where the filesystem can share what is the same, this costs nothing.
    run(['cp', '--archive', '--reflink=auto', '--',
         configuration.dump_directory, place],
        configuration.import_deadline, lock=held)
    os.rename(place, configuration.state('staging'))
  except (Failed, OSError) as error:
    log.warning('the whole dump is sent, for the current copy could not be'
                ' copied: %s', error)
    remove_tree(place)
