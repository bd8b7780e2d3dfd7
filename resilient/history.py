"""``bin/adopt``: take the archive of a sibling PBS as one's own; what it holds
is found out from the manifests in it.
"""
import contextlib
import logging
import os
import time

from . import manifest, reindex
from .archive import Archive, Damaged
from .durable import (
  exchange,
  fsync_directory,
  lock,
  LockTimeout,
  make_directories_writable,
  read_note,
  remove,
  remove_tree,
  write_json,
)
from .entries import ARCHIVE_DATA
from .generation import from_json
from .ledger import Ledger
from .process import Failed, Inconclusive, run
from .repository import Repository
from .reserve import DiskFull

log = logging.getLogger('resilient.history')
_RESTORE_LOG = ' %s/restore.log' % ARCHIVE_DATA


class NotAdopted(Exception):
  """The archive stays what it is; the message says why."""


class Unfinished(Exception):
  """The time is over, and something is left to verify."""


def adopting(archive):
  """Hold archive `archive` against another adoption: the context of a lock.
  Raises LockTimeout."""
  return lock(archive.configuration.state('adopting-%s.lock' % archive.name))


def _done(archive):
  return archive.configuration.state('adopting-%s.json' % archive.name)


def _read(archive):
  return read_note(_done(archive), lambda note: {
    when: from_json(item).to_json() for when, item in note.items()}, {})


def forget(archive, digests):
  """What is verified of a copy is not, as far as it is one of `digests`."""
  write_json(_done(archive), {
    when: item for when, item in _read(archive).items()
    if item['digest'] not in digests})


def discard(archive):
  """Remove the copy that was to be adopted."""
  remove_tree(archive.place('adopting'))
  remove(_done(archive))


def _copy(archive, source, place):
  """Make directory `place` a copy of archive `source`; goes on with what is
  there already.  What was verified of it is, if it was that copy already."""
  configuration, done = archive.configuration, _read(archive)
  remove(_done(archive))
  os.makedirs(place, mode=0o700, exist_ok=True)
  make_directories_writable(place)
  changes = run(
    [configuration.rsync, '--recursive', '--links', '--perms', '--times',
     '--specials', '--hard-links', '--sparse', '--checksum', '--delete',
     '--partial', '--fsync', '--itemize-changes', source + '/', place + '/'],
    configuration.transfer_deadline, capture=True).output
  # Other lines are of attributes alone; the log is of our own restores.
  if not any(line[:1] in '>ch*' and not line.endswith(_RESTORE_LOG)
             for line in changes.decode('utf-8', 'replace').splitlines()):
    write_json(_done(archive), done)


def _verify(archive, repository, when):
  """Restore what `repository` has of time `when`, and compare it with its own
  manifest.  Return its Generation.  Raises Failed, Damaged, InvalidManifest."""
  # Verification may run beside it.
  place = archive.place('verify-adopting')
  try:
    remove_tree(place)
    repository.restore(when, place)
    found = manifest.read(place)
    archive.judge(found, manifest.compare(place, found))
    return found.generation
  finally:
    remove_tree(place)


def verified(archive, repository, report, until=float('inf')):
  """Verify each generation of `repository`, a copy; those that were, in a run
  that was cut short, are not verified again.  Return the index.

  until: when to stop, by the monotonic clock; something is verified always.
  Raises NotAdopted, Unfinished, process.Inconclusive.
  """
  path, done = _done(archive), _read(archive)
  index, stop = [], False
  for when in repository.times():
    try:
      if str(when) not in done:
        if stop:
          raise Unfinished
        stop = time.monotonic() > until
        done[str(when)] = _verify(archive, repository, when).to_json()
        write_json(path, done)
      index.append((when, from_json(done[str(when)])))
    except Inconclusive:
      raise
    except (Failed, Damaged, manifest.InvalidManifest) as error:
      report('left out: the increment of %s: %s' % (
        time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(when)), error))
    else:
      report('generation %s is verified' % index[-1][1].label)
  if not index or index[-1][0] != repository.last_time():
    raise NotAdopted('the newest generation in it is damaged')
  return reindex.once(index)


