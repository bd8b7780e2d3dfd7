"""The seal shows each change to programs that compare size and mtime alone, as
rdiff-backup does: see "Manifest" in docs/design.rst.
"""
import logging
import math
import os

from . import manifest
from .durable import read_note, write_bytes, write_json
from .entries import decode_path, encode_path

log = logging.getLogger('resilient.changes')

# So many files that are gone are remembered by name.
_MOST = 100000
# The name, which no file has, of the latest time of all others.
_OTHERS = ''


def _kept_path(configuration):
  return configuration.state('sealed.manifest')


def keep(configuration, data):
  """Keep `data`, the bytes of a manifest, also beside the dump."""
  write_bytes(_kept_path(configuration), data)


def kept(configuration):
  """Return the Manifest that was kept last, or None."""
  try:
    with open(_kept_path(configuration), 'rb') as source:
      return manifest.parse(source.read())
  except FileNotFoundError:
    return None
  except manifest.InvalidManifest as error:
    log.warning('%s counts as absent: %s', _kept_path(configuration), error)
    return None


def _dropped(configuration):
  """Return {path as text: mtime} of files that earlier generations had; that
  of _OTHERS is the latest of those whose names are forgotten."""
  return read_note(configuration.state('dropped.json'), lambda note: {
    str(path): int(mtime) for path, mtime in note.items()}, {})


def _note_dropped(configuration, dropped, before, entries):
  """Keep the times of the files in `before` that are not in `entries`: whoever
  misses this generation must not meet one of them again with other content.

  One that is there again is forgotten when a generation with it was sealed, for
  this one may still fail.
  """
  present = {entry.path for entry in entries if entry.type == 'file'}
  found = {path: mtime for path, mtime in dropped.items()
           if decode_path(path) not in before}
  found.update({encode_path(path): entry.mtime
                for path, entry in before.items() if path not in present})
  if len(found) > _MOST:
    found = {_OTHERS: max(found.values())}
  if found != dropped:
    write_json(configuration.state('dropped.json'), found)


def show(configuration, root, entries, previous):
  """Return `entries` after making each changed content visible to programs
  that compare size and mtime alone: see "Manifest" in docs/design.rst.

  previous: the last Manifest, or None.

  No mtime goes back, even of content that did not change: who missed a
  generation would else meet the same mtime again with another content.
  """
  before = {entry.path: entry for entry in previous.entries
            if entry.type == 'file'} if previous else {}
  dropped, result = _dropped(configuration), []
  others = dropped.get(_OTHERS, -math.inf)
  for entry in entries:
    if entry.type == 'file':
      old = before.get(entry.path)
      least = (dropped.get(encode_path(entry.path), others) + 1
               if old is None else old.mtime + (entry.sha256 != old.sha256))
      if entry.mtime < least:
        path = os.path.join(os.fsencode(root), entry.path)
        os.utime(path, (os.stat(path).st_atime, least))
        entry = entry._replace(mtime=least)
    result.append(entry)
  _note_dropped(configuration, dropped, before, result)
  return result
