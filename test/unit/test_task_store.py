"""The queue's database: what was asked for survives."""
import contextlib
import functools
import os
import pathlib
import signal
import sqlite3

from resilient.service import Stopped
from resilient.task_store import TaskStore

from .support import killed_at_byte, TestCase, wait_until


class TestTasks(TestCase):
  """Requested and completed."""

  def setUp(self):
    super().setUp()
    self.store = TaskStore(self.path('queue.sqlite'))
    self.store.create()

  def test_a_requested_task_is_pending_until_it_is_completed(self):
    self.store.request('pull')
    self.assertEqual(self.store.pending(), {'pull': 1})
    self.store.complete('pull', 1)
    self.assertEqual(self.store.pending(), {})

  def test_a_request_during_a_run_is_not_completed_by_that_run(self):
    self.store.request('pull')
    noted = self.store.pending()['pull']
    for _ in range(10):
      self.store.request('pull')
    self.store.complete('pull', noted)
    self.assertEqual(self.store.pending(), {'pull': 11})
    self.store.complete('pull', 11)
    self.assertEqual(self.store.pending(), {})

  def test_an_old_completion_takes_nothing_back(self):
    for _ in range(3):
      self.store.request('pull')
    self.store.complete('pull', 3)
    self.store.complete('pull', 1)
    self.assertEqual(self.store.pending(), {})

  def test_a_forgotten_task_is_not_pending(self):
    self.store.request('pull')
    self.store.forget('pull')
    self.assertEqual(self.store.pending(), {})

  def test_creating_again_loses_nothing(self):
    self.store.request('pull')
    self.store.create()
    self.assertEqual(self.store.pending(), {'pull': 1})

  def test_what_was_acknowledged_survives_sigkill(self):
    pid = os.fork()
    if not pid:
      for number in range(1000):
        self.store.request('pull')
        with open(self.path('acknowledged'), 'w', encoding='ascii') as output:
          output.write(str(number + 1))
      os._exit(0)
    wait_until(lambda: os.path.exists(self.path('acknowledged'))
               and int(self.read('acknowledged') or 0) >= 2,
               'some are acknowledged')
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    self.assertGreaterEqual(
      self.store.pending()['pull'], int(self.read('acknowledged') or 1))

  def content(self):
    """Return the bytes of the database."""
    return pathlib.Path(self.path('queue.sqlite')).read_bytes()

  def test_a_kill_at_any_moment_leaves_a_database_that_works(self):
    self.store.request('push')
    # What is recorded next is behind these, and in the first page.
    for _ in range(10):
      self.store.record('old', 1.0, 1.0, True, '', 'x' * 4000)
    record = functools.partial(
      self.store.record, 'pull', 1.0, 1.0, True, '', 'y' * 4000)
    begun = torn = recorded = byte = 0
    while recorded < 3:
      before = self.content()
      if killed_at_byte(byte, record):
        begun += os.path.exists(self.path('queue.sqlite-journal'))
        torn += self.content() != before
      else:
        recorded += 1
      # All that was acknowledged is there, and nothing of what was not.
      self.assertEqual(len(self.store.runs('pull')), recorded)
      self.assertEqual(len(self.store.runs('old')), 10)
      self.assertEqual(self.store.pending(), {'push': 1})
      with contextlib.closing(sqlite3.connect(self.store.path)) as database:
        self.assertEqual(
          database.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
      byte += 2048
    # Else no transaction was cut: with a journal, and with half of its pages.
    self.assertGreater(begun, 10)
    self.assertGreater(torn, 10)
    self.assertFalse(os.path.exists(self.path('queue.sqlite.damaged')))

  def test_it_works_before_the_queue_has_ever_run(self):
    store = TaskStore(self.path('new.sqlite'))
    self.assertIsNone(store.last_run('export'))
    store.request('pull')
    self.assertEqual(store.pending(), {'pull': 1})

  def test_it_is_private(self):
    for name in ('queue.sqlite', 'queue.sqlite.wake'):
      self.assertEqual(os.stat(self.path(name)).st_mode & 0o077, 0)

  def test_a_request_wakes_the_worker(self):
    wake = os.open(self.store.wake_path, os.O_RDWR | os.O_NONBLOCK)
    self.addCleanup(os.close, wake)
    self.store.request('pull')
    self.assertEqual(os.read(wake, 10), b'!')

  def test_a_full_pipe_blocks_nobody(self):
    wake = os.open(self.store.wake_path, os.O_RDWR | os.O_NONBLOCK)
    self.addCleanup(os.close, wake)
    try:
      while True:
        os.write(wake, b'!' * 4096)
    except BlockingIOError:
      pass
    self.store.request('pull')
    self.assertEqual(self.store.pending(), {'pull': 1})


class TestRuns(TestCase):
  """How runs ended."""

  def setUp(self):
    super().setUp()
    self.store = TaskStore(self.path('queue.sqlite'))
    self.store.create()

  def run_once(self, message, quiet=False, success=True):
    """Record one run."""
    with self.store.recording('pull') as report:
      report.generation, report.message, report.quiet = '1.1', message, quiet
      if not success:
        report.failed(message)

  def messages(self):
    """Return the messages of the recorded runs, newest first."""
    return [run.message for run in self.store.runs('pull')]

  def test_a_run_is_recorded_with_what_it_was_about(self):
    self.run_once('marker')
    run = self.store.last_run('pull')
    self.assertEqual((run.task, run.success, run.generation, run.message),
                     ('pull', True, '1.1', 'marker'))

  def test_an_exception_is_recorded_as_a_failure_and_passed_on(self):
    with self.assertRaises(ZeroDivisionError):
      with self.store.recording('pull'):
        _ = 1 / 0
    run = self.store.last_run('pull')
    self.assertEqual((run.success, run.message), (False, 'division by zero'))

  def test_a_run_that_is_stopped_is_no_outcome(self):
    with self.assertRaises(Stopped), self.store.recording('a'):
      raise Stopped
    self.assertIsNone(self.store.last_run('a'))

  def test_a_run_with_nothing_to_do_is_recorded_only_as_a_recovery(self):
    self.run_once('nothing', quiet=True)
    self.assertEqual(self.messages(), [])
    self.run_once('broken', success=False)
    self.run_once('recovered', quiet=True)
    self.run_once('nothing', quiet=True)
    self.assertEqual(self.messages(), ['recovered', 'broken'])

  def test_a_hundred_runs_of_each_task_are_kept(self):
    self.store.record('push', 1.0, 1.0, True, '', 'other')
    for number in range(103):
      self.store.record('pull', 1.0, 1.0, True, '', str(number))
    self.assertEqual(
      self.messages(), [str(number) for number in range(102, 2, -1)])
    self.assertEqual(self.store.last_run('push').message, 'other')

  def test_a_huge_message_is_cut(self):
    self.store.record('pull', 1.0, 1.0, True, '', 'x' * 100000)
    self.assertLess(len(self.messages()[0]), 5000)

  def test_text_that_no_file_can_hold_is_recorded_and_loses_nothing(self):
    # JSON of a peer can have half of a pair of UTF-16 in it.
    strange = 'the leader says: \ud800'
    self.run_once('good')
    self.store.request('push')
    with self.store.recording('pull') as report:
      report.generation = strange
      report.failed(strange)
    self.assertEqual(self.messages(), [r'the leader says: \ud800', 'good'])
    self.store.record(strange, 1.0, 1.0, True, '', 'other')
    self.assertEqual(self.store.last_run(strange).message, 'other')
    self.store.request(strange)
    self.assertIn('push', self.store.pending())
    self.assertFalse(os.path.exists(self.path('queue.sqlite.damaged')))

  def test_what_cannot_be_written_is_no_damage(self):
    self.run_once('good')
    with self.assertRaises(UnicodeEncodeError):
      self.store.complete('\ud800', 1)
    self.assertEqual(self.messages(), ['good'])
