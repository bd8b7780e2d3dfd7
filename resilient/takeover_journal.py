"""``takeover.json``: what a takeover decided, and how far it came."""
import time

from . import essential, succession
from .durable import remove, write_json

STEPS = ('fenced', 'replaced', 'renamed', 'promoted', 'banged')


def leader_name(configuration):
  """Return the name of the instance that leads."""
  return configuration.name + '0'


class Journal:
  """The journal of the partition of `configuration`; `record` is all of it,
  and empty if there is none.

  Raises essential.DamagedState.
  """

  def __init__(self, configuration):
    self._path = configuration.state('takeover.json')
    self.record = essential.read(configuration, 'takeover.json') or {}

  @property
  def left(self):
    """The steps that are left of a takeover that was begun."""
    return [name for name in STEPS
            if self.record and name not in self.record['done']]

  def write(self, **changes):
    """Change the record, durably."""
    self.record.update(changes)
    write_json(self._path, self.record)

  def forget(self):
    """There is no takeover."""
    self.record = {}
    remove(self._path)

  def facts(self, configuration):
    """Return the parameters of the instance that is replaced."""
    return {
      'namebase': configuration.name,
      succession.SUCCESSOR: configuration.address,
      'successor-title': self.record['title'],
      'epoch': str(self.record['epoch']),
      'generation': self.record['label'],
      'date': time.strftime(
        '%Y-%m-%d %H:%M:%S UTC', time.gmtime(self.record['at']))}


def unfinished(configuration):
  """Return a sentence on a takeover that was begun here and is not complete, or
  of which nobody knows how far it came, for the journal is damaged; or ''."""
  try:
    left = Journal(configuration).left
  except essential.DamagedState as error:
    return str(error)
  return left and (
    'a takeover was begun here and is not complete (left: %s): run bin/takeover'
    ' again, with the options that it had' % ', '.join(left)) or ''
