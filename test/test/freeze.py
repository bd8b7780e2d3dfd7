"""Stop a service of a node in the midst of nothing."""
import contextlib
import sqlite3

import psutil

from resilient import configuration
from resilient.durable import is_locked

from .node import wait_until

# Which a service holds as long as it runs.
_OWN = ('equeue.lock', 'notifier.lock')


def freeze(node, service):
  """Stop `service` of `node` until it gets SIGCONT, at a moment when it has
  nothing that others wait for."""
  process = psutil.Process(node.pid(service))

  def is_frozen():
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10,
               'stop of %s of %r' % (service, node))
    if _holds_nothing(node):
      return True
    process.resume()
    return False

  wait_until(is_frozen, 60, 'moment to stop %s of %r' % (service, node))


def _holds_nothing(node):
  """Whether no lock is held, but that of a service, nor the database of the
  queue."""
  folder = node.path / 'srv/resilient'
  if any(is_locked(path) for path in folder.glob('*.lock')
         if path.name not in _OWN):
    return False
  path = configuration.load(node.path / 'etc/resilient.json').store.path
  with contextlib.closing(sqlite3.connect(path, timeout=0)) as queue:
    try:
      queue.execute('BEGIN IMMEDIATE')
    except sqlite3.OperationalError:
      return False
    return True
