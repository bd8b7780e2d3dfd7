"""What is wrong with a PBS is said, and only as long as it is wrong."""
import time

from resilient.status import status

from .support import generation
from .test_status import StatusCase

_HOUR = 3600
_YEAR = 365 * 24 * _HOUR


class TestPbs(StatusCase):
  """Problems of a PBS."""

  role = 'pull-backup'

  def setUp(self):
    super().setUp()
    shared = {'name': 'data', 'url': 'ssh://user@[::1]:1/x',
              'server-key': 'ssh-ed25519 AAAA'}
    self.place.configure(**{'shared-instances': [
      dict(shared, type='pull'), dict(shared, type='push')]})
    self.configuration = self.place.configuration

  def archive(self, **changes):
    """Let the archive hold a generation."""
    self.state('archive-data.json', [
      {'time': 1, 'generation': generation(5, **changes).to_json()}])

  def test_a_new_pbs_may_be_empty_for_a_while_and_no_longer(self):
    self.assertFine()
    self.state('deployed.json', {'at': time.time() - 2 * _HOUR})
    self.assertProblem('freshness', 'archive data has no backup yet')

  def test_an_archive_that_gets_nothing_new_is_one(self):
    self.archive(due=time.time() - 60)
    self.assertProblem('freshness', 'archive data is late')

  def test_a_clock_that_was_ahead_puts_off_no_alarm(self):
    now = time.time()
    self.archive(sealed=now + _YEAR, due=now + _YEAR + 60)
    self.assertProblem(
      'freshness', 'archive data: generation 1.5 is dated 3153.... s ahead')

  def test_a_failure_of_each_task_is_one_of_its_topic(self):
    self.archive(due=time.time() + 60)
    for topic in ('pull', 'push', 'prune'):
      self.run_of(topic + '-data', False, 'no route')
      self.assertProblem(topic, topic + '-data failed: no route')
      self.run_of(topic + '-data', True)
    self.assertFine()

  def test_a_wrong_shared_instance_is_one(self):
    self.place.configure(**{'shared-instances': [
      {'name': 'data', 'url': 'http://x', 'type': 'pull', 'title': 'P'}]})
    self.configuration = self.place.configuration
    self.assertProblem('configuration', "'P': parameter url is 'http://x'")

  def test_an_archive_without_a_leader_is_one(self):
    self.place.configure(**{'shared-instances': [
      {'name': 'data', 'url': '', 'type': 'pull', 'title': 'P'}]})
    self.configuration = self.place.configuration
    self.assertFine()
    self.archive()
    self.assertProblem('configuration', 'archive data is there')

  def test_it_says_what_it_keeps(self):
    self.archive()
    self.state('destination-data.json', {
      'verified': generation(4).to_json(), 'imported': None})
    state = status(self.configuration)
    self.assertEqual(state['archives']['data']['generations'], ['1.5'])
    self.assertEqual(state['clones']['data']['verified']['sequence'], 4)
