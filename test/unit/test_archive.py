"""The history: restored, damaged, pruned."""
import os
import time
import unittest.mock

from resilient.archive import Damaged
from resilient.durable import read_json, write_json
from resilient.retention import oldest_kept, seconds

from .archive_case import ArchiveCase, DAY
from .support import generation, same_mtime, TestCase


class TestHistory(ArchiveCase):
  """An archive of three generations."""

  def test_a_damaged_mirror_is_found_by_a_restore(self):
    same_mtime(os.path.join(self.archive.path, 'marker'), b'THREE')
    with self.assertRaises(Damaged):
      self.archive.restore('1.3', self.path('x'))

  def test_what_is_too_old_is_pruned_and_the_rest_still_restores(self):
    self.configure(**{'remove-backup-older-than': '12h'})
    self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.3'])
    self.assertIn('removed 2 generations', self.message('prune-data'))
    self.assertSame(self.archive.path, {'marker': 'three'})

  def test_a_number_of_backups_can_be_kept(self):
    self.configure(**{'remove-backup-older-than': '1B'})
    self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.2', '1.3'])
    self.archive.restore('1.2', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'two'})

  def test_with_nothing_too_old_nothing_is_removed(self):
    self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])
    self.assertIsNone(self.message('prune-data'))

  def test_a_clock_that_went_back_stops_no_backup(self):
    year_ago = time.time() - 365 * 86400
    with unittest.mock.patch('time.time', lambda: year_ago):
      self.archived({'marker': 'four'})
    self.archive.restore('1.3', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'three'})
    self.assertSame(self.archive.path, {'marker': 'four'})


class TestClocks(ArchiveCase):
  """An archive of three generations, and clocks that are or were wrong: none of
  them alone deletes history, or keeps it for ever."""

  def setUp(self):
    super().setUp()
    self.now = time.time()

  def wrong(self, days):
    """Let the clock here be wrong by `days`; the leader's gate has its own."""
    return unittest.mock.patch('time.time', lambda: self.now + DAY * days)

  def pruned(self, older_than='2W', later=0):
    """Return the labels that are kept, `later` days after now."""
    path = self.pbs.configuration.state('source-data.json')
    write_json(path, dict(read_json(path), now=self.now + DAY * later))
    self.configure(**{'remove-backup-older-than': older_than})
    with self.wrong(later):
      self.assertTrue(self.run_task('prune'), self.message('prune-data'))
    return self.labels()

  def test_of_a_pbs_that_is_ahead_removes_nothing(self):
    for days in (30, 365):
      with self.wrong(days):
        self.assertTrue(self.run_task('pull'))
        self.assertTrue(self.run_task('prune'))
      self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])

  def test_of_a_pbs_that_was_ahead_of_a_leader_of_an_older_release(self):
    path = self.pbs.configuration.state('source-data.json')
    said = read_json(path)
    said.pop('now', None)
    write_json(path, said)
    with self.wrong(365):
      self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])

  def test_of_a_pbs_that_is_behind_removes_nothing(self):
    self.configure(**{'remove-backup-older-than': '12h'})
    with self.wrong(-365):
      self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])

  def test_of_a_pbs_that_was_ahead_once_leaves_retention_as_it_was(self):
    self.export({'marker': 'four'})
    with self.wrong(365):
      self.assertTrue(self.run_task('pull'))
    self.archived({'marker': 'five'})
    self.assertEqual(self.pruned(), ['1.1', '1.2', '1.3', '1.4', '1.5'])
    self.assertEqual(self.pruned('36h'), ['1.2', '1.3', '1.4', '1.5'])
    self.assertEqual(self.pruned('36h', later=1), ['1.3', '1.4', '1.5'])
    self.archive.restore('1.3', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'three'})

  def test_of_a_leader_that_was_wrong_once_leaves_retention_as_it_was(self):
    for days in (365, -365):
      with self.wrong(days):
        self.export({'marker': str(days)})
      self.assertTrue(self.run_task('pull'))
    self.archived({'marker': 'six'})
    self.assertEqual(self.pruned('36h'), ['1.2', '1.3', '1.4', '1.5', '1.6'])
    self.assertEqual(self.pruned('36h', later=1),
                     ['1.3', '1.4', '1.5', '1.6'])
    self.assertEqual(self.pruned('36h', later=3), ['1.6'])


class TestRetention(TestCase):
  """Durations as rdiff-backup takes them."""

  def oldest_kept(self, times, older_than, now):
    """Return it of generations that were pulled when they were sealed."""
    return oldest_kept([(when, generation(sealed=when)) for when in times],
                       older_than, now)

  def test_the_newest_is_kept_however_old_it_is(self):
    self.assertEqual(self.oldest_kept([10, 20, 30], '1s', 1000), 30)
    self.assertIsNone(self.oldest_kept([30], '1s', 1000))
    self.assertIsNone(self.oldest_kept([], '3B', 1000))

  def test_a_number_of_generations_is_kept_whatever_their_age(self):
    # Beside the newest.
    self.assertEqual(self.oldest_kept([10, 20, 30], '0B', 1000), 30)
    self.assertEqual(self.oldest_kept([10, 20, 30], '1B', 1000), 20)
    for text in ('2B', '3B', '99B'):
      self.assertIsNone(self.oldest_kept([10, 20, 30], text, 1000))

  def test_what_no_clock_dates_is_as_young_as_the_next(self):
    index = [(1e9, generation(sealed=1e9)), (900, generation(sealed=900)),
             (1e9 + 1, generation(sealed=1e9)), (1e9 + 2, generation(sealed=0))]
    self.assertIsNone(oldest_kept(index, '200s', 1000))
    self.assertEqual(oldest_kept(index, '50s', 1000), 1e9 + 1)
    # The present itself is in doubt.
    self.assertIsNone(oldest_kept(index, '1s', 0))

  def test_units_add_up(self):
    for text, expected in (('2W', 14 * 86400), ('1D12h', 36 * 3600),
                           ('90s', 90), ('1Y', 365 * 86400), ('3B', None)):
      self.assertEqual(seconds(text), expected, text)