def _would_be_lost(archive, index):
  """Return the generations of `archive` that may be good, for all that is
  known, and are not in `index`.  Raises NotAdopted if nobody knows."""
  try:
    reindex.check_index(archive)
  except Failed as error:
    raise NotAdopted(
      'what the archive that is here holds cannot be found out: %s; with'
      ' --force it is given up' % error) from error
  adopted = {generation.digest for _, generation in index}
  ledger = archive.ledger
  return [generation for _, generation in archive.index()
          if generation.digest not in adopted
          and not ledger.is_damaged(generation)]


def adopt(archive, source, report, force=False):
  """Take `source`, a copy of the archive of a sibling, as archive `archive`.

  report: takes sentences.  force: even if that loses generations.

  May be killed and run again at any point.  Returns the index, and the path of
  what was the archive before, or None.  Raises NotAdopted, Failed, LockTimeout,
  DiskFull, OSError.
  """
  if not os.path.isdir(os.path.join(source, ARCHIVE_DATA)):
    raise NotAdopted('%s is no archive of rdiff-backup' % source)
  place = archive.place('adopting')
  with adopting(archive):
    return _adopt(archive, source, place, report, force)


def _adopt(archive, source, place, report, force):
  replaced = archive.place('replaced')
  if os.path.exists(replaced):
    raise NotAdopted('%s is left of an earlier adoption, and may be all that is'
                     ' left of an archive: move it away, or remove it, first'
                     % replaced)
  _copy(archive, source, place)
  repository = Repository(archive.configuration, place)
  if repository.cut_short:
    repository.regress()
  index = verified(archive, repository, report)
  others = {item.name for _, item in index} - {archive.name}
  if others:
    raise NotAdopted('it is of service ' + ', '.join(sorted(others)))
  lost = [] if force else _would_be_lost(archive, index)
  if lost:
    raise NotAdopted(
      'the archive that is here holds generations that the other does not: %s;'
      ' with --force they are given up' % ', '.join(
        generation.label for generation in lost))
  if not take(archive, place, index, replaced):
    replaced = None
  return index, replaced


def take(archive, place, index, replaced=None):
  """Have `place`, a verified copy with this `index`, be the archive.

  replaced: what there was before is moved to there, where nothing is, or else
    removed.
  Returns whether there was anything.  Raises LockTimeout, OSError.
  """
  configuration = archive.configuration
  with archive.locked():
    # What changes places with it was not verified.
    remove(_done(archive))
    # From here to the end the index does not match; a pull would notice, but
    # for one of nothing after a pull that was refused.
    with contextlib.suppress(ValueError):
      if not archive.index():
        archive.forget_pull()
    there = os.path.exists(archive.path)
    if there and replaced:
      # What was there has its last name in one step.
      os.rename(place, replaced)
      exchange(replaced, archive.path)
    elif there:
      exchange(place, archive.path)
    else:
      os.rename(place, archive.path)
    fsync_directory(configuration.archive_directory)
    archive.write_index(index)
    ledger = Ledger(configuration, archive.name)
    for _, generation in index:
      ledger.note(generation)
    ledger.save(index)
    archive.forget_pull()
  # All of it was verified just now: what verification found before is gone.
  with configuration.store.recording('verify-' + archive.name) as report:
    report.generation = index[-1][1].label
    report.message = 'all generations were verified when they were adopted'
  discard(archive)
  return there


def main(configuration, name, source, force):
  """Run ``bin/adopt``.  Returns the exit status."""
  archive = Archive(configuration, name)
  if name not in configuration.archive_names():
    print('there is no archive %s here, nor a leader to pull it from: %s' % (
      name, ', '.join(configuration.archive_names()) or 'there is none'))
    return 1
  try:
    index, replaced = adopt(archive, os.path.abspath(source), print, force)
  except (NotAdopted, Failed, LockTimeout, DiskFull, OSError) as error:
    print('archive %s is as before: %s' % (name, error))
    if os.path.exists(archive.place('adopting')):
      print('what was copied is in %s: run this again to go on, or remove it'
            % archive.place('adopting'))
    return 1
  print('archive %s has %d generations now, %s to %s' % (
    name, len(index), index[0][1].label, index[-1][1].label))
  if replaced:
    print('what it was before is in %s; remove it when you no longer want it'
          % replaced)
  configuration.store.request('push-' + name)
  return 0
