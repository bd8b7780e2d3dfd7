"""Task ``verify-<name>`` of a PBS: read the archive again, generation by
generation, the longest unread one first, and compare each with its own
manifest.  See "Care of the archive" in docs/design.rst.
"""
import contextlib
import logging
import os
import time

from . import manifest, mirror
from .archive import Damaged
from .durable import remove_tree
from .process import Failed, Inconclusive, TimeOver
from .reserve import free
from .transfer import archive_of, run_task, TransferFailed

log = logging.getLogger('resilient.verification')

# One run reads this much, so that a pull never waits long, and a temporary copy
# is never large.  A single larger file is read in one run.
_SLICE_BYTES = 1 << 30
_SLICE_ENTRIES = 10000
# Less where so many increments are newer: a restore writes a file anew for each
# in which it changed.
_NEWER = 100
# The mirror is what a clone gets next, and the base of all the history.
_MIRROR_AGE = 86400
# How many damaged entries are looked for, where each costs a restore.
_NAMED = 5


def _begun(index, ledger):
  """Return what of `index` is verified in part, a list of one item, or []."""
  return [item for item in index
          if item[1].digest == ledger.progress.get('digest')]


def choose(archive, interval, now):
  """Return (time, Generation) of what is to be verified now, or None.

  interval: seconds between two verifications, beside the mirror's of each day.
  """
  index, ledger = archive.index(), archive.ledger
  if not index or archive.incomplete or archive.repository.cut_short:
    # A pull is due, and does more than we would.
    return None
  begun = _begun(index, ledger)
  if begun:
    return begun[0]
  if abs(now - ledger.at(index[-1][1])) > _MIRROR_AGE:
    return index[-1]
  # A clock that was set back must not stop it.
  if abs(now - ledger.last) < interval:
    return None
  return ledger.following(index, now)


def late(archive, interval, since, now):
  """Return '' or a sentence: verification does not happen.

  since: when the partition was deployed.  A clock set back hides nothing.
  """
  index, ledger = archive.index(), archive.ledger
  if not index:
    return ''
  turns = [('', ledger.last, interval + _MIRROR_AGE)]
  if not _begun(index, ledger):
    # Else it waits for the last slice; that the next does not come is seen.
    turns.append((': its newest generation', ledger.at(index[-1][1]),
                  2 * _MIRROR_AGE))
  for what, moment, longest in turns:
    if min(abs(now - moment), now - since) >= longest:
      return 'archive %s%s was not verified within %d s' % (
        archive.name, what, longest)
  return ''


