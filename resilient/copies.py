"""A copy of a generation, in a folder of a clone: is it whole?"""
import contextlib
import os
import stat

from . import manifest


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
