"""Service ``equeue``: runs the partition's tasks, one at a time.

See "Queue" in docs/design.rst.
"""
import logging
import os
import random
import select
import sqlite3
import time

from . import heartbeat, leadership
from .clock import note_deployment
from .configuration import Watched
from .durable import lock
from .reserve import Reserve
from .service import become_successor, is_outdated, stop_on_signal, Stopped
from .tasks import tasks

log = logging.getLogger('resilient.equeue')

_FIRST_RETRY = 2
# What an orphan of a killed worker may take to notice that it is one.
_LOCK_WAIT = 60
# Seconds after which a new configuration is seen at the latest.
_LONGEST_PAUSE = 5


class Worker:
  """Decides which task runs next.

  The preferred one, as long as each has its turn: when pulls alone take all the
  time, what was passed over for longer than check-interval goes first.

  The clock is monotonic: a wall clock that jumps delays nothing.  Back-off is
  not durable: who restarts the queue wants to see it try.
  """

  def __init__(self, configuration, registry, clock=time.monotonic):
    self._configuration = configuration
    self._store = configuration.store
    self._registry = registry
    self._clock = clock
    self._failures = dict.fromkeys(registry, 0)
    now = clock()
    self._not_before = dict.fromkeys(registry, now)
    self._timer = {task.name: now for task in registry.values() if task.timed}
    # When what is due was first passed over.
    self._waiting = {}

  def _is_due(self, name, pending, now):
    return now >= self._not_before[name] and (
      name in pending or now >= self._timer.get(name, float('inf')))

  def _next(self, pending):
    now = self._clock()
    due = [name for name in self._registry if self._is_due(name, pending, now)]
    self._waiting = {name: self._waiting.get(name, now) for name in due}
    longest = now - self._configuration.check_interval
    overdue = [name for name in due if self._waiting[name] < longest]
    name = min(overdue, key=self._waiting.get) if overdue else next(
      iter(due), None)
    self._waiting.pop(name, None)
    return name

  def run_next(self):
    """Run one task that is due, if any.  Returns whether there was one."""
    pending = self._store.pending()
    for name in pending.keys() - self._registry.keys():
      log.info('%s no longer exists and is forgotten', name)
      self._store.forget(name)
    name = self._next(pending)
    if name is None:
      return False
    started = self._clock()
    heartbeat.beat(self._configuration, 'equeue', name)
    try:
      success = self._registry[name].run()
    except Exception:
      # A defect of ours must not end the queue, and must not be silent.
      log.exception('%s failed in a way that was not foreseen', name)
      success = False
    now = self._clock()
    interval = self._configuration.check_interval
    if name in self._timer:
      # Spread: partitions that were started together do not look together.
      self._timer[name] = now + interval * random.uniform(0.9, 1.1)
    if success:
      self._failures[name] = 0
      if name in pending:
        self._store.complete(name, pending[name])
      log.info('%s finished successfully in %.1f s', name, now - started)
    else:
      delay = min(_FIRST_RETRY * 2 ** self._failures[name], interval)
      self._failures[name] = min(self._failures[name] + 1, 16)
      self._not_before[name] = now + delay
      if name in self._timer:
        self._timer[name] = now + delay
      log.info('%s failed, and runs again in %d s', name, delay)
    return True

  def pause(self):
    """Return how many seconds nothing is due, unless somebody asks."""
    pending = self._store.pending()
    moments = [max(self._not_before[name], self._timer.get(name, 0))
               for name in self._timer]
    moments += [self._not_before[name] for name in pending
                if name in self._not_before]
    wake = min(moments, default=self._clock() + 60)
    return max(0, min(wake - self._clock(), 60))


def main(configuration):
  """Serve until SIGTERM.  Returns the exit status.

  Raises LockTimeout if another worker serves this partition.
  """
  store = configuration.store
  store.create()
  with lock(configuration.state('equeue.lock'), deadline=_LOCK_WAIT):
    stop_on_signal()
    watched = Watched(configuration)
    # Opened for reading and writing, so that there always is a writer and
    # reading never finds an end.
    wake = os.open(store.wake_path, os.O_RDWR | os.O_NONBLOCK)
    log.info('the queue has started')
    leadership.start(configuration)
    try:
      while not is_outdated(watched, configuration):
        _serve(watched, wake)
    except Stopped:
      log.info('the queue has stopped')
      return 0
    finally:
      os.close(wake)
  become_successor(watched.current(), 'equeue')
  return 0


def _serve(watched, wake):
  """Run tasks until the configuration changes."""
  configuration = watched.current()
  worker = Worker(configuration, tasks(configuration))
  while not watched.changed:
    try:
      heartbeat.beat(configuration, 'equeue')
      note_deployment(configuration)
      if worker.run_next():
        continue
      pause = min(worker.pause(), _LONGEST_PAUSE)
    except (OSError, sqlite3.Error):
      # A full disk, most likely: to end would be no remedy, for nobody would
      # start this again when there is space.
      log.exception('the state cannot be written; trying again')
      if configuration.role == 'pull-backup':
        Reserve(configuration).release()
      time.sleep(_LONGEST_PAUSE)
      continue
    if select.select([wake], [], [], pause)[0]:
      os.read(wake, 1 << 16)
