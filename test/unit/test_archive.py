"""The history: restored, damaged, pruned."""
import os
import time
import unittest.mock

from resilient.archive import Damaged
from resilient.retention import oldest_kept, seconds

from .archive_case import ArchiveCase
from .support import same_mtime, TestCase


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


class TestRetention(TestCase):
  """Durations as rdiff-backup takes them."""

  def test_the_newest_is_kept_however_old_it_is(self):
    self.assertEqual(oldest_kept([10, 20, 30], '1s', 1000), 30)
    self.assertIsNone(oldest_kept([30], '1s', 1000))
    self.assertIsNone(oldest_kept([], '3B', 1000))

  def test_a_number_of_generations_is_kept_whatever_their_age(self):
    # Beside the newest.
    self.assertEqual(oldest_kept([10, 20, 30], '0B', 1000), 30)
    self.assertEqual(oldest_kept([10, 20, 30], '1B', 1000), 20)
    for text in ('2B', '3B', '99B'):
      self.assertIsNone(oldest_kept([10, 20, 30], text, 1000))

  def test_units_add_up(self):
    for text, expected in (('2W', 14 * 86400), ('1D12h', 36 * 3600),
                           ('90s', 90), ('1Y', 365 * 86400), ('3B', None)):
      self.assertEqual(seconds(text), expected, text)
