"""The durable part of the queue: which tasks are due, and how runs ended.

One SQLite database a partition.  See "Queue" in docs/design.rst.
"""
import contextlib
import logging
import math
import os
import sqlite3
import time
import typing

from .durable import encodable

log = logging.getLogger('resilient.task_store')

_KEPT_RUNS = 100
_SCHEMA = '''
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS task (
  name TEXT PRIMARY KEY,
  requested INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS run (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  task TEXT NOT NULL,
  started REAL NOT NULL,
  duration REAL NOT NULL,
  success INTEGER NOT NULL,
  generation TEXT NOT NULL,
  message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS run_task ON run (task, number);
COMMIT;
'''


class Run(typing.NamedTuple):
  """How one run ended.

  started: seconds since 1970-01-01 UTC.  duration: seconds.
  generation: label of the generation that it was about, or ''.
  """
  number: int
  task: str
  started: float
  duration: float
  success: bool
  generation: str
  message: str


def _number(column):
  """Return SQL that is a number one can add to, whatever `column` holds."""
  return 'max(0, min(CAST(%s AS INTEGER), 1 << 62))' % column


def _run(row):
  """Return the Run in `row`, whatever damage made of its values."""
  number, task, started, duration, success, generation, message = row
  return Run(
    number, str(task), *(
      value if isinstance(value, float) and math.isfinite(value) else 0.0
      for value in (started, duration)),
    success == 1, str(generation), str(message))


def _is_damage(error):
  """Whether `error` says that the file is no database, or not of ours."""
  if isinstance(error, UnicodeEncodeError):
    # What cannot be written says nothing of what is there.
    return False
  return not any(word in str(error) for word in (
    'locked', 'busy', 'full', 'unable to open', 'disk I/O'))


class TaskStore:
  """The queue's database at `path`.  Raises sqlite3.Error.

  A file that is no database any more is put aside for a new one: what was due
  is found by the timer.
  """

  def __init__(self, path):
    self.path = path
    self.wake_path = path + '.wake'

  @contextlib.contextmanager
  def _transaction(self):
    if not (os.path.exists(self.path) and os.path.getsize(self.path)):
      # An export may come before the queue has ever run.
      self.create()
    connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
    # Damage must not hide the rest.
    connection.text_factory = lambda text: text.decode('utf-8', 'replace')
    try:
      # What was acknowledged must be on the disk.
      connection.execute('PRAGMA synchronous = FULL')
      connection.execute('BEGIN IMMEDIATE')
      with connection:
        yield connection
    except (sqlite3.DatabaseError, UnicodeError) as error:
      if _is_damage(error):
        self._put_aside(error)
      raise
    finally:
      connection.close()

  def _put_aside(self, error):
    if not os.path.isfile(self.path):
      # Nothing of ours: whoever put it there may take it away again.
      return
    damaged = self.path + '.damaged'
    log.error('%s: %s; a new one is made, and this one is now %s',
              self.path, error, damaged)
    with contextlib.suppress(FileNotFoundError):
      os.rename(self.path, damaged)

  def create(self):
    """Make the database, and the pipe that wakes the worker up."""
    for last in (False, True):
      connection = sqlite3.connect(self.path, timeout=30)
      with contextlib.closing(connection):
        try:
          connection.executescript(_SCHEMA)
          break
        except (sqlite3.DatabaseError, UnicodeError) as error:
          if last or not _is_damage(error):
            raise
          self._put_aside(error)
    os.chmod(self.path, 0o600)
    with contextlib.suppress(FileExistsError):
      os.mkfifo(self.wake_path, 0o600)

  def request(self, task):
    """Ask for one more run of `task`; durable when this returns."""
    with self._transaction() as connection:
      connection.execute(
        'INSERT INTO task (name, requested) VALUES (?, 1) ON CONFLICT (name)'
        ' DO UPDATE SET completed = {0}, requested = max({0}, {1}) + 1'.format(
          _number('completed'), _number('requested')), (encodable(task),))
    self.wake()

  def wake(self):
    """Tell the worker to look now.  Without a worker nothing happens: it
    looks when it starts."""
    with contextlib.suppress(OSError):
      descriptor = os.open(self.wake_path, os.O_WRONLY | os.O_NONBLOCK)
      try:
        os.write(descriptor, b'!')
      finally:
        os.close(descriptor)

  def pending(self):
    """Return {task: requested} of the tasks that are due."""
    with self._transaction() as connection:
      return dict(connection.execute(
        'SELECT name, requested FROM task WHERE requested > completed'
        " AND typeof(requested) = 'integer'"))

  def complete(self, task, requested):
    """All that was asked of `task` up to `requested` is done."""
    with self._transaction() as connection:
      connection.execute(
        'UPDATE task SET completed = max(completed, ?) WHERE name = ?',
        (requested, task))

  def forget(self, task):
    """`task` no longer exists: nothing is due for it."""
    with self._transaction() as connection:
      connection.execute('DELETE FROM task WHERE name = ?', (task,))

  def record(self, task, started, duration, success, generation, message):
    """Keep how a run ended; of each task the last 100 are kept."""
    task, generation, message = map(encodable, (task, generation, message))
    with self._transaction() as connection:
      connection.execute(
        'INSERT INTO run (task, started, duration, success, generation,'
        ' message) VALUES (?, ?, ?, ?, ?, ?)', (
          task, started, duration, success, generation, message[:4000]))
      connection.execute(
        'DELETE FROM run WHERE task = ? AND number <= ('
        ' SELECT number FROM run WHERE task = ?'
        ' ORDER BY number DESC LIMIT 1 OFFSET ?)', (task, task, _KEPT_RUNS))

  def runs(self, task, limit=_KEPT_RUNS):
    """Return the last runs of `task`, newest first."""
    with self._transaction() as connection:
      rows = connection.execute(
        'SELECT number, task, started, duration, success, generation, message'
        ' FROM run WHERE task = ? ORDER BY number DESC LIMIT ?',
        (encodable(task), limit)).fetchall()
    return [_run(row) for row in rows]

  def last_run(self, task):
    """Return the last Run of `task`, or None."""
    return next(iter(self.runs(task, 1)), None)

  @contextlib.contextmanager
  def recording(self, task):
    """Record the run of `task` that happens inside: yields a Report, for the
    caller to fill.  An exception is recorded as a failure and passed on.  What
    found nothing to do is recorded after a failure alone: it is the recovery.
    """
    report = Report()
    started, clock = time.time(), time.monotonic()
    try:
      yield report
    except Exception as error:
      report.failed(str(error) or type(error).__name__)
      raise
    except BaseException:
      # The service is stopped: that is no outcome, and the task is still due.
      report.success, report.quiet = False, True
      raise
    finally:
      last = self.last_run(task)
      recovered = report.success and last and not last.success
      if not report.quiet or recovered:
        self.record(
          task, started, time.monotonic() - clock, report.success,
          report.generation, report.message)


class Report:
  """What a run says of itself; a `quiet` one found nothing to do."""

  def __init__(self):
    self.generation = ''
    self.message = ''
    self.success = True
    self.quiet = False

  def failed(self, message):
    """The run failed, for the reason in `message`."""
    self.success, self.quiet, self.message = False, False, message
