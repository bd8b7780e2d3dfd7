"""The mirror of an archive, its newest generation: how it differs, and what is
in it and in no generation, the strays.  rdiff-backup leaves what it does not
know where it is, so no generation to come would be what its manifest says.
"""
import logging
import os

from .durable import remove_tree
from .entries import describe, encode_path, stamps, Unkeepable
from .manifest import Difference, EXTRA
from .process import Failed
from .repair import Mender

log = logging.getLogger('resilient.mirror')


def compare(path, entries):
  """Return the Differences of `entries` alone in the mirror `path`; whether
  several are one file is not looked at."""
  differences = []
  for entry in entries:
    try:
      found = describe(os.fsencode(path), entry.path)
      if found is None or not entry._replace(link=None).matches(found):
        differences.append(Difference(entry.path, 'differs'))
    except (OSError, Unkeepable) as error:
      differences.append(Difference(entry.path, str(error)))
  return differences


def extra(root, found):
  """Return the paths below directory `root` that are not in Manifest `found`,
  each directory before what it holds; nothing is read.  Raises OSError."""
  return sorted(stamps(root).keys() - {entry.path for entry in found.entries})


def strays(root, found):
  """Return Differences for what is in the mirror `root` and not in Manifest
  `found`, or one that says why that cannot be found out."""
  try:
    return [Difference(path, EXTRA) for path in extra(root, found)]
  except OSError as error:
    return [Difference(b'', str(error))]


def _unknown(archive, paths):
  """Return those of `paths` in the mirror that rdiff-backup does not know: it
  would restore an empty file where one that it knows is gone."""
  place = archive.place('known')
  try:
    remove_tree(place)
    archive.repository.restore(archive.repository.last_time(), place, paths)
    return [path for path in paths
            if not os.path.lexists(os.path.join(os.fsencode(place), path))]
  except Failed as error:
    log.warning('archive %s: its strays stay: %s', archive.name, error)
    return []
  finally:
    remove_tree(place)


def _set_strays_aside(archive, found):
  paths = extra(archive.path, found)
  unknown = paths and _unknown(archive, paths)
  if unknown:
    log.warning('archive %s: moved to %s: %s', archive.name, archive.place(
      'strays'), '; '.join(map(encode_path, unknown[:5])))
    Mender(archive.configuration, archive.path, (),
           archive.place('strays')).set_aside(unknown)


def mend(archive, mender, found):
  """As `mend` of Mender `mender`, of the mirror of `archive`; before that,
  strays are moved to ``.strays-<name>``.  To be called with the lock.  Raises
  OSError."""
  try:
    _set_strays_aside(archive, found)
  except OSError as error:
    # As of a directory that lost its mode, which is about to be repaired.
    log.warning('archive %s: its strays stay: %s', archive.name, error)
  return mender.mend(found)
