"""What is said in and after a takeover."""
from resilient import exporter
from resilient.status import problems, status
from resilient.takeover_journal import STEPS

from .support import generation, sealed
from .test_status import CloneCase, StatusCase


def _journal(*done):
  """Return the journal of a takeover in which the steps `done` are done."""
  return {'done': list(done), 'title': 'data1', 'at': 1e9, 'broken': 'broken-1',
          'label': '1.7', 'old': 'computer/slappart1', 'epoch': 2,
          'leadership': None, 'generation': generation(7).to_json()}


class TestNewLeader(StatusCase):
  """Of a clone that took over, in its new role."""

  role = 'export'

  def test_what_was_loaded_by_half_stays_one_until_a_person_looked(self):
    self.state('importing.json', {
      'generation': generation(8).to_json(), 'at': 1e9})
    self.assertProblem('leadership', (
      'may hold a part of generation 1.8.* then remove .*/importing.json'))

  def test_a_new_leader_has_what_was_loaded_not_what_was_verified(self):
    sealed(self.place.dump, {'marker': 'newer'}, sequence=8)
    self.assertEqual(status(self.configuration)['generation']['sequence'], 8)
    self.state('imported.json', {
      'generation': generation(7).to_json(), 'at': 1e9})
    state = status(self.configuration)
    self.assertEqual(state['generation']['sequence'], 7)
    self.assertEqual(state['problems'], [])
    self.place.serve({'marker': 'own'})
    exporter.main(self.configuration)
    self.assertEqual(status(self.configuration)['generation']['sequence'], 9)


class TestWinner(CloneCase):
  """Of a clone that has taken over, until the node gives it its role."""

  def setUp(self):
    super().setUp()
    self.load()
    self.state('takeover.json', _journal(*STEPS))
    self.state('leadership.json', {'epoch': 2})

  def test_it_says_what_it_leads(self):
    self.assertFine()
    self.assertEqual(status(self.configuration)['leadership'], {
      'epoch': 2, 'replaced': '', 'stopped': False})

  def test_that_it_was_replaced_is_one_and_so_is_a_fencer_that_failed(self):
    self.state('replaced.json', {
      'epoch': 3, 'why': 'data2 took over', 'fenced': False})
    self.assertProblem('takeover', 'been replaced: data2 took over')
    self.assertFalse(status(self.configuration)['leadership']['stopped'])
    self.run_of('leadership', False, 'fencer failed')
    self.assertIn('leadership failed: fencer failed', str(
      problems(self.configuration)))

  def test_what_was_loaded_by_half_is_not_called_tried_again(self):
    self.state('importing.json', {
      'generation': generation(8).to_json(), 'at': 1e9})
    self.assertProblem('takeover', (
      'may hold a part of generation 1.8.* then remove .*/importing.json'))


class TestFrozen(StatusCase):
  """Problems of a leader that was replaced."""

  role = 'frozen'

  def test_a_takeover_that_is_not_complete_is_one(self):
    self.assertFine()
    self.state('takeover.json', _journal('fenced', 'replaced'))
    self.assertProblem('takeover', r'\(left: renamed, promoted, banged\)')
