"""Which task runs next, on a clock of the test's own."""
import resilient.equeue
from resilient.tasks import Task

from .support import TestCase


class Clock:
  """Seconds, moved by hand."""

  def __init__(self):
    self.now = 1000.0

  def __call__(self):
    return self.now


class WorkerCase(TestCase):
  """An equeue.Worker, whose tasks note that they ran."""

  def setUp(self):
    super().setUp()
    configuration = self.partition(
      'import', **{'check-interval': 60}).configuration
    self.store = configuration.store
    self.configuration = configuration
    self.clock = Clock()
    self.log = []
    self.broken = set()
    self.during = {}

  def worker(self, *names, timed=()):
    """Return a Worker with tasks `names`, and those in `timed`."""
    def run(name):
      self.log.append(name)
      self.during.get(name, lambda: None)()
      return name not in self.broken
    return resilient.equeue.Worker(
      self.configuration, {
        name: Task(name, lambda name=name: run(name), name in timed)
        for name in (*names, *timed)},
      self.clock)

  def drain(self, worker):
    """Run all that is due by now; return the names."""
    del self.log[:]
    for _ in range(20):
      if not worker.run_next():
        return self.log
    raise AssertionError('it never ends: %s' % self.log)


class TestWorker(WorkerCase):
  """One task after the other."""

  def test_a_requested_task_runs_once(self):
    worker = self.worker('pull')
    self.store.request('pull')
    self.assertEqual(self.drain(worker), ['pull'])
    self.assertEqual(self.store.pending(), {})

  def test_ten_requests_during_a_run_are_one_more_run(self):
    worker = self.worker('pull')

    def once():
      del self.during['pull']
      for _ in range(10):
        self.store.request('pull')

    self.during['pull'] = once
    self.store.request('pull')
    self.assertEqual(self.drain(worker), ['pull', 'pull'])

  def test_a_failure_is_retried_later_and_later(self):
    worker = self.worker('pull')
    self.broken.add('pull')
    self.store.request('pull')
    self.assertEqual(self.drain(worker), ['pull'])
    for delay in (2, 4, 8, 16, 32, 60, 60):
      self.clock.now += delay - 0.1
      self.assertEqual(self.drain(worker), [], delay)
      self.assertAlmostEqual(worker.pause(), 0.1)
      self.clock.now += 0.1
      self.assertEqual(self.drain(worker), ['pull'], delay)
    self.broken.clear()
    self.clock.now += 60
    self.assertEqual(self.drain(worker), ['pull'])
    self.assertEqual(self.store.pending(), {})
    self.broken.add('pull')
    self.store.request('pull')
    self.drain(worker)
    self.clock.now += 2
    self.assertEqual(self.drain(worker), ['pull'], 'it starts again with 2 s')

  def test_a_failing_task_does_not_block_the_others(self):
    worker = self.worker('pull', 'push')
    self.broken.add('pull')
    self.store.request('pull')
    self.store.request('push')
    self.assertEqual(self.drain(worker), ['pull', 'push'])

  def test_a_defect_in_a_task_does_not_end_the_queue(self):
    worker = self.worker('pull', 'push')
    self.during['pull'] = lambda: 1 / 0
    self.store.request('pull')
    self.store.request('push')
    with self.assertLogs('resilient.equeue', 'ERROR'):
      self.assertEqual(self.drain(worker), ['pull', 'push'])
    self.assertEqual(self.store.pending(), {'pull': 1})

  def test_a_good_run_says_so_in_the_log(self):
    worker = self.worker('pull')
    self.store.request('pull')
    with self.assertLogs('resilient.equeue', 'INFO') as logs:
      worker.run_next()
    self.assertIn('pull finished successfully', logs.output[-1])

  def test_an_unknown_task_is_forgotten(self):
    self.store.request('pull-that-was-removed')
    self.assertEqual(self.drain(self.worker('pull')), [])
    self.assertEqual(self.store.pending(), {})

  def test_a_timed_task_runs_at_start_and_at_each_interval(self):
    worker = self.worker(timed=('pull',))
    self.assertEqual(self.drain(worker), ['pull'])
    self.clock.now += 60 * 0.89
    self.assertEqual(self.drain(worker), [])
    self.clock.now += 60 * 0.22
    self.assertEqual(self.drain(worker), ['pull'])

  def test_a_task_without_timer_has_none_after_a_failure_either(self):
    worker = self.worker('prune')
    self.broken.add('prune')
    self.store.request('prune')
    self.drain(worker)
    self.broken.clear()
    self.clock.now += 60
    self.assertEqual(self.drain(worker), ['prune'])
    self.clock.now += 600
    self.assertEqual(self.drain(worker), [])

  def test_a_request_does_not_wait_for_the_timer(self):
    worker = self.worker(timed=('pull',))
    self.drain(worker)
    self.store.request('pull')
    self.assertEqual(self.drain(worker), ['pull'])

  def test_the_preferred_task_comes_first(self):
    worker = self.worker('pull', 'push', 'prune')
    for name in ('prune', 'push', 'pull'):
      self.store.request(name)
    self.assertEqual(self.drain(worker), ['pull', 'push', 'prune'])


class TestTurns(WorkerCase):
  """More is due than can be done at once: each task has its turn."""

  def takes(self, seconds, *names):
    """Let each run of the tasks `names` take `seconds`."""
    for name in names:
      self.during[name] = lambda: self.pass_by(seconds)

  def pass_by(self, seconds):
    """Let `seconds` pass."""
    self.clock.now += seconds

  def run_times(self, worker, times):
    """Run `times` tasks, as time passes; return the names."""
    del self.log[:]
    while len(self.log) < times:
      if not worker.run_next():
        self.pass_by(max(worker.pause(), 0.1))
    return self.log

  def test_pulls_that_take_long_and_fail_do_not_keep_the_rest_waiting(self):
    worker = self.worker(timed=('pull-a', 'pull-b', 'push-c', 'prune-a'))
    self.takes(61, 'pull-a', 'pull-b')
    self.broken.update(('pull-a', 'pull-b'))
    self.store.request('push-c')
    ran = self.run_times(worker, 12)
    self.assertEqual(ran[:4], ['pull-a', 'pull-b', 'push-c', 'prune-a'])
    for name in set(ran):
      self.assertGreater(ran.count(name), 1, ran)

  def test_many_healthy_pulls_do_not_keep_the_rest_waiting(self):
    pulls = ['pull-%d' % number for number in range(70)]
    worker = self.worker(timed=(*pulls, 'push-c', 'prune-a'))
    self.takes(1, *pulls)
    self.store.request('push-c')
    ran = self.run_times(worker, 300)
    for name in (*pulls, 'push-c', 'prune-a'):
      self.assertGreater(ran.count(name), 1, name)

  def test_who_waits_for_longest_goes_first(self):
    worker = self.worker('pull', 'push', 'prune')
    lasts = [40, 200]

    def run():
      self.pass_by(lasts.pop(0))
      self.store.request('push')
      self.store.request('pull')
      if not lasts:
        self.during.clear()

    self.during['pull'] = run
    self.store.request('pull')
    self.store.request('prune')
    self.assertEqual(
      self.drain(worker), ['pull', 'pull', 'prune', 'push', 'pull'])

  def test_after_a_long_pull_its_push_goes_before_what_the_timer_asks_for(self):
    worker = self.worker('pull', 'push', timed=('prune', 'verify'))
    self.drain(worker)
    self.during['pull'] = lambda: (
      self.pass_by(3600), self.store.request('push'))
    self.store.request('pull')
    self.assertEqual(self.run_times(worker, 3), ['pull', 'push', 'prune'])
