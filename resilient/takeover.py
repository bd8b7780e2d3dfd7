"""``bin/takeover``: make this instance the leader.

Of a clone, or of a frozen leader that is brought back.  See "Takeover" in
docs/design.rst.
"""
import contextlib
import logging
import time

from . import comeback, doubts, leadership, succession
from .clone import imported
from .durable import lock, LockTimeout, read_json, remove, write_json
from .generation import from_json
from .master import Master, MasterError
from .process import Failed, run
from .takeover_journal import Journal, STEPS, unfinished

log = logging.getLogger('resilient.takeover')

_STOPPED = 'The old leader takes no more writes.'
_UNFENCED = (
  'The old leader did not confirm that it stopped: if it runs, it takes writes'
  ' that are lost, until it reaches the SlapOS master or a PBS, or its node'
  ' freezes it.')
# Seconds for an import that has nothing to do, and ends at once.
_SHORT_IMPORT = 2


class TakeoverRefused(Exception):
  """Nothing was changed; the message says why and what to do.

  forcible: whether the operator may insist.
  """

  def __init__(self, message, forcible=False):
    super().__init__(message)
    self.forcible = forcible


def leader_name(configuration):
  """Return the name of the instance that leads."""
  return configuration.name + '0'


def takeover(configuration, force=False, bring_back=False, master=None):
  """Make this instance the leader; return a sentence on what happened, and
  what failed without undoing it, or ''.

  force: whatever speaks against it.  bring_back: in a frozen leader.
  May be run again at any time, after any interruption.

  Raises TakeoverRefused, MasterError.
  """
  leader = leader_name(configuration)
  try:
    with lock(configuration.state('takeover.lock')):
      master = master or Master(configuration)
      own = master.look(configuration.address)
      journal = Journal(configuration)
      if not journal.left:
        if own.title == leader:
          return '%s leads already, nothing was done.' % leader, ''
        journal.record = {}
        _begin(configuration, master, own, journal, force, bring_back)
      problem = _steps(configuration, master, journal)
  except LockTimeout as error:
    raise TakeoverRefused('a takeover is running here: %s' % error) from error
  return '%s is now %s, with generation %s of the data and epoch %d. %s' % (
    journal.record['title'], leader, journal.record['label'],
    journal.record['epoch'],
    _STOPPED if journal.record.get('told') else _UNFENCED), problem


def _begin(configuration, master, own, journal, force, bring_back):
  """Decide, once, and write the journal.  Raises TakeoverRefused, MasterError.
  """
  now = time.time()
  common = {
    'done': [], 'title': own.title, 'at': now,
    'leadership': read_json(configuration.state('leadership.json')),
    # No other candidate uses this one.
    'broken': succession.BROKEN + '%s-%s' % (
      time.strftime('%Y%m%d-%H%M%S', time.gmtime(now)),
      configuration.partition_id)}
  if configuration.role == 'frozen':
    found = comeback.look(configuration, master, own)
    if not bring_back:
      raise TakeoverRefused(comeback.warning(configuration, found))
    last = comeback.sealed(configuration)
    journal.write(
      **common, label=found.label, epoch=found.epoch + 1, old=found.leader,
      generation=last and last.to_json())
    return
  if own.type == succession.FROZEN:
    raise TakeoverRefused('this clone was replaced: %s' % (
      succession.describe(own.parameters)))
  try:
    # Once the journal is there, no import begins any more.
    with lock(configuration.state('import.lock'), deadline=(
        configuration.lock_deadline if force else _SHORT_IMPORT)):
      held, _ = imported(configuration)
      if held is None:
        raise TakeoverRefused(doubts.nothing_loaded(configuration))
      head = None
      if '/' in held.leader:
        head = succession.head(master, held.leader, leader_name(configuration))
      _check(configuration, head, force)
      journal.write(
        **common, label=held.label, old=head and head.address,
        epoch=max(held.epoch, head.epoch if head else 0) + 1,
        generation=held.to_json())
  except LockTimeout as error:
    raise TakeoverRefused(
      'an import is running here, and what it loads is newer: wait for its'
      ' end', forcible=True) from error


def _check(configuration, head, force):
  if head and head.address == configuration.address:
    # The claim is ours, of a journal that was lost.
    return
  found = doubts.doubts(configuration, head)
  if head and head.claim and head.instance.title != leader_name(configuration):
    found.reasons.append(
      '%s, and did not complete it: run bin/takeover there' % (
        succession.describe(head.claim)))
  for sentence in found.unknown + found.reasons:
    log.warning('takeover: %s', sentence)
  if found.reasons and not force:
    raise TakeoverRefused('; '.join(found.reasons + found.unknown) + '.',
                          forcible=True)


def _steps(configuration, master, journal):
  """Do what is left to do, step by step; return what failed, or ''."""
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
  leader = leader_name(configuration)
  facts = journal.facts(configuration)
  if journal.record['old'] is None:
    # Its address is not known: it is told to who stops it.
    journal.write(old=master.request(
      leader, succession.FROZEN, {'namebase': configuration.name}, 'stopped'))
  old = journal.record['old']
  try:
    if old != configuration.address:
      succession.replace(master, old, facts, leader, journal.record['broken'])
  except succession.Lost as error:
    _give_up(configuration, journal)
    raise TakeoverRefused('%s; this one stays what it was' % error) from error


def _rename(configuration, master, journal):
  own = master.look(configuration.address)
  leader = leader_name(configuration)
  if own.title == leader:
    return
  if configuration.role == 'import' and own.type == succession.FROZEN:
    _give_up(configuration, journal)
    raise TakeoverRefused('meanwhile this clone was replaced: %s' % (
      succession.describe(own.parameters)))
  master.rename(configuration.address, leader)


def _give_up(configuration, journal):
  """Another one takes over: be again what this instance was."""
  before = journal.record['leadership']
  if before is None:
    remove(configuration.state('leadership.json'))
  else:
    write_json(configuration.state('leadership.json'), before)
  if configuration.role == 'import':
    remove(configuration.takeover_triggered)
  journal.forget()


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
  with contextlib.suppress(MasterError, KeyError):
    url = master.look(record['old']).values['notification-url']
    told = bool(generation) and leadership.tell(configuration, url, generation)
  journal.write(told=told)


_STEPS = {'fenced': _fence, 'replaced': _replace, 'renamed': _rename,
          'promoted': _promote, 'banged': _bang}


def main(configuration, force=False, bring_back=False):
  """Take over, and say so.  Returns the exit status: 0 for done, 1 for refused
  or not complete."""
  try:
    answer, problem = takeover(configuration, force, bring_back)
  except TakeoverRefused as error:
    print('Refused. %s%s' % (
      error, ' To insist: bin/takeover --force' if error.forcible else ''))
    return 1
  except MasterError as error:
    print('Refused. %s. %s' % (error, unfinished(configuration) or (
      'Nothing was changed.')))
    return 1
  print('Success. ' + answer)
  if problem:
    print(problem)
  return 1 if problem else 0
