"""What speaks against a takeover: facts here, of the PBS, and of the leader."""
from resilient import doubts, succession
from resilient.durable import write_json
from resilient.master import Instance

from .support import generation, TestCase
from .web_support import serve_status


class Doubt(TestCase):
  """A clone that has loaded 3.7, of 2001-09-09."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.know(imported=7)

  def know(self, **sequences):
    """Write what the clone has: staged, verified or imported."""
    for name, sequence in sequences.items():
      write_json(self.clone.configuration.state(name + '.json'), {
        'generation': self.generation(sequence).to_json(), 'at': 1e9})

  @staticmethod
  def generation(sequence, **changes):
    """Return generation 3.`sequence`, 60 s later with each."""
    return generation(sequence, **{**{
      'epoch': 3, 'sealed': 1e9 + 60 * sequence, 'leader': 'COMP-1/slappart1'},
      **changes})

  def serve(self, status):
    """Return the URL of a partition that says `status`."""
    return serve_status(
      self, status, self.clone.options['secret-file']) + 'get/x'

  def doubts(self, head=None):
    """Return the reasons and what is unknown, as one text each."""
    found = doubts.doubts(self.clone.configuration, head)
    return '; '.join(found.reasons), '; '.join(found.unknown)

  @staticmethod
  def head(url='', address='COMP-1/slappart1', claim=None):
    """Return the Head of a chain at a leader with a feed at `url`."""
    return succession.Head(
      address, Instance('data0', 'data-export', {}, {'notification-id': url}),
      3, claim)

  def test_none_where_nothing_newer_is_known(self):
    self.know(verified=7)
    pbs = self.serve({'archives': {'data': {
      'generation': self.generation(7).to_json()}}})
    self.clone.configure(**{'on-notification': pbs})
    leader = self.serve({'generation': self.generation(7).to_json()})
    self.assertEqual(self.doubts(self.head(leader)), ('', ''))

  def test_what_is_here_and_not_loaded(self):
    self.know(verified=8)
    self.assertIn('is 1 generation and 60 s behind: generation 3.8 is here,'
                  ' verified, and not loaded', self.doubts()[0])
    self.know(staged=9)
    self.assertIn('is 2 generations and 120 s behind', self.doubts()[0])

  def test_what_the_pbs_has_or_knows_of(self):
    for archive in ({'generation': self.generation(10).to_json()},
                    {'generation': self.generation(7).to_json(),
                     'leader': self.generation(10).to_json()}):
      self.clone.configure(**{
        'on-notification': self.serve({'archives': {'data': archive}})})
      self.assertIn('is 3 generations and 180 s behind: generation 3.10 is'
                    ' known to its PBS', self.doubts()[0])

  def test_what_the_leader_has(self):
    leader = self.serve({'generation': self.generation(8).to_json()})
    self.assertIn('generation 3.8 is known to the leader',
                  self.doubts(self.head(leader))[0])

  def test_who_does_not_answer_is_named_and_is_no_reason(self):
    self.clone.configure(**{'on-notification': 'http://[::1]:1/get/push-data'})
    reasons, unknown = self.doubts(self.head('http://[::1]:1/get/export'))
    self.assertEqual(reasons, '')
    self.assertIn('its PBS does not answer', unknown)
    self.assertIn('the leader does not answer', unknown)

  def test_answers_that_are_none_are_no_reason(self):
    for status in ([], 'x', {'archives': 1}, {'archives': {'data': []}},
                   {'archives': {'data': {'generation': {'epoch': 9}}}}):
      self.clone.configure(**{'on-notification': self.serve(status)})
      self.assertEqual(self.doubts()[0], '', status)

  def test_data_of_a_leader_that_was_replaced(self):
    claim = {'successor': 'COMP-1/slappart2', 'successor-title': 'data1',
             'date': 'today', 'generation': '3.7', 'epoch': '4'}
    self.assertIn(
      'the data here is of COMP-1/slappart1, which was replaced: data1'
      ' (COMP-1/slappart2) took over on today',
      self.doubts(self.head(address='COMP-1/slappart2', claim=claim))[0])
