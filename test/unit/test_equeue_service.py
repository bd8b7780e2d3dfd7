"""The queue as a process, killed in the middle of its work."""
import os
import pathlib
import signal
import subprocess

from resilient import clone, heartbeat
from resilient.durable import exchange

from .partition import ROOT
from .support import alive, sealed, TestCase, wait_until

# Notes that it runs, and that it ended; hangs as long as "hang" is there.
_IMPORTER = '''
echo $$ >> {path}/started
while [ -e {path}/hang ]; do sleep 0.05; done
echo $$ >> {path}/ended
'''


class TestService(TestCase):
  """``resilient equeue`` of a clone."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.clone.program('data-importer', _IMPORTER.format(path=self.directory))
    self.stage(1)

  def stage(self, sequence):
    """Let generation `sequence` be in the staging area, verified."""
    configuration = self.clone.configuration
    identity = sealed(configuration.state('staging'), {
      'marker': str(sequence)}, sequence=sequence)
    clone.accept(configuration, identity)

  def queue(self):
    """Start the service."""
    return self.start(
      self.clone.command('equeue'), cwd=ROOT, stderr=subprocess.DEVNULL)

  def lines(self, name):
    """Return the process ids in file `name`."""
    path = pathlib.Path(self.path(name))
    return list(map(int, path.read_text().split())) if path.exists() else []

  def imported(self):
    """Return the label of the imported generation."""
    found = clone.imported(self.clone.configuration)[0]
    return found and found.label

  def test_what_was_asked_for_before_it_started_is_done(self):
    self.queue()
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')

  def test_a_request_is_done_at_once_and_not_at_the_next_tick(self):
    self.clone.configure(**{'check-interval': 600})
    self.queue()
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.stage(2)
    wait_until(lambda: self.imported() == '1.2', 'it is imported at once')

  def test_killed_in_a_task_it_runs_it_again_and_nothing_in_parallel(self):
    pathlib.Path(self.path('hang')).touch()
    first = self.queue()
    wait_until(lambda: self.lines('started'), 'the importer runs')
    first.kill()
    first.wait()
    self.queue()
    wait_until(lambda: not alive(self.lines('started')[0]),
               'the importer of the killed queue ends')
    wait_until(lambda: len(self.lines('started')) > 1, 'it runs again')
    self.assertEqual(self.lines('ended'), [])
    os.unlink(self.path('hang'))
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.assertEqual(self.lines('ended'), self.lines('started')[1:])

  def test_an_orphan_that_survives_the_kill_is_waited_for(self):
    self.clone.program('data-importer', (
      'setsid sh -c \'echo $$ >> %s; exec sleep 600\'\n' % self.path('orphan')))
    first = self.queue()
    wait_until(lambda: self.lines('orphan'), 'the importer has a child')
    orphan = self.lines('orphan')[0]
    self.addCleanup(lambda: alive(orphan) and os.kill(orphan, signal.SIGKILL))
    first.kill()
    first.wait()
    self.clone.program('data-importer', _IMPORTER.format(path=self.directory))
    self.queue()
    store = self.clone.configuration.store
    wait_until(lambda: store.last_run('import')
               and 'locked' in store.last_run('import').message,
               'the new queue finds the orphan')
    self.assertTrue(alive(orphan))
    self.assertEqual(self.lines('started'), [])
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')

  def test_sigterm_ends_it_with_what_it_runs_and_keeps_the_work(self):
    pathlib.Path(self.path('hang')).touch()
    queue = self.queue()
    wait_until(lambda: self.lines('started'), 'the importer runs')
    queue.terminate()
    self.assertEqual(queue.wait(15), 0)
    wait_until(lambda: not alive(self.lines('started')[0]),
               'the importer ends, too')
    self.assertEqual(
      self.clone.configuration.store.pending().keys(), {'import'})

  def test_a_second_queue_does_not_run_beside_the_first(self):
    pathlib.Path(self.path('hang')).touch()
    first = self.queue()
    wait_until(lambda: self.lines('started'), 'the importer runs')
    second = self.queue()
    os.unlink(self.path('hang'))
    self.stage(2)
    wait_until(lambda: self.imported() == '1.2', 'generation 1.2 is imported')
    self.assertIsNone(second.poll())
    first.kill()
    first.wait()
    self.stage(3)
    wait_until(lambda: self.imported() == '1.3',
               'the second takes over when the first is gone')

  def test_another_configuration_needs_no_restart(self):
    pathlib.Path(self.path('hang')).touch()
    self.clone.program('other-importer', 'touch %s\n' % self.path('other'))
    queue = self.queue()
    wait_until(lambda: self.lines('started'), 'the importer runs')
    self.clone.configure(importer=self.clone.at('bin/other-importer'))
    os.unlink(self.path('hang'))
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.stage(2)
    wait_until(lambda: self.imported() == '1.2', 'generation 1.2 is imported')
    self.assertTrue(os.path.exists(self.path('other')))
    self.assertIsNone(queue.poll())

  def test_another_release_of_the_code_ends_it_between_two_tasks(self):
    queue = self.queue()
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.clone.configure(code='/another/release')
    self.assertEqual(queue.wait(15), 0)

  def test_another_release_of_the_code_goes_on_as_the_same_process(self):
    queue = self.queue()
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.clone.program('equeue', 'echo $$ > %s; exec sleep 600' % (
      self.path('successor')))
    self.clone.configure(**{
      'code': '/another/release', 'services-directory': self.clone.at('bin')})
    wait_until(lambda: self.lines('successor') == [queue.pid],
               'the other release runs')

  def test_state_that_cannot_be_read_for_a_while_does_not_end_it(self):
    log = pathlib.Path(self.path('log'))
    process = self.start(
      [*self.clone.command('equeue'), '--log', str(log)], cwd=ROOT)
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    database = self.clone.configuration.store.path
    os.mkdir(database + '.away')
    # In one step: the queue may make a new one where there is none.
    exchange(database, database + '.away')
    self.clone.configuration.store.wake()
    wait_until(lambda: 'trying again' in log.read_text(), 'it says so', 30)
    exchange(database, database + '.away')
    self.stage(2)
    wait_until(lambda: self.imported() == '1.2', 'it goes on', 30)
    self.assertIsNone(process.poll())

  def test_it_gives_signs_of_life(self):
    configuration = self.clone.configuration
    self.assertIn('never started', heartbeat.problem(
      configuration, 'equeue', 100))
    self.queue()
    wait_until(lambda: self.imported() == '1.1', 'generation 1.1 is imported')
    self.assertEqual(heartbeat.problem(configuration, 'equeue', 100), '')
