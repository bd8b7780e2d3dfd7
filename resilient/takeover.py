"""``bin/takeover``: make this clone the leader.

See "Takeover" in docs/design.rst.
"""
import contextlib
import logging
import time

from . import clone
from .durable import lock, LockTimeout, read_json, write_json
from .master import Master, MasterError

log = logging.getLogger('resilient.takeover')


class TakeoverRefused(Exception):
  """Nothing was changed; the message says why and what to do."""


class _Journal:
  """``takeover.json``: what was decided, and the last step that is complete."""

  def __init__(self, configuration):
    self._path = configuration.state('takeover.json')
    self.record = read_json(self._path, {})

  def write(self, **changes):
    """Change the record, durably."""
    self.record.update(changes)
    write_json(self._path, self.record)

  @contextlib.contextmanager
  def step(self, name):
    """Yield whether step `name` still has to be done, and note that it was."""
    todo = name not in self.record['done']
    yield todo
    if todo:
      self.write(done=self.record['done'] + [name])
      log.info('takeover: %s', name)


def leader_name(configuration):
  """Return the name of the instance that leads."""
  return configuration.name + '0'


def _begin(configuration, journal):
  """Decide, once.  Raises TakeoverRefused."""
  if journal.record:
    return
  generation, _ = clone.imported(configuration)
  if generation is None:
    raise TakeoverRefused(
      'No backup downloaded yet, takeover should not happen now.')
  journal.write(
    done=[], generation=generation.to_json(), epoch=generation.epoch + 1,
    broken=time.strftime('broken-%Y%m%d-%H%M%S', time.gmtime()))


def takeover(configuration, master=None):
  """Make this clone the leader; return a sentence on what happened.

  May be run again at any time, after any interruption.

  Raises TakeoverRefused, MasterError.
  """
  master = master or Master(configuration)
  leader = leader_name(configuration)
  try:
    with lock(configuration.state('takeover.lock')):
      # An import that runs is waited for; the next one sees the journal.
      with lock(configuration.state('import.lock'),
                deadline=configuration.lock_deadline):
        journal = _Journal(configuration)
        own_name = master.own_name()
        if own_name == leader and 'banged' in journal.record.get(
            'done', ['banged']):
          return '%s leads already, nothing was done.' % leader
        _begin(configuration, journal)
      _steps(configuration, master, journal, own_name)
  except LockTimeout as error:
    raise TakeoverRefused(
      'a takeover or an import is running here: %s' % error) from error
  return '%s is now %s, with generation %d.%d of the data.' % (
    own_name, leader, journal.record['generation']['epoch'],
    journal.record['generation']['sequence'])


def _steps(configuration, master, journal, own_name):
  leader = leader_name(configuration)
  record = journal.record
  with journal.step('fenced') as todo:
    if todo:
      # What this leader seals is newer than all that the old one can seal.
      write_json(configuration.state('leadership.json'),
                 {'epoch': record['epoch'], 'since': time.time()})
      write_json(configuration.takeover_triggered, {'since': time.time()})
  with journal.step('frozen') as todo:
    if todo and own_name != leader:
      journal.write(old=master.freeze(leader))
  with journal.step('renamed') as todo:
    if todo and 'old' in record:
      master.rename(*record['old'], record['broken'])
      master.rename(configuration.computer_id, configuration.partition_id,
                    leader)
  with journal.step('banged') as todo:
    if todo:
      master.bang('%s takes over from %s' % (own_name, leader))


def main(configuration):
  """Take over, and say so.  Returns the exit status."""
  try:
    print('Success. ' + takeover(configuration))
  except (TakeoverRefused, MasterError) as error:
    print('Refused. %s' % error)
    return 1
  return 0
