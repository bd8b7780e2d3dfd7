"""The archive is read again in turns, and that it is not is told."""
import unittest.mock

from resilient import verification
from resilient.durable import write_json
from resilient.tasks import tasks

from .archive_case import DAY, HOUR, VerificationCase


class TestTurns(VerificationCase):
  """Which generation is read when."""

  def test_each_generation_has_its_turn_and_the_longest_unread_is_first(self):
    turns = []
    for _ in range(4):
      self.assertEqual(self.verify(), 'verified')
      turns.append(self.last())
    # The archive's newest was verified when it was pulled.
    self.assertEqual(turns, ['1.1', '1.2', '1.3', '1.1'])
    self.assertEqual(self.topics(), [])

  def test_nothing_is_read_before_it_is_due_or_while_a_pull_is(self):
    self.verify()
    runs = len(self.pbs.configuration.store.runs('verify-data'))
    self.verify(hours=0.5)
    with open(self.pbs.configuration.state('pulling-data'), 'w'):
      self.verify(hours=5)
    self.assertEqual(
      len(self.pbs.configuration.store.runs('verify-data')), runs)

  def test_the_mirror_is_read_every_day_whatever_else_is_to_be_read(self):
    self.verify(hours=25)
    self.assertEqual(self.last(), '1.3')

  def test_it_is_read_every_day_also_where_the_others_are_read_each_week(self):
    self.pbs.configure(**{'verification-interval': 7 * DAY})
    write_json(self.pbs.configuration.state('deployed.json'), {'at': 0})
    for _ in range(30):
      self.verify(hours=12.5)
      self.assertEqual(self.topics(), [])
    runs = self.pbs.configuration.store.runs('verify-data')
    turns = [run.generation for run in reversed(runs)]
    self.assertEqual(
      turns, ['1.1', *7 * ['1.3'], '1.2', *7 * ['1.3'], '1.1', '1.3'])
    self.now += 2 * DAY
    self.assertIn('its newest generation was not', self.problem().text)

  def test_a_clock_that_was_set_back_stops_nothing(self):
    self.verify()
    self.verify(hours=-10000)
    self.assertEqual(
      len(self.pbs.configuration.store.runs('verify-data')), 2)

  def test_a_clock_that_was_ahead_puts_off_no_alarm(self):
    self.assertEqual(self.topics(), [])
    for hours, topics in ((24 * 365, ['verification']), (0.1, [])):
      with self.subTest(hours):
        ledger = self.archive.ledger
        ledger.last = self.now + hours * HOUR
        ledger.save(self.archive.index())
        write_json(self.pbs.configuration.state('deployed.json'), {
          'at': ledger.last})
        self.assertEqual(self.topics(), topics)

  def test_what_was_verified_by_a_clock_that_was_ahead_has_its_turn(self):
    with unittest.mock.patch('time.time', lambda: self.now + 365 * DAY):
      self.archive.note(self.archive.index()[0][1])
    turns = []
    for _ in range(2):
      self.verify()
      turns.append(self.last())
    self.assertEqual(turns, ['1.1', '1.2'])

  def test_when_it_stops_that_is_told(self):
    write_json(self.pbs.configuration.state('deployed.json'), {'at': 0})
    self.verify()
    self.assertEqual(self.topics(), [])
    self.now += 2 * DAY
    self.assertEqual(self.topics(), ['verification'])

  def test_a_large_one_that_is_read_for_days_is_no_alarm_until_it_stops(self):
    write_json(self.pbs.configuration.state('deployed.json'), {'at': 0})
    with unittest.mock.patch.object(verification, '_SLICE_ENTRIES', 1):
      for _ in range(3):
        self.assertIsNone(self.verify(hours=23))
        self.assertEqual(self.topics(), [])
      self.now += 2 * DAY
      self.assertRegex(self.problem().text, 'archive data was not verified')
      # The last slice; what waited for it is next.
      self.assertEqual(self.verify(), 'verified')
      self.verify(hours=0)
      self.assertEqual(self.archive.ledger.progress['digest'],
                       self.archive.newest().digest)
      self.assertEqual(self.topics(), [])

  def test_it_comes_after_pull_and_push(self):
    names = list(tasks(self.pbs.configuration))
    self.assertEqual(names, [
      'pull-data', 'push-data', 'prune-data', 'verify-data', 'drill-data',
      'adopt-data'])
