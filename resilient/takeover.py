"""``bin/takeover``: make this instance the leader.

Of a clone, or of a frozen leader that is brought back.  See "Takeover" in
docs/design.rst.
"""
import logging
import sqlite3
import time

from . import comeback, doubts, essential, succession
from .clone import imported
from .durable import lock, LockTimeout
from .importer import complete as complete_import
from .master import Master, MasterError
from .takeover_journal import Journal, leader_name, unfinished
from .takeover_steps import (
  changed_nothing,
  complete,
  give_up,
  is_superseded,
  withdraw,
)

log = logging.getLogger('resilient.takeover')

_STOPPED = 'The old leader takes no more writes.'
_UNFENCED = (
  'The old leader did not confirm that it stopped: if it runs, it takes writes'
  ' that are lost, until its node freezes it, or, where its release has a'
  ' fencer, until it reaches the SlapOS master or a PBS.')
# Seconds for an import that has nothing to do, and ends at once.
_SHORT_IMPORT = 2


class TakeoverRefused(Exception):
  """Nothing was changed; the message says why and what to do.

  forcible: whether the operator may insist.
  """

  def __init__(self, message, forcible=False):
    super().__init__(message)
    self.forcible = forcible


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
      if journal.left and is_superseded(configuration, own, journal):
        withdraw(configuration, master, own, journal)
        own = master.look(configuration.address)
      elif journal.left and changed_nothing(
          configuration, master, own, journal):
        give_up(configuration, journal)
      if not journal.left:
        if own.title == leader:
          return '%s leads already, nothing was done.' % leader, ''
        journal.record = {}
        _begin(configuration, master, own, journal, force, bring_back)
      problem = ' '.join(filter(None, (
        journal.record.get('half'),
        complete(configuration, master, journal))))
  except succession.Lost as error:
    raise TakeoverRefused('%s; this one stays what it was' % error) from error
  except LockTimeout as error:
    raise TakeoverRefused('a takeover is running here: %s' % error) from error
  except essential.DamagedState as error:
    raise TakeoverRefused(str(error)) from error
  except (ValueError, OSError, sqlite3.Error) as error:
    # A disk that is full, for instance.
    raise TakeoverRefused('%s. %s' % (
      error, unfinished(configuration) or 'Nothing was changed')) from error
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
    'leadership': essential.read(configuration, 'leadership.json'),
    # What it was told before; another claim is of who takes over meanwhile.
    'claim': succession.claim_of(own),
    'broken': succession.broken_title(configuration.address, now)}
  if configuration.role == 'frozen':
    found = comeback.look(configuration, master, own)
    if not bring_back:
      raise TakeoverRefused(comeback.warning(configuration, found))
    last = comeback.sealed(configuration)
    journal.write(
      **common, label=found.label, old=found.leader,
      epoch=found.epoch + (1 if found.leader else succession.UNSEEN),
      known=found.claim, gone=found.gone,
      generation=last and last.to_json())
    return
  if own.type == succession.FROZEN:
    raise TakeoverRefused('this clone was replaced: %s' % (
      succession.describe(own.parameters)))
  half = ''
  try:
    # Once the journal is there, no import begins any more.
    with lock(configuration.state('import.lock'), deadline=(
        configuration.lock_deadline if force else _SHORT_IMPORT)) as descriptor:
      try:
        held, head = _held(configuration, master)
      except essential.DamagedState:
        if not force:
          raise
      if force:
        # Not before the master has answered: else nothing is changed.
        half = complete_import(configuration, descriptor)
        held, head = _held(configuration, master)
      if held is None:
        raise TakeoverRefused(doubts.nothing_loaded(configuration))
      epoch = _check(configuration, head, force)
      gone = _is_gone(head)
      journal.write(
        **common, label=held.label, half=half, gone=gone,
        old=head.address if head and not gone else None,
        known=head and succession.claim_of(head.instance),
        epoch=max(held.epoch, head.epoch if head else 0, epoch) + (
          succession.UNSEEN if gone else 1),
        generation=held.to_json())
  except LockTimeout as error:
    raise TakeoverRefused(
      'an import is running here, and what it loads is newer: wait for its'
      ' end', forcible=True) from error


def _held(configuration, master):
  """Return the generation that the service holds, or None, and the
  succession.Head of the chain of its leader, or None.  Raises MasterError."""
  held, _ = imported(configuration)
  return held, succession.head(
    master, held.leader, leader_name(configuration)) if (
      held and '/' in held.leader) else None


def _is_own(configuration, head):
  """Whether the last claim is ours, of a journal that was lost."""
  return bool(head) and head.address == configuration.address and bool(
    # Else this partition was that of a leader, or of a clone, once.
    head.claim and head.instance.title)


def _is_gone(head):
  """Whether the master does not know any more who is to be replaced."""
  return bool(head) and not head.instance.title


def _check(configuration, head, force):
  """Return the largest epoch that anybody tells of.  Raises TakeoverRefused.
  """
  if _is_own(configuration, head):
    return 0
  found = doubts.doubts(configuration, head)
  if _is_gone(head):
    found.reasons.append(
      'the SlapOS master does not know the leader (%s) any more' % head.address)
  elif head and head.claim and (
      head.instance.title != leader_name(configuration)):
    found.reasons.append(
      '%s, and did not complete it: run bin/takeover there' % (
        succession.describe(head.claim)))
  for sentence in found.unknown + found.reasons:
    log.warning('takeover: %s', sentence)
  if found.reasons and not force:
    raise TakeoverRefused('; '.join(found.reasons + found.unknown) + '.',
                          forcible=True)
  return found.epoch


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