def _slice(entries, start, newer):
  """Return how many of `entries`, from number `start` on, one run reads, where
  `newer` increments are newer."""
  share = 1 + newer // _NEWER
  size = count = 0
  for entry in entries[start:start + max(1, _SLICE_ENTRIES // share)]:
    size += entry.size or 0
    if count and size > _SLICE_BYTES // share:
      break
    count += 1
  # The names of one file belong together.
  while (start + count < len(entries)
         and entries[start + count].link is not None):
    count += 1
  return count


def _restored(archive, when, found, wanted):
  """Restore the entries `wanted` of Manifest `found` from the increment of time
  `when`, and return how they differ."""
  target, configuration = archive.place('verify'), archive.configuration
  deadline = configuration.verification_deadline
  if all(entry.link is not None for entry in wanted[1:]):
    # One file cannot be sliced, and may take what a transfer of it may.
    deadline = max(deadline, configuration.transfer_deadline)
  try:
    remove_tree(target)
    archive.repository.restore(
      when, target, [entry.path for entry in wanted], deadline)
    folders = {item.path for item in found.entries if item.type == 'directory'}
    return [difference for difference in manifest.compare(
              target, found._replace(entries=wanted))
            if difference.problem != manifest.EXTRA
            or difference.path not in folders]
  finally:
    remove_tree(target)


def _differences_of_increment(archive, when, found, wanted):
  """As `_restored`.  rdiff-backup gives up at the first file that it cannot
  restore, and does not name it: so each half is tried, and each half of the bad
  one.  Raises Failed, if the fault is not in the archive."""
  try:
    return _restored(archive, when, found, wanted)
  except Inconclusive:
    raise
  except Failed:
    middle = len(wanted) // 2
    while 0 < middle < len(wanted) and wanted[middle].link is not None:
      middle += 1
    if not 0 < middle < len(wanted):
      return [manifest.Difference(entry.path, 'cannot be restored')
              for entry in wanted]
    differences = _differences_of_increment(
      archive, when, found, wanted[:middle])
    if len(differences) < _NAMED:
      differences += _differences_of_increment(
        archive, when, found, wanted[middle:])
    if not differences:
      raise
    return differences


def _require_room(archive, generation, wanted=()):
  # The reserve is more than a manifest takes, whose size is not known.
  needed = max(archive.configuration.archive_reserve,
               2 * sum(entry.size or 0 for entry in wanted))
  room = free(os.path.dirname(archive.path))
  if room < needed:
    raise TransferFailed(
      'there is no room to verify generation %s: %d bytes are free, and %d are'
      ' needed' % (generation.label, room, needed))


def _manifest_of(archive, when, generation):
  """Return the Manifest of the increment of time `when`.  Raises as below."""
  try:
    found = archive.repository.manifest(when, archive.place('verify'))
  except Inconclusive:
    raise
  except (Failed, manifest.InvalidManifest) as error:
    raise Damaged('its manifest: %s' % error) from error
  if found.generation != generation:
    raise Damaged('it is generation %s' % found.generation.label)
  return found


def _verify_slice(archive, when, generation, start):
  """Verify one slice of a generation.  Returns the number of the entry to go on
  with, or None after the last.  Raises Damaged, InvalidManifest, Failed,
  TransferFailed."""
  newer = sum(other > when for other in archive.repository.times())
  is_mirror = when == archive.index()[-1][0]
  if is_mirror:
    found = manifest.read(archive.path)
  else:
    _require_room(archive, generation)
    found = _manifest_of(archive, when, generation)
  entries = manifest.side_by_side(found.entries)
  # A ledger that was damaged must not make anything count as read.
  start = start if start < len(entries) else 0
  end = start + _slice(entries, start, newer)
  wanted = entries[start:end]
  if is_mirror:
    differences = mirror.compare(archive.path, wanted)
    if not start:
      differences += mirror.strays(archive.path, found)
  else:
    _require_room(archive, generation, wanted)
    differences = wanted and _differences_of_increment(
      archive, when, found, wanted)
  if differences:
    raise Damaged('%d entries differ from the manifest: %s' % (
      len(differences), '; '.join(map(str, differences[:5]))))
  return end if end < len(entries) else None


def verify(archive, when, generation, report):
  """Verify a slice of generation `generation`, which is the increment of time
  `when`; a damaged mirror is repaired.

  Raises what transfer.py expects; Damaged if there is damage that stays.
  """
  ledger = archive.ledger
  begun = ledger.progress.get('digest') == generation.digest
  start = ledger.progress['done'] if begun else 0
  try:
    with archive.locked(shared=True):
      following = _verify_slice(archive, when, generation, start)
    problem = ''
  except (Damaged, manifest.InvalidManifest) as error:
    following, problem = None, str(error)
  except (Failed, TransferFailed) as error:
    # The others have their turns; and what took its time would take it again.
    ledger.end_turn(failed=True)
    ledger.note_failure(generation, error, not isinstance(error, TimeOver))
    ledger.save(archive.index())
    raise
  ledger, index = archive.ledger, archive.index()
  if len(index) < 2 or when < index[-1][0]:
    # Else it is the mirror, which takes no turn from the others.
    ledger.end_turn()
  if following is not None:
    ledger.progress = {'digest': generation.digest, 'done': following}
    ledger.save(archive.index())
    report.quiet = True
    return True
  ledger.note(generation, problem)
  ledger.save(archive.index())
  report.message = 'verified'
  if problem and when == archive.repository.last_time():
    with archive.locked():
      problem = archive.mend()
    report.message = 'the mirror was damaged, and is repaired'
  if problem:
    raise Damaged('generation %s is damaged: %s' % (generation.label, problem))
  return False


def task(configuration, peer):
  """One run of the task.  Returns whether it succeeded: to find damage is a
  success of the task, though not of the archive."""
  archive = archive_of(configuration, peer)
  due = None
  with contextlib.suppress(ValueError):
    due = choose(archive, configuration.verification_interval, time.time())
    if due is None:
      return True
  found = []

  def work(report):
    # An index that cannot be read is told here.
    when, generation = due or archive.index()[-1]
    report.generation = generation.label
    try:
      if verify(archive, when, generation, report):
        # The rest, after what is more urgent.
        configuration.store.request('verify-' + peer.name)
    except Damaged as error:
      found.append(error)
      raise

  return run_task(configuration, 'verify-' + peer.name, work) or bool(found)
