"""The steps of a takeover that was decided; each can be repeated."""
import contextlib
import logging

from . import leadership, succession
from .durable import remove, write_json
from .generation import from_json
from .master import MasterError, NoInstance
from .process import Failed, run
from .takeover_journal import leader_name, STEPS

log = logging.getLogger('resilient.takeover')


def is_superseded(configuration, own, journal):
  """Whether another one took over from this one, since the journal began."""
  return (
    configuration.role == 'import' and own.type == succession.FROZEN
    # A journal of an earlier release does not tell what the claim was.
    or 'claim' in journal.record
    and succession.claim_of(own) not in (None, journal.record['claim']))


def changed_nothing(configuration, master, own, journal):
  """Whether the old leader leads on, as far as the master knows: it had the
  time to go on, and all has to be checked again.  Raises MasterError.
  """
  record, leader = journal.record, leader_name(configuration)
  if own.title == leader or 'renamed' in record['done']:
    return False
  old = record['old']
  if old is None:
    # Not yet looked for, or nobody was there to be replaced.
    return True
  if 'replaced' in record['done']:
    return False
  found = succession.find(master, old)
  return found.type != succession.FROZEN and not found.title.startswith(
    succession.BROKEN)


def withdraw(configuration, master, own, journal):
  """Another one took over from this one, whose instance is `own`.  Raises
  MasterError."""
  if own.title == leader_name(configuration):
    # Its own rename was on its way meanwhile: two would have this title.
    master.rename(configuration.address, succession.broken_title(
      configuration.address, journal.record['at']))
  if configuration.role == 'import' and 'renamed' in journal.record['done']:
    # Its service may take writes: its queue fences it, and loads nothing, as
    # long as the journal is there.
    journal.write(done=list(STEPS))
  else:
    give_up(configuration, journal)


def give_up(configuration, journal):
  """This one does not take over: be again what it was."""
  before = journal.record['leadership']
  if before is None:
    remove(configuration.state('leadership.json'))
  else:
    write_json(configuration.state('leadership.json'), before)
  if configuration.role == 'import':
    remove(configuration.takeover_triggered)
  journal.forget()


def complete(configuration, master, journal):
  """Do what is left to do, step by step; return what failed, or ''.

  Raises succession.Lost, after which there is no journal; MasterError.
  """
  problem = ''
  for name in STEPS:
    if name not in journal.record['done']:
      failed = _STEPS[name](configuration, master, journal)
      problem = failed or problem
      if not failed:
        journal.write(done=journal.record['done'] + [name])
        log.info('takeover: %s', name)
  return problem


def _fence(configuration, _, journal):
  # What this leader seals is newer than all that the old one can seal.
  write_json(configuration.state('leadership.json'), {
    'epoch': journal.record['epoch'], 'since': journal.record['at']})
  if configuration.role == 'import':
    write_json(configuration.takeover_triggered,
               {'since': journal.record['at']})


def _replace(configuration, master, journal):
  facts = journal.facts(configuration)
  if journal.record['old'] is None:
    # Its address is not known: it is told to who stops it.
    try:
      journal.write(old=master.request(
        leader_name(configuration), succession.FROZEN,
        {'namebase': configuration.name}, 'stopped'))
    except NoInstance as error:
      if not journal.record.get('gone'):
        raise
      log.warning('takeover: nobody is replaced: %s', error)
      return
  old = journal.record['old']
  try:
    if old != configuration.address:
      succession.replace(master, old, facts, journal.record['broken'],
                         journal.record.get('known'))
  except succession.Lost:
    give_up(configuration, journal)
    raise


def _rename(configuration, master, journal):
  own = master.look(configuration.address)
  leader = leader_name(configuration)
  if own.title != leader and not is_superseded(configuration, own, journal):
    master.rename(configuration.address, leader)
    # Who insists may have taken over while that was on its way.
    own = master.look(configuration.address)
  if is_superseded(configuration, own, journal):
    withdraw(configuration, master, own, journal)
    raise succession.Lost(succession.describe(own.parameters))


def _promote(configuration, _master, _journal):
  """Have the service take writes now; return what failed, or ''."""
  if configuration.promoter:
    try:
      run([configuration.promoter], configuration.promoter_deadline)
    except Failed as error:
      log.error('takeover: the promoter failed: %s', error)
      return ('The service does not take writes yet, for its promoter failed:'
              ' %s. Run bin/takeover again, or wait for the next runs of the'
              ' node.' % error)
  return ''


def _bang(configuration, master, journal):
  record = journal.record
  master.bang('%s takes over as %s' % (
    record['title'], leader_name(configuration)))
  # Let the old leader look now, if it can be reached; it looks anyway.
  generation, told = from_json(record['generation']), False
  if record['old']:
    with contextlib.suppress(MasterError, KeyError):
      url = master.look(record['old']).values['notification-url']
      told = bool(generation) and leadership.tell(
        configuration, url, generation)
  journal.write(told=told)


_STEPS = {'fenced': _fence, 'replaced': _replace, 'renamed': _rename,
          'promoted': _promote, 'banged': _bang}
