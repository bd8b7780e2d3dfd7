"""Which tasks the queue of a partition has."""
import functools
import logging
import typing

from . import (
  importer,
  leadership,
  pull,
  push,
  restore,
  sibling,
  verification,
)

log = logging.getLogger('resilient.tasks')


class Task(typing.NamedTuple):
  """name: as in the queue.  run: does one run and returns whether it
  succeeded.  timed: whether the timer asks for it, too."""
  name: str
  run: typing.Callable
  timed: bool


def tasks(configuration):
  """Return {name: Task}, in the order in which they are preferred.

  Raises InvalidConfiguration.
  """
  if configuration.role == 'export':
    return {leadership.TASK: Task(
      leadership.TASK, functools.partial(leadership.task, configuration), True)}
  if configuration.role == 'import':
    found = [Task('import', functools.partial(importer.task, configuration),
                  True)]
    return {task.name: task for task in found}
  peers, wrong = configuration.peers()
  for sentence in wrong:
    log.error('%s', sentence)
  found = []
  for peer in peers:
    if peer.kind == 'pull':
      found.append(Task(
        peer.task, functools.partial(pull.task, configuration, peer), True))
      found.append(Task(
        'prune-' + peer.name,
        functools.partial(pull.prune_task, configuration, peer), True))
      found.append(Task(
        'verify-' + peer.name,
        functools.partial(verification.task, configuration, peer), True))
      found.append(Task(
        'drill-' + peer.name,
        functools.partial(restore.drill_task, configuration, peer), False))
      found.append(Task(
        'adopt-' + peer.name,
        functools.partial(sibling.task, configuration, peer), True))
    else:
      found.append(Task(
        peer.task, functools.partial(push.task, configuration, peer), True))
  # New data first to the archive, then to the clone; care can wait.
  order = ('pull', 'push', 'prune', 'verify', 'drill', 'adopt')
  found.sort(key=lambda task: order.index(task.name.partition('-')[0]))
  return {task.name: task for task in found}
