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
    status = peer_status.ask(configuration, url, timeout=3) or {}
    if (status.get('leadership') or {}).get('stopped'):
      return True
    time.sleep(0.1)
  return False


def has_taken_over(configuration):
  """Whether the clone of `configuration` has become the leader at the master.
  """
  return 'renamed' in Journal(configuration).record.get('done', ())


def stopped(configuration):
  """Whether this leader was replaced, and its service refuses writes."""
  return bool(replaced(configuration) and _record(configuration)['fenced'])


def _by_master(configuration, master):
  """Return (epoch, why, None) if the master says that another one leads.
  Raises MasterError."""
  own = master.look(configuration.address)
  if not own.title:
    # A master that misses an instance for a moment answers so.
    raise MasterError('the SlapOS master gives this instance no title')
  if own.type != succession.FROZEN and own.title == configuration.name + '0':
    return None
  epoch = own.parameters.get('epoch', '')
  why = 'the SlapOS master has it as %s, of type %s' % (own.title, own.type)
  if own.parameters.get(succession.SUCCESSOR):
    why = succession.describe(own.parameters)
  return int(epoch) if epoch.isdigit() else 0, why, None


def _by_pbs(configuration, reached):
  """Return ((epoch, why, URL) or None, URLs of those that answered): if any PBS
  knows of a later leader.

  reached: whether the master says that this is the leader.
  """
  # Not with the module: each gate imports it, and must start fast.
  from . import peer_status
  own, found = own_epoch(configuration), None
  urls = getattr(configuration, 'notify', ())
  answers = peer_status.ask_all(configuration, urls)
  for url, status in answers.items():
    epoch = peer_status.epoch(status, configuration.name)
    if epoch > own:
      why = 'the PBS at %s has backups of epoch %d, and this is %d' % (
        url, epoch, own)
      if reached:
        why += (', though the SlapOS master has this as the leader; if it is to'
                ' lead, write {"epoch": %d} to %s' % (
                  epoch + 1, configuration.state('leadership.json')))
      found = epoch, why, url
  return found, {url for url, status in answers.items() if status is not None}


def _lets_go(configuration, record, reached, answered):
  """Whether a leader that was replaced, as `record` says, leads again."""
  if not replaced(configuration):
    return True
  # Who said it takes it back, or is no PBS of this leader any more.
  pbs = record.get('pbs')
  return reached and (
    not pbs or pbs in answered
    or pbs not in getattr(configuration, 'notify', ()))


def look(configuration, master):
  """Find out, and act on it.  Raises Failed if fencer or promoter fails, and
  essential.DamagedState."""
  found, reached, answered = None, True, set()
  try:
    found = _by_master(configuration, master(configuration))
  except MasterError as error:
    reached = False
    log.info('whether this leader was replaced: %s', error)
  if not found:
    found, answered = _by_pbs(configuration, reached)
  try:
    _act(configuration, found, reached, answered)
  except essential.DamagedState:
    if found:
      # That is enough, whatever is damaged here.
      _run(configuration.fencer, configuration.fencer_deadline)
    raise


def _act(configuration, found, reached, answered):
  """found: (epoch, why, URL of the PBS that says it, or None for the master)
  or None.  reached: whether the master answered.  answered: URLs of the PBS
  that did."""
  path, record = configuration.state('replaced.json'), _record(configuration)
  if found:
    epoch, why, pbs = found
    own = own_epoch(configuration)
    if not replaced(configuration):
      log.error('this leader has been replaced: %s', why)
      record = {'at': time.time(), 'why': why, 'fenced': False}
    is_new = not record['fenced'] or record.get('epoch', 0) < epoch
    if is_new or record.get('pbs') != pbs:
      # First known, then fenced: nothing is exported from here on.
      record.update(epoch=max(epoch, own + 1), pbs=pbs, opened=False)
      write_json(path, record)
    if is_new:
      _fence(configuration, record)
  elif record and _lets_go(configuration, record, reached, answered):
    log.info('this leader leads again')
    # From here on the service may be open, whatever becomes of the promoter.
    write_json(path, dict(record, fenced=False, opened=True))
    _run(configuration.promoter, configuration.promoter_deadline)
    remove(path)
  elif record and not record['fenced'] and not record.get('opened'):
    # Who said it cannot be asked any more, and the fencer failed then.
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
