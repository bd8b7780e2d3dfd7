"""The history: restored, damaged, pruned."""
import contextlib
import io
import os
import shutil
import tempfile
import time
import unittest.mock

from resilient import restore
from resilient.archive import Damaged, seconds

from .support import same_mtime, TestCase
from .tree import TreeCase


class TestHistory(TreeCase):
  """An archive of three generations."""

  over_ssh = False

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.saved = tempfile.mkdtemp(prefix='resilient-')
    cls.addClassCleanup(shutil.rmtree, cls.saved)

  def setUp(self):
    super().setUp()
    places = (self.leader, self.pbs)
    if os.listdir(self.saved):
      for place in places:
        shutil.rmtree(place.at('srv'))
        shutil.copytree(os.path.join(self.saved, place.options['role']),
                        place.at('srv'))
      return
    # Made once, for it takes seconds.  A day lies between each.
    now = time.time()
    for age, text in ((3, 'one'), (2, 'two'), (0, 'three')):
      with unittest.mock.patch('time.time', lambda age=age: now - 86400 * age):
        self.archived({'marker': text})
    for place in places:
      os.unlink(place.configuration.store.wake_path)
      shutil.copytree(
        place.at('srv'), os.path.join(self.saved, place.options['role']))

  def labels(self):
    """Return the labels of the generations that are kept."""
    return [generation.label for _, generation in self.archive.index()]

  def restored(self, *arguments):
    """Run ``bin/restore``; return (exit status, what it prints)."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
      status = restore.main(self.pbs.configuration, 'data', *arguments)
    return status, output.getvalue()

  def test_each_generation_restores_to_its_own_manifest(self):
    status, text = self.restored(None, None)
    self.assertEqual((status, len(text.splitlines())), (0, 3))
    for label, marker in (('1.1', 'one'), ('1.2', 'two'), ('1.3', 'three')):
      status, text = self.restored(label, self.path(label))
      self.assertEqual(status, 0, text)
      self.assertIn('is restored and verified', text)
      self.assertSame(self.path(label), {'marker': marker})
    status, text = self.restored('7.7', self.path('x'))
    self.assertEqual(status, 1)
    self.assertIn('has no generation 7.7', text)

  def test_a_damaged_increment_is_not_handed_out_as_good(self):
    increments = os.path.join(
      self.archive.path, 'rdiff-backup-data/increments')
    names = sorted(name for name in os.listdir(increments)
                   if name.startswith('marker.'))
    with open(os.path.join(increments, names[0]), 'r+b') as damaged:
      data = bytearray(damaged.read())
      data[-1] ^= 1
      damaged.seek(0)
      damaged.write(data)
    status, text = self.restored('1.1', self.path('x'))
    self.assertEqual(status, 1)
    self.assertIn('was not restored', text)

  def test_a_damaged_mirror_is_found_by_a_restore(self):
    same_mtime(os.path.join(self.archive.path, 'marker'), b'THREE')
    with self.assertRaises(Damaged):
      self.archive.restore('1.3', self.path('x'))

  def test_what_is_too_old_is_pruned_and_the_rest_still_restores(self):
    self.configure(**{'remove-backup-older-than': '36h'})
    self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.labels(), ['1.3'])
    self.assertIn('removed 2 generations', self.message('prune-data'))
    self.assertSame(self.archive.path, {'marker': 'three'})

  def test_a_number_of_backups_can_be_kept(self):
    self.configure(**{'remove-backup-older-than': '2B'})
    self.assertTrue(self.run_task('prune'))
    self.assertIn(self.labels(), (['1.2', '1.3'], ['1.1', '1.2', '1.3']))
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


class TestSeconds(TestCase):
  """Durations as rdiff-backup takes them."""

  def test_units_add_up(self):
    for text, expected in (('2W', 14 * 86400), ('1D12h', 36 * 3600),
                           ('90s', 90), ('1Y', 365 * 86400), ('3B', None)):
      self.assertEqual(seconds(text), expected, text)
