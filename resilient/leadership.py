"""Task ``leadership`` of a leader: does it still lead?

A leader that was cut off when it was replaced finds out, by the SlapOS master
or by any PBS, and then refuses to export and has its service refuse writes.
See "Takeover" in docs/design.rst.
"""
import logging
import time

from . import essential, succession
from .durable import remove, write_json
from .master import Master, MasterError
from .process import Failed, run
from .takeover_journal import Journal

log = logging.getLogger('resilient.leadership')
TASK = 'leadership'
# Seconds for an old leader that was told.
_PATIENCE = 5


def own_epoch(configuration):
  """Return the epoch of this leader.  Raises essential.DamagedState."""
  sealed, _ = essential.seal(configuration)
  told = essential.read(configuration, 'leadership.json') or {'epoch': 1}
  return max(told['epoch'], sealed.epoch if sealed else 1)


def _record(configuration):
  return essential.read(configuration, 'replaced.json')


def replaced(configuration):
  """Return why this leader must not export, or ''."""
  record = _record(configuration)
  if record is None or record['epoch'] <= own_epoch(configuration):
    # The second: it was brought back.
    return ''
  return 'this leader has been replaced: ' + record['why']


def tell(configuration, url, generation):
  """Have the leader that takes hints at `url` look whether it was replaced.
  Return whether it says, within seconds, that it has stopped."""
  from . import http_client, notify, peer_status
  try:
    notify.post(configuration, url, generation, timeout=3)
  except http_client.Refused as error:
    # It hears a generation once: this takeover may have been run before.
    log.info('the old leader at %s does not take the hint: %s', url, error)
  except (OSError, ValueError) as error:
    log.info('the old leader at %s was not told: %s', url, error)
    return False
  end = time.monotonic() + _PATIENCE
  while time.monotonic() < end:
    if peer_status.has_stopped(
        peer_status.ask(configuration, url, timeout=3)):
      return True
    time.sleep(0.1)
  return False


def has_taken_over(configuration):
  """Whether the clone of `configuration` has become the leader at the master.
  """
  return 'renamed' in Journal(configuration).record.get('done', ())


def stopped(configuration):
  """Whether this leader was replaced, and its service refuses writes: never
  without a fencer."""
  return bool(replaced(configuration) and _record(configuration)['fenced'])


def start(configuration):
  """The queue starts, with its node maybe, and the service with it: a leader
  that was replaced is fenced again, in case that what the fencer did is gone.
  """
  try:
    record = _record(configuration)
    if record and record['fenced']:
      write_json(configuration.state('replaced.json'),
                 dict(record, fenced=False))
  except (OSError, essential.DamagedState) as error:
    log.error('the fencer does not run again: %s', error)


def _by_master(configuration, master):
  """Return (epoch, why) if the master says that another one leads.  Raises
  MasterError."""
  own = master.look(configuration.address)
  if not own.title:
    # A master that misses an instance for a moment answers so.
    raise MasterError('the SlapOS master gives this instance no title')
  if own.type != succession.FROZEN and own.title == configuration.name + '0':
    return None
  why = 'the SlapOS master has it as %s, of type %s' % (own.title, own.type)
  if own.parameters.get(succession.SUCCESSOR):
    why = succession.describe(own.parameters)
  return succession.epoch_of(own.parameters), why


def _by_pbs(configuration, reached):
  """Return ((epoch, why) or None, {URL: whether it knows of a later leader} of
  each PBS that answered).

  reached: whether the master says that this is the leader.
  """
  # Not with the module: each gate imports it, and must start fast.
  from . import peer_status
  own, found = own_epoch(configuration), None
  urls = getattr(configuration, 'notify', ())
  epochs = {
    url: peer_status.epoch(status, configuration.name)
    for url, status in peer_status.ask_all(configuration, urls).items()
    if status is not None}
  url = max(epochs, key=epochs.get, default=None)
  if url and epochs[url] > own:
    why = 'the PBS at %s has backups of epoch %d, and this is %d' % (
      url, epochs[url], own)
    if reached:
      why += (', though the SlapOS master has this as the leader; if it is to'
              ' lead, write {"epoch": %d} to %s' % (
                epochs[url] + 1, configuration.state('leadership.json')))
    found = epochs[url], why
  return found, {url: epoch > own for url, epoch in epochs.items()}


def _lets_go(configuration, record, reached):
  """Whether a leader that was replaced, as `record` says, leads again."""
  if not replaced(configuration):
    return True
  # Each PBS that said it takes it back, or is none of this leader any more.
  return reached and not set(record['pbs'].split()).intersection(
    getattr(configuration, 'notify', ()))


def look(configuration, master):
  """Find out, and act on it.  Raises Failed if fencer or promoter fails, and
  essential.DamagedState."""
  found, reached, said = None, True, {}
  try:
    found = _by_master(configuration, master(configuration))
  except MasterError as error:
    reached = False
    log.info('whether this leader was replaced: %s', error)
  try:
    if not found:
      found, said = _by_pbs(configuration, reached)
    _act(configuration, found, reached, said)
  except essential.DamagedState:
    if found or _was_replaced(configuration):
      # That is enough, whatever is damaged here.
      _run(configuration.fencer, configuration.fencer_deadline)
    raise


def _was_replaced(configuration):
  """Whether it is known here, for all that can be read, that another one
  leads."""
  try:
    record = _record(configuration)
  except essential.DamagedState:
    return False
  return bool(record) and not record.get('opened')


def _act(configuration, found, reached, said):
  """found: (epoch, why) or None.  reached: whether the master answered.  said:
  {URL: whether it knows of a later leader} of each PBS that answered."""
  path, before = configuration.state('replaced.json'), _record(configuration)
  record = dict(before or {})
  if found:
    epoch, why = found
    if not replaced(configuration):
      log.error('this leader has been replaced: %s', why)
      record = {'at': time.time(), 'why': why, 'fenced': False,
                'epoch': own_epoch(configuration) + 1}
    if epoch > record['epoch']:
      record.update(epoch=epoch, why=why, fenced=False)
    record['opened'] = False
  if not record:
    return
  # Who is silent takes nothing back.
  told = [url for url in (record.get('pbs') or '').split()
          if said.get(url, True)]
  record['pbs'] = ' '.join(sorted({*told, *filter(said.get, said)}))
  if record != before:
    # First known, then fenced: nothing is exported from here on.
    write_json(path, record)
  if not found and _lets_go(configuration, record, reached):
    log.info('this leader leads again')
    # From here on the service may be open, whatever becomes of the promoter.
    write_json(path, dict(record, fenced=False, opened=True))
    _run(configuration.promoter, configuration.promoter_deadline)
    remove(path)
  elif (configuration.fencer and not record['fenced']
        and not record.get('opened')):
    # Also when who said it cannot be asked any more.
    _fence(configuration, record)


def _fence(configuration, record):
  """Have the service refuse writes, and note that it does."""
  _run(configuration.fencer, configuration.fencer_deadline)
  write_json(configuration.state('replaced.json'), dict(record, fenced=True))


def _run(program, deadline):
  if program:
    run([program], deadline)


def task(configuration, master=Master):
  """One run of the task.  Returns whether it succeeded.

  master: returns the Master of a configuration.
  """
  with configuration.store.recording(TASK) as report:
    report.quiet = True
    try:
      look(configuration, master)
    except (Failed, OSError, ValueError) as error:
      log.error('leadership: %s', error)
      report.failed(str(error))
    return report.success
