"""What is wrong is said, by topic, and only as long as it is wrong."""
import contextlib
import subprocess
import time
import unittest.mock

from resilient import clone, exporter
from resilient.durable import is_locked, lock, write_json
from resilient.status import problems, status

from .partition import ROOT
from .support import generation, TestCase

_HOUR = 3600
_YEAR = 365 * 24 * _HOUR


class StatusCase(TestCase):
  """A partition of role `role`."""

  role = None

  def setUp(self):
    super().setUp()
    self.place = self.partition(self.role, **{
      'patience': _HOUR, 'periodicity': '0 0 1 1 *'})
    self.configuration = self.place.configuration
    self.state('deployed.json', {'at': time.time()})

  def state(self, name, value):
    """Write a state file."""
    write_json(self.configuration.state(name), value)

  def run_of(self, task, success, message=''):
    """Record a run."""
    self.configuration.store.record(
      task, time.time(), 1.0, success, '', message)

  def assertProblem(self, topic, text):
    """There is one problem: `topic`, with `text`."""
    found = problems(self.configuration)
    self.assertEqual([item.topic for item in found], [topic], found)
    self.assertRegex(found[0].text, text)

  def assertFine(self):
    """There is no problem."""
    self.assertEqual(problems(self.configuration), [])


class TestLeader(StatusCase):
  """Problems of a leader."""

  role = 'export'

  def test_a_new_leader_has_no_problem(self):
    self.assertFine()

  def test_a_failed_export_is_one_until_the_next_succeeds(self):
    self.run_of('export', False, 'no database')
    self.assertProblem('export', 'export failed: no database')
    self.run_of('export', True)
    self.assertFine()

  def test_an_interrupted_export_is_one_but_not_a_running_one(self):
    self.state('exporting', {})
    self.assertProblem('export', 'was interrupted: run bin/exporter again')
    with lock(self.configuration.state('dump.lock')):
      self.assertFine()
      self.assertTrue(status(self.configuration)['exporting'])
    # A PBS that reads what is sealed is no export.
    with lock(self.configuration.state('dump.lock'), shared=True):
      self.assertFalse(status(self.configuration)['exporting'])

  def test_an_export_that_begins_in_a_look_is_not_an_interrupted_one(self):
    with contextlib.ExitStack() as export:

      def look(*arguments, **options):
        answer = is_locked(*arguments, **options)
        export.enter_context(lock(self.configuration.state('dump.lock')))
        self.state('exporting', {'since': time.time()})
        return answer

      for before in (None, {'since': 1e9}):
        if before:
          self.state('exporting', before)
        with unittest.mock.patch('resilient.running.is_locked', look):
          self.assertFine()
        export.close()
      # It was killed now.
      self.assertProblem('export', 'was interrupted')

  def test_a_clock_that_was_ahead_puts_off_no_alarm(self):
    now = time.time()
    self.state('sealed.json', generation(
      3, sealed=now + _YEAR, due=now + _YEAR + 60).to_json())
    self.assertProblem(
      'freshness', 'the leader: generation 1.3 is dated 3153.... s ahead')
    self.state('sealed.json', generation(
      4, sealed=now + 300, due=now + 360).to_json())
    self.assertFine()

  def test_a_clock_that_was_ahead_then_does_not_make_it_new(self):
    self.state('deployed.json', {'at': time.time() + _YEAR})
    self.assertProblem('freshness', 'no export has ever succeeded')
    self.state('deployed.json', {'at': time.time()})
    self.assertFine()
    self.state('leadership.json', {'epoch': 2, 'since': time.time() + _YEAR})
    self.assertProblem('freshness', 'no export has ever succeeded')

  def test_no_export_after_the_period_and_margin_is_one(self):
    self.place.configure(
      periodicity='* * * * *', **{'lateness-margin': 100})
    self.configuration = self.place.configuration
    self.state('deployed.json', {'at': time.time() - 30})
    self.assertFine()
    self.state('deployed.json', {'at': time.time() - 200})
    self.assertProblem('freshness', 'no export has ever succeeded')

  def test_a_seal_that_should_have_been_replaced_is_one(self):
    now = time.time()
    self.state('sealed.json', generation(
      3, sealed=now - 9000, due=now - 60).to_json())
    self.assertProblem(
      'freshness', 'leader is late: .*1.3, is 900. s old .* 6. s ago')
    self.state('sealed.json', generation(4, due=now + 60).to_json())
    self.assertFine()

  def test_a_longer_period_counts_from_the_next_export_on(self):
    self.place.serve({'marker': 'one'})
    self.place.configure(periodicity='0 * * * *')
    self.assertEqual(exporter.main(self.place.configuration), 0)
    self.place.configure(periodicity='0 0 * * *')
    self.configuration = self.place.configuration
    with unittest.mock.patch('time.time', return_value=time.time() + 3 * _HOUR):
      self.assertProblem('freshness', 'the leader is late')
      self.assertEqual(exporter.main(self.configuration), 0)
      self.assertFine()

  def test_a_pbs_that_was_not_notified_is_one_while_it_is_ours(self):
    self.place.configure(notify='http://[::1]:1/notify')
    self.configuration = self.place.configuration
    self.state('notified.json', {'failures': {
      'http://[::1]:1/notify': 'refused', 'http://[::1]:2/gone': 'refused'}})
    self.assertProblem('notification', ':1/notify was not notified: refused')

  def test_text_of_any_kind_can_be_printed(self):
    self.place.configure(notify='http://[::1]:1/notify')
    self.configuration = self.place.configuration
    self.state('notified.json', {'failures': {
      'http://[::1]:1/notify': 'they say \ud800'}})
    self.assertProblem('notification', r'they say \\ud800')
    for options in ((), ('--json',)):
      result = subprocess.run(
        [*self.place.command('status'), *options], cwd=ROOT, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
      self.assertEqual((result.returncode, result.stderr), (0, b''))
      self.assertIn(b'they say ', result.stdout)

  def test_it_says_what_it_sealed(self):
    self.place.serve({'marker': 'one'})
    exporter.main(self.configuration)
    state = status(self.configuration)
    self.assertEqual(state['generation']['sequence'], 1)
    self.assertEqual(state['problems'], [])


class CloneCase(StatusCase):
  """A clone."""

  role = 'import'

  def load(self, **changes):
    """Let the service hold a generation."""
    self.state('imported.json', {
      'generation': generation(2, **changes).to_json(), 'at': time.time()})


class TestClone(CloneCase):
  """Problems of a clone."""

  def test_a_new_clone_may_be_empty_for_a_while_and_no_longer(self):
    self.assertFine()
    self.state('deployed.json', {'at': time.time() - 2 * _HOUR})
    self.assertProblem('freshness', 'the clone has no backup yet')

  def test_a_copy_that_should_have_been_replaced_is_one(self):
    self.load(due=time.time() - 60)
    self.assertProblem('freshness', 'the clone is late')
    self.load(due=time.time() + 60)
    self.assertFine()

  def test_a_clock_that_was_ahead_puts_off_no_alarm(self):
    now = time.time()
    self.load(sealed=now + _YEAR, due=now + _YEAR + 60)
    self.assertProblem(
      'freshness', 'the clone: generation 1.2 is dated 3153.... s ahead')

  def test_what_arrived_but_is_not_imported_is_not_taken_for_fresh(self):
    self.load(due=time.time() - 60)
    self.state('verified.json', {
      'generation': generation(3, due=time.time() + 60).to_json(),
      'at': time.time()})
    self.assertProblem('freshness', 'newest generation, 1.2,')

  def test_a_failed_import_is_one(self):
    self.load(due=time.time() + 60)
    self.run_of('import', False, 'no space')
    self.assertProblem('import', 'import failed: no space')

  def test_it_says_what_it_holds(self):
    self.load()
    state = status(self.configuration)
    self.assertNotIn('leadership', state)
    self.assertEqual(state['generation']['sequence'], 2)
    self.assertEqual(state['importing'], False)
    self.assertIsNone(clone.staged(self.configuration)[0])
