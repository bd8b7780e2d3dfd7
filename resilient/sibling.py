"""Task ``adopt-<name>`` of a PBS: what is missing or damaged in the archive is
taken from that of a sibling.  See "Adoption" in docs/design.rst.
"""
import functools
import logging
import os
import time

from . import beginning, history, manifest, reindex
from .beginning import begins_anew, note_beginning, record, save
from .durable import make_directories_writable
from .generation import from_json
from .process import Failed, run, TimeOver
from .repository import Repository
from .reserve import free
from .ssh import NotIntroduced, Remote
from .transfer import archive_of, run_task, TransferFailed

log = logging.getLogger('resilient.sibling')

# gate.py lets these through, and no others; the rest is of this side alone.
RSYNC_OPTIONS = (
  '--recursive', '--links', '--perms', '--times', '--specials', '--hard-links',
  '--sparse', '--numeric-ids')
_RECEIVING = ('--delete', '--partial', '--fsync')
# Its last differences are copied while the sibling cannot pull.
_FINAL_DEADLINE = 600
_SIZE_DEADLINE = 600


class _Unfit(Exception):
  """What a sibling has is not to be taken; the message says why."""


def _damaged(archive):
  ledger = archive.ledger
  return {generation.digest for _, generation in archive.index()
          if ledger.is_damaged(generation)}


def gained(archive, theirs):
  """Return what `archive` would gain by being what holds `theirs`, Generations,
  the oldest first.  Raises _Unfit; nothing good is ever given up for it."""
  own, damaged = [item for _, item in archive.index()], _damaged(archive)
  orders = [item.order for item in theirs]
  if any(item.name != own[-1].name for item in theirs) or (
      orders != sorted(set(orders))):
    raise _Unfit('it holds what is not a history of this service')
  if theirs[-1:] != own[-1:]:
    raise _Unfit('its newest generation is not ours, %s' % own[-1].label)
  # What could not be verified may be good.
  lacking = [item.label for item in own
             if item.digest not in damaged and item not in theirs]
  if lacking:
    raise _Unfit('it lacks what is good here: ' + ', '.join(lacking))
  anew = begins_anew(archive)
  found = [item for item in theirs if item.digest in damaged
           or anew and item.order < own[0].order]
  if not found:
    raise _Unfit('it has nothing that is missing here')
  return found


def _require_manifests(archive):
  """Raise _Unfit if increments would be lost that the index cannot name: those
  of the former stack have no manifest, and are older than all that it names.
  What has one, and is not in the index, is of a pull that did not end well."""
  with archive.locked(shared=True):
    for when, generation, _ in reindex.generations(
        archive.repository, archive.place('index'), archive.index()[0][0]):
      if generation is None:
        raise _Unfit(
          'the increment of %s here has no manifest that can be read, and'
          ' would be lost; bin/adopt takes a sibling\'s archive and keeps this'
          ' one' % time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(when)))


def _ask(remote, name):
  answer = remote.ask('generations ' + name)
  found = [from_json(item) for item in answer] if isinstance(
    answer, list) else [None]
  if None in found:
    raise ValueError('%s gave no list of generations' % remote.alias)
  return found


def _best(archive, siblings):
  """Return (Remote of the sibling that has the most to give, what), or (None,
  []).  Why the others give nothing is kept."""
  found = record(archive.configuration, archive.name)
  why, offers = {}, []
  for peer in siblings:
    try:
      remote = Remote(archive.configuration, peer)
      gain = gained(archive, _ask(remote, archive.name))
      refused = beginning.why_refused(found, peer.task, gain)
      if refused:
        raise _Unfit(refused)
      try:
        _require_manifests(archive)
      except _Unfit as error:
        # To look takes long: not again for a day.
        found = dict(found, refused=beginning.refusals(
          found, peer.task, gain, str(error)))
        raise
      offers.append((remote, gain))
    except (Failed, NotIntroduced, ValueError, _Unfit) as error:
      why[peer.task] = str(error)
  if found.get('siblings', {}) != why:
    for alias, reason in sorted(why.items()):
      log.info('archive %s: nothing from %s: %s', archive.name, alias, reason)
  save(archive, dict(found, siblings=why))
  return max(offers, key=lambda offer: len(offer[1]), default=(None, []))


def _require_room(archive, remote):
  size = remote.ask('size ' + archive.name, _SIZE_DEADLINE)
  directory = archive.configuration.archive_directory
  if not isinstance(size, int) or size < 0:
    raise ValueError('%s gave no size' % remote.alias)
  needed = size + size // 10 + archive.configuration.archive_reserve
  if free(directory) < needed:
    raise TransferFailed(
      'there is no room for the history that %s has: %d bytes are free, and %d'
      ' are needed' % (remote.alias, free(directory), needed))


