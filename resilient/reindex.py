"""Which generations an rdiff-backup repository holds, found out from the
manifests in it: where our own index is lost."""
import logging

from .manifest import InvalidManifest

log = logging.getLogger('resilient.history')


def generations(repository, place, before=float('inf')):
  """Yield (time, Generation, '') for each increment of `repository` of a time
  `before` that, oldest first, as its manifest says, or (time, None, why there
  is none).

  place: the path of a directory for what is restored on the way.

  Raises process.Inconclusive.
  """
  for when in (item for item in repository.times() if item < before):
    try:
      yield when, repository.manifest(when, place).generation, ''
    except InvalidManifest as error:
      yield when, None, str(error)


def check_index(archive):
  """Make the index of `archive` again, if it is lost or damaged, or speaks of
  another archive.  What is in it then is still to be verified.

  Raises Failed, LockTimeout, OSError.
  """
  times = archive.repository.times()
  try:
    index = archive.index()
    if {when for when, _ in index} <= set(times) and (
        index or not times or archive.incomplete):
      return
    log.error('the index of archive %s does not match it', archive.name)
  except ValueError as error:
    log.error('%s', error)
  with archive.locked() as held:
    archive.settle(held)
    found = [(when, generation) for when, generation, problem in generations(
      archive.repository, archive.place('index')) if not problem]
    archive.write_index(found)
  log.warning('the index of archive %s is made again: %d generations',
              archive.name, len(found))
