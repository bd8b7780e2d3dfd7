"""Which generations an rdiff-backup repository holds, found out from the
manifests in it: where our own index is lost."""
import logging

from .manifest import InvalidManifest
from .process import Failed, Inconclusive
from .reserve import Reserve

log = logging.getLogger('resilient.history')


def _manifest(repository, when, place):
  """As `manifest` of `repository`; what failed for a moment does so once."""
  try:
    return repository.manifest(when, place)
  except Inconclusive:
    raise
  except Failed:
    return repository.manifest(when, place)


def generations(repository, place, before=float('inf')):
  """Yield (time, Generation, None) for each increment of `repository` of a time
  `before` that, oldest first, as its manifest says, or (time, None, the error
  that says why there is none): Failed, if it may be there.

  place: the path of a directory for what is restored on the way.

  Raises process.Inconclusive.
  """
  for when in (item for item in repository.times() if item < before):
    try:
      yield when, _manifest(repository, when, place).generation, None
    except Inconclusive:
      raise
    except (Failed, InvalidManifest) as error:
      yield when, None, error


def once(items):
  """Return `items`, (time, Generation) each, as an index.  What was pulled
  twice, because it was refused or not noted first, counts once: the last."""
  last = {generation: when for when, generation in items}
  return sorted((when, generation) for generation, when in last.items())


def _found(archive, known):
  """Return the index of what is in `archive`; where a manifest cannot be read,
  what is `known`, {time: Generation}, is still believed.  Raises Failed."""
  found = []
  for when, generation, error in generations(
      archive.repository, archive.place('index')):
    generation = generation or known.get(when)
    if generation:
      found.append((when, generation))
    elif found and isinstance(error, Failed):
      # Damage reaches back to the oldest: so this may be good.
      raise Failed(
        'the index of archive %s is not made again: %s; if that stays so, copy'
        " a sibling's archive, and: bin/adopt --force %s <the copy>" % (
          archive.name, error, archive.name)) from error
    else:
      log.warning('archive %s: what is of time %d is not in the index: %s',
                  archive.name, when, error)
  return once(found)


def check_index(archive):
  """Make the index of `archive` again, if it is lost or damaged, or speaks of
  another archive.  What is in it then is still to be verified.

  Raises Failed, LockTimeout, DiskFull, OSError.
  """
  times, known = archive.repository.times(), {}
  try:
    index = archive.index()
    known = dict(index)
    # What a first pull brought, and did not find good, is not worth an index:
    # one of nothing is right until it is.
    if known.keys() <= set(times) and (
        index or not times or archive.incomplete and archive.indexed):
      return
    log.error('the index of archive %s does not match it', archive.name)
  except ValueError as error:
    log.error('%s', error)
  reserve = Reserve(archive.configuration)
  with archive.locked() as held:
    archive.settle(held)
    # To restore takes room.
    reserve.keep()
    with reserve.lent():
      found = _found(archive, known)
    archive.write_index(found)
  log.warning('the index of archive %s is made again: %d generations',
              archive.name, len(found))
