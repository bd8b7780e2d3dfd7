"""No file is ever sealed with a size and an mtime under which another content
of it was sealed before: so programs that compare these alone, as rdiff-backup
does, see each change, whatever generations they missed.  See "Manifest" in
docs/design.rst.

An mtime never goes back, and one that comes with another content is later than
each that the file had.  Those are in the last manifest and, of files that are
not in it, in ``dropped.json``.
"""
import logging
import math
import os
import time

from . import manifest
from .durable import read_note, write_bytes, write_json
from .entries import decode_path, encode_path

log = logging.getLogger('resilient.changes')

# So many files that are gone are remembered by name.
_MOST = 100000
# The name, which no file has, of a time that all others may have had.
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
  of _OTHERS is the latest that there is of unknown names, or times.  Of a
  damaged file, all are unknown."""
  path = configuration.state('dropped.json')
  return read_note(path, lambda note: {
    str(path): int(mtime) for path, mtime in note.items()},
    {_OTHERS: int(time.time())} if os.path.exists(path) else {})


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


def begin(configuration, last, order):
  """Before an export: if others may have sealed what is not known here, let all
  that changes from here on be later than now.

  last: the Manifest that was `kept` here last, or None.
  order: (epoch, sequence) of the generation to be.

  Who takes over has the last copy of the old leader that it loaded.  A PBS may
  have other generations, newer or older, with files that this one has not, or
  later mtimes of those that it has.  So may it if the state here was lost.
  """
  epoch, sequence = order
  if order == (1, 1) or last and last.generation.order == (epoch, sequence - 1):
    return
  dropped = _dropped(configuration)
  write_json(configuration.state('dropped.json'), dict(dropped, **{
    _OTHERS: max(int(time.time()), dropped.get(_OTHERS, 0))}))


def _time(names, before, dropped):
  """Return the mtime for the file that has `names`, Entries."""
  entry, others = names[0], dropped.get(_OTHERS, -math.inf)
  least, had = [entry.mtime], set()
  for path in (name.path for name in names):
    old = before.get(path)
    if old:
      had.add(old.mtime)
      least.append(old.mtime + (old.sha256 != entry.sha256))
    else:
      # Of a name that no generation had, this asks for nothing.
      least.append(max(dropped.get(encode_path(path), others), others) + 1)
  latest = max(least)
  # One that it had not here, it may have had with others, of other content.
  return latest if had <= {latest} else max(latest, others + 1)


def show(configuration, root, entries, previous):
  """Return `entries` of dump `root` after giving each file the mtime by which a
  change of its content is seen.

  previous: the last Manifest, or None.

  No mtime goes back, even of content that did not change: who missed a
  generation would else meet the same mtime again with another content.
  """
  before = {entry.path: entry for entry in previous.entries
            if entry.type == 'file'} if previous else {}
  dropped, files = _dropped(configuration), {}
  for entry in entries:
    if entry.type == 'file':
      files.setdefault(entry.link or entry.path, []).append(entry)
  times = {}
  for path, names in files.items():
    times[path] = _time(names, before, dropped)
    _set(root, path, times[path])
  result = [entry._replace(mtime=times[entry.link or entry.path])
            if entry.type == 'file' else entry for entry in entries]
  _note_dropped(configuration, dropped, before, result)
  return result


def _set(root, path, mtime):
  """Give file `path` of dump `root` the whole seconds `mtime`."""
  path = os.path.join(os.fsencode(root), path)
  status = os.stat(path)
  if int(status.st_mtime) != mtime:
    os.utime(path, (status.st_atime, mtime))


def put_back(root, sealed):
  """Give each file of dump `root` the mtime again that it has in the Manifest
  `sealed`: a PBS that pulled it with another one would compare with that, and
  here nothing is known of it.

  Raises OSError if that is not allowed.
  """
  for entry in sealed.entries:
    if entry.type == 'file':
      _set(root, entry.path, entry.mtime)
