"""The disk of a PBS is full: what is there stays, and space is found."""
import os
import random
import resource
import time
import unittest
import unittest.mock

from resilient import clone, equeue, reserve
from resilient.tasks import tasks

from . import small_disk
from .tree import TreeCase

_DAY = 86400


def noise(seed, count, size=20000):
  """Return {name: bytes} that no program makes smaller."""
  source = random.Random(seed)
  return {'%d/%d' % (number % 7, number): source.randbytes(size)
          for number in range(count)}


class DiskCase(TreeCase):
  """An archive that holds three generations, a day between each."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    self.configure(**{'archive-reserve': 300000})
    self.disk = self.pbs.at('srv/backup')
    os.makedirs(self.disk, exist_ok=True)

  def fill(self):
    """Make the generations."""
    now = time.time()
    for age, seed in ((3, 1), (2, 2), (1, 3)):
      with unittest.mock.patch('time.time', lambda age=age: now - _DAY * age):
        self.archived(noise(seed, 50))

  def fill_up(self, directory, left=0):
    """Leave `left` bytes on the disk of `directory`."""
    with open(os.path.join(directory, 'filler'), 'wb', buffering=0) as filler:
      with self.assertRaises(OSError):
        while True:
          filler.write(b'x' * 4096)
      filler.truncate(filler.tell() - left)

  def assertHistory(self, *labels):
    """These generations are there, and restore to their manifests."""
    self.assertEqual(
      [item.label for _, item in self.archive.index()], list(labels))
    for label in labels:
      self.archive.restore(label, self.path('restored', label))

  def setUpRestored(self):
    os.makedirs(self.path('restored'), exist_ok=True)


@unittest.skipUnless(small_disk.possible(), 'the kernel allows no namespaces')
class TestFullDisk(DiskCase):
  """A small filesystem."""

  def on_disk(self, size, story):
    """Run `story` where the archives' disk has `size` bytes."""
    def run():
      small_disk.mount(self.disk, size)
      self.setUpRestored()
      story()

    small_disk.inside(run)

  def test_what_is_old_is_pruned_on_the_full_disk_and_the_next_pull_succeeds(
      self):
    def story():
      self.fill()
      self.export(noise(4, 130))
      self.assertFalse(self.run_task('pull'))
      self.assertIn('No space left', self.message())
      self.assertTrue(self.archive.repository.cut_short)
      # Nothing new until there is room.
      self.assertFalse(self.run_task('pull'))
      self.assertRegex(self.message(), 'is full: nothing is pulled|No space')
      self.configure(**{'remove-backup-older-than': '36h'})
      self.assertTrue(self.run_task('prune'), self.message('prune-data'))
      self.assertIn('removed 2 generations', self.message('prune-data'))
      self.assertTrue(self.run_task('pull'), self.message())
      self.assertHistory('1.3', '1.4')

    self.on_disk(5_500_000, story)

  def test_with_nothing_to_prune_all_stays_until_there_is_room(self):
    def story():
      self.fill()
      self.export(noise(4, 400))
      self.assertFalse(self.run_task('pull'))
      # What an operator needs now works now.
      self.archive.restore('1.3', self.path('restored', 'now'))
      self.assertFalse(self.run_task('pull'))
      self.assertTrue(self.run_task('prune'))
      self.assertTrue(self.run_task('push'), self.message('push-data'))
      self.assertEqual(clone.newest(self.clone.configuration).label, '1.3')
      small_disk.resize(self.disk, 30_000_000)
      self.assertTrue(self.run_task('pull'), self.message())
      self.assertHistory('1.1', '1.2', '1.3', '1.4')

    self.on_disk(4_500_000, story)

  def test_an_index_that_was_lost_is_made_again_on_the_full_disk(self):
    def story():
      now = time.time()
      for age, seed, count in ((3, 1, 120), (2, 2, 5), (1, 3, 5)):
        with unittest.mock.patch('time.time', lambda age=age: now - _DAY * age):
          self.archived(noise(seed, count))
      os.unlink(self.pbs.configuration.state('archive-data.json'))
      self.fill_up(self.disk, left=16384)
      self.run_task('pull')
      os.unlink(os.path.join(self.disk, 'filler'))
      self.archived(noise(4, 50))
      self.assertHistory('1.1', '1.2', '1.3', '1.4')

    self.on_disk(9_500_000, story)

  def test_a_first_pull_that_does_not_fit_is_made_when_there_is_room(self):
    def story():
      self.export(noise(4, 100))
      for _ in range(2):
        self.assertFalse(self.run_task('pull'))
      self.assertEqual(self.archive.index(), [])
      small_disk.resize(self.disk, 30_000_000)
      self.assertTrue(self.run_task('pull'), self.message())
      self.assertHistory('1.1')

    self.on_disk(1_500_000, story)

  def test_a_full_disk_makes_no_generation_count_as_damaged(self):
    def story():
      self.fill()
      # It has no turn now, and needs no room.
      self.archive.note(self.archive.newest())
      self.fill_up(self.disk, left=8192)
      self.assertFalse(tasks(self.pbs.configuration)['verify-data'].run())
      self.assertIn('there is no room', self.message('verify-data'))
      ledger = self.archive.ledger
      self.assertEqual([ledger.is_damaged(item) for _, item in
                        self.archive.index()], [False] * 3)

    self.on_disk(5_500_000, story)

  def test_the_queue_itself_finds_room_when_another_has_filled_the_disk(self):
    self.disk = self.pbs.at('srv')

    def story():
      for name in ('resilient', 'backup'):
        os.makedirs(self.pbs.at('srv/' + name))
      self.pbs.configuration.store.create()
      self.fill()
      self.fill_up(self.disk)
      self.configure(**{'remove-backup-older-than': '36h'})
      watched = unittest.mock.Mock(**{
        'current.return_value': self.pbs.configuration})
      ran = []

      def changed():
        ran.extend(self.pbs.configuration.store.runs('prune-data'))
        return bool(ran)

      type(watched).changed = property(lambda _: changed())
      wake = os.open(self.pbs.configuration.store.wake_path,
                     os.O_RDWR | os.O_NONBLOCK)
      with unittest.mock.patch.object(equeue, '_LONGEST_PAUSE', 0.1):
        equeue._serve(watched, wake)
      self.assertIn('removed 2 generations', ran[0].message)

    self.on_disk(6_000_000, story)


class TestLimit(DiskCase):
  """A limit on the size of files, which every kernel has."""

  def test_a_file_that_is_too_large_stops_the_pull_and_harms_nothing(self):
    self.setUpRestored()
    self.fill()
    self.export({**noise(3, 30), 'large': random.Random(1).randbytes(900000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500000, hard))
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
    self.assertFalse(self.run_task('pull'))
    self.assertEqual(self.archive.newest().label, '1.3')
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertHistory('1.1', '1.2', '1.3', '1.4')


class TestReserve(DiskCase):
  """The bytes that are kept free."""

  def test_it_is_there_after_a_pull_and_after_a_prune(self):
    self.archived({'marker': 'one'})
    path = self.pbs.at('srv/backup/pbs/.reserve')
    self.assertGreaterEqual(os.stat(path).st_blocks * 512, 300000)
    with reserve.Reserve(self.pbs.configuration).lent():
      self.assertFalse(os.path.exists(path))
    self.assertTrue(os.path.exists(path))

  def test_pruning_does_not_wait_for_a_pull(self):
    self.assertTrue(tasks(self.pbs.configuration)['prune-data'].timed)