def _fetch(archive, remote, kind, deadline):
  configuration = archive.configuration
  place = archive.place('adopting')
  try:
    if os.path.exists(place):
      make_directories_writable(place)
    run([configuration.rsync, '--rsh', ' '.join(remote.command),
         *RSYNC_OPTIONS, *_RECEIVING,
         '%s:%s/%s/' % (remote.alias, kind, archive.name),
         place + '/'], deadline)
  except Failed:
    if free(configuration.archive_directory) < configuration.archive_reserve:
      # What comes from the leader matters more.
      history.discard(archive)
    raise


def _copy(archive, remote):
  """Have a copy of what `remote` holds.  Returns whether it is whole."""
  configuration, newest = archive.configuration, archive.newest()
  found = record(configuration, archive.name)
  copy = found.get('copy') or {}
  if copy == {'from': remote.alias, 'of': newest.digest}:
    return True
  place = archive.place('adopting')
  if copy.get('from') != remote.alias:
    history.discard(archive)
  if not os.path.exists(place):
    _require_room(archive, remote)
  # What is good here is verified in the very copy that takes its place.
  history.forget(archive, {item.digest for _, item in archive.index()})
  save(archive, dict(found, copy={'from': remote.alias, 'of': ''}))
  try:
    _fetch(archive, remote, 'draft', configuration.verification_deadline)
  except TimeOver:
    # It goes on where it was, after what is more urgent.
    return False
  _fetch(archive, remote, 'final', _FINAL_DEADLINE)
  # The sibling may have pulled meanwhile; then again, when we have, too.
  if manifest.read(place).generation == newest:
    save(archive, dict(found, copy={
      'from': remote.alias, 'of': newest.digest}))
  return False


def _refuse(archive, remote, gain, error):
  found = record(archive.configuration, archive.name)
  save(archive, dict(found, copy=None, refused=beginning.refusals(
    found, remote.alias, gain, str(error))))
  history.discard(archive)
  raise TransferFailed('the archive of %s is not taken: %s' % (
    remote.alias, error)) from error


def _take(archive, remote, offered, report):
  """Verify the copy, and have it be the archive, if it is good.  Raises
  history.Unfinished, TransferFailed."""
  configuration, place = archive.configuration, archive.place('adopting')
  try:
    index = history.verified(
      archive, Repository(configuration, place),
      functools.partial(log.info, '%s: %s', remote.alias),
      time.monotonic() + configuration.verification_deadline)
    # By what is in it, whatever the sibling says.
    gain = gained(archive, [generation for _, generation in index])
  except (_Unfit, history.NotAdopted) as error:
    _refuse(archive, remote, offered, error)
  anew = begins_anew(archive)
  history.take(archive, place, index)
  report.quiet, report.generation = False, index[-1][1].label
  report.message = 'adopted from %s at %s: generations %s to %s, %d of them' \
    ' were missing or damaged here' % (
      remote.alias, remote.peer.host, index[0][1].label, index[-1][1].label,
      len(gain))
  log.warning('archive %s: %s', archive.name, report.message)
  save(archive, {
    **({'first': index[0][1].digest} if anew else {}),
    # What it does not know to be damaged, it offers again.
    'refused': beginning.refusals({}, remote.alias, [
      item for item in offered if item not in gain], 'the rest is damaged'),
    'adopted': {
      'from': remote.alias, 'host': remote.peer.host, 'at': time.time(),
      'first': index[0][1].label, 'last': index[-1][1].label,
      'gained': [item.label for item in gain]}})


def adopt(configuration, peer, report):
  """One step of taking what is missing.  Raises what transfer.py expects."""
  report.quiet = True
  archive = archive_of(configuration, peer)
  if archive.incomplete or archive.repository.cut_short or not archive.index():
    # A pull is due: what is newest comes first.
    return
  note_beginning(archive)
  with history.adopting(archive):
    if not (begins_anew(archive) or _damaged(archive)):
      _clean(archive)
      return
    remote, gain = _best(archive, peer.siblings)
    if remote is None:
      return
    try:
      if _copy(archive, remote):
        _take(archive, remote, gain, report)
        return
    except history.Unfinished:
      pass
    configuration.store.request('adopt-' + peer.name)


def _clean(archive):
  """Nothing is missing any more: no copy is needed, and no reason why not."""
  found = record(archive.configuration, archive.name)
  if found.get('copy'):
    history.discard(archive)
  kept = {key: found[key] for key in ('first', 'adopted') if key in found}
  save(archive, kept)


def task(configuration, peer):
  """One run of the task.  Returns whether it succeeded."""
  return run_task(configuration, 'adopt-' + peer.name,
                  functools.partial(adopt, configuration, peer))
