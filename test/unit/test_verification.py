"""The archive is read again; damage is named."""
import os
import random
import time
import unittest
import unittest.mock

from resilient import manifest, verification
from resilient.durable import write_json
from resilient.process import Inconclusive, TimeOver
from resilient.repository import Repository
from resilient.status import status
from resilient.tasks import tasks
from resilient.transfer import TransferFailed

from . import small_disk
from .archive_case import ArchiveCase, flip, HOUR, VerificationCase
from .partition import RDIFF_BACKUP
from .support import generation


class TestVerification(VerificationCase):
  """What is found, and told."""

  def test_a_damaged_increment_is_named_until_it_is_pruned(self):
    flip(self.increment('marker'), -1)
    self.assertRegex(
      self.verify(), 'generation 1.1 is damaged: 1 entries .*marker: cannot')
    self.assertFalse(self.pbs.configuration.store.last_run(
      'verify-data').success)
    for _ in range(2):
      self.assertEqual(self.topics(), ['verification'])
      # The others are good, and are said to be.
      self.assertEqual(self.verify(), 'verified')
    found = status(self.pbs.configuration)['archives']['data']
    self.assertEqual(found['damaged'], ['1.1'])
    self.configure(**{'remove-backup-older-than': '1B'})
    self.assertTrue(self.run_task('prune'))
    self.assertEqual(self.topics(), [])

  def test_a_lost_increment_is_named(self):
    os.unlink(self.increment('c'))
    self.assertRegex(self.verify(), 'generation 1.1 is damaged: .*c: ')

  def test_a_damaged_mirror_is_repaired_and_that_is_told(self):
    flip(self.in_archive('a/b'))
    self.assertEqual(
      self.verify(hours=25), 'the mirror was damaged, and is repaired')
    self.assertSame(self.archive.path, self.contents[-1])
    self.assertEqual(self.topics(), [])

  def test_a_damaged_mirror_that_nobody_can_repair_is_named(self):
    flip(self.in_archive('a/b'))
    flip(os.path.join(self.leader.dump, 'a/b'))
    self.assertRegex(self.verify(hours=25), 'generation 1.3 is damaged: .*a/b')
    self.assertEqual(self.topics(), ['verification'])

  def test_a_large_generation_is_read_a_slice_at_a_time(self):
    store = self.pbs.configuration.store
    with unittest.mock.patch.object(verification, '_SLICE_ENTRIES', 2):
      self.assertIsNone(self.verify())
      self.assertIn('verify-data', store.pending())
      store.complete('verify-data', 99)
      # Time has not passed, and it goes on.
      self.assertEqual(self.verify(hours=0), 'verified')
      self.assertNotIn('verify-data', store.pending())
      flip(self.increment('marker', 1), -1)
      self.verify()
      self.assertRegex(self.verify(hours=0), '1.2 is damaged: .*marker')

  def test_of_a_generation_that_is_older_less_is_read_at_once(self):
    with unittest.mock.patch.object(verification, '_NEWER', 2), \
        unittest.mock.patch.object(verification, '_SLICE_ENTRIES', 6):
      self.assertIsNone(self.verify())
      # Of its four entries, the rest.
      self.assertEqual(self.verify(hours=0), 'verified')
      self.assertEqual(self.last(), '1.1')
      self.assertEqual(self.verify(), 'verified')
      self.assertEqual(self.last(), '1.2')

  def test_pulls_in_between_let_it_go_on_where_it_was(self):
    flip(self.increment('marker'), -1)
    with unittest.mock.patch.object(verification, '_SLICE_ENTRIES', 1):
      for number in range(3):
        self.assertIsNone(self.verify())
        with unittest.mock.patch('time.time', lambda: self.now):
          self.archived({'marker': str(number)})
      self.assertRegex(self.verify(), 'generation 1.1 is damaged: .*marker')

  def test_a_damaged_ledger_makes_nothing_count_as_read(self):
    flip(self.increment('marker'), -1)
    digest = self.archive.index()[0][1].digest
    write_json(self.pbs.configuration.state('verified-data.json'), {
      'progress': {'digest': digest, 'done': 99}})
    self.assertRegex(self.verify(), 'generation 1.1 is damaged: .*marker')

  def test_without_room_for_a_copy_nothing_is_written_and_that_is_told(self):
    with unittest.mock.patch.object(verification, 'free', lambda _: 3):
      self.now += HOUR
      self.assertFalse(tasks(self.pbs.configuration)['verify-data'].run())
    self.assertIn('no room to verify generation 1.1', self.message(
      'verify-data'))
    self.assertEqual(self.topics(), ['verification'])
    # The others have their turns, and it is not forgotten.
    self.assertEqual((self.verify(), self.last()), ('verified', '1.2'))
    self.assertEqual(self.topics(), ['verification'])

  def test_without_room_for_the_next_slice_it_waits_until_it_is_due(self):
    with unittest.mock.patch.object(verification, '_SLICE_ENTRIES', 2):
      self.assertIsNone(self.verify())
    verify = tasks(self.pbs.configuration)['verify-data'].run
    with unittest.mock.patch.object(verification, 'free', lambda _: 3), \
         unittest.mock.patch('time.time', lambda: self.now):
      self.assertEqual([verify() for _ in range(3)], [False, True, True])

  def test_what_does_not_end_in_time_is_told_and_the_others_have_their_turns(
      self):
    self.pbs.configure(**{'verification-deadline': 1, 'rdiff-backup': (
      self.pbs.program('slow', 'exec sleep 60'))})
    self.now += HOUR
    with unittest.mock.patch('time.time', lambda: self.now), \
         unittest.mock.patch.object(
           verification, '_manifest_of', lambda archive, *_: manifest.read(
             archive.path)):
      self.assertFalse(tasks(self.pbs.configuration)['verify-data'].run())
    self.assertIn('did not end within 1 s', self.message('verify-data'))
    # Nobody knows of any damage.
    self.assertRegex(self.problem().text, (
      '^archive data: generation 1.1 could not be verified: slow did not end'))
    found = status(self.pbs.configuration)['archives']['data']
    self.assertEqual(found['damaged'], [])
    self.pbs.configure(**{'verification-deadline': 60,
                          'rdiff-backup': RDIFF_BACKUP})
    self.assertEqual(self.verify(), 'verified')
    self.assertEqual(self.last(), '1.2')

  def test_one_that_could_not_be_verified_is_tried_again_soon(self):
    real = Repository.restore
    for why, turns in (
        # That of the mirror takes no turn.
        (Inconclusive, ['1.1', '1.2', '1.1', '1.3', '1.2', '1.1']),
        (TransferFailed, ['1.1', '1.2', '1.1', '1.3', '1.2', '1.1']),
        # What takes hours and fails is not to take each second of them.
        (TimeOver, ['1.1', '1.2', '1.3', '1.1', '1.2', '1.3'])):
      def restore(repository, when, *rest):
        if when == self.archive.index()[0][0]:
          raise why('so it is')  # noqa: B023
        real(repository, when, *rest)

      with self.subTest(why), unittest.mock.patch.object(
          Repository, 'restore', restore):
        os.unlink(self.pbs.configuration.state('verified-data.json'))
        self.archive.note(self.archive.newest())
        found = []
        for _ in turns:
          self.now += HOUR
          with unittest.mock.patch('time.time', lambda: self.now):
            tasks(self.pbs.configuration)['verify-data'].run()
            # A pull in between is nobody's turn.
            self.archive.note(generation(7))
          found.append(self.last())
        self.assertEqual(found, turns)
    self.assertEqual(self.verify(), 'verified')
    self.assertEqual(self.verify(), 'verified')
    self.assertEqual(self.topics(), [])

  def test_a_file_that_is_read_alone_has_the_time_of_a_transfer(self):
    deadlines, real = [], Repository.restore

    def restore(repository, when, target, paths=None, deadline=None):
      deadlines.append(deadline)
      real(repository, when, target, paths, deadline)

    with unittest.mock.patch.object(Repository, 'restore', restore):
      for entries, transfer, expected in (
          (4, 3600, 1800), (1, 3600, 3600), (1, 60, 1800)):
        self.pbs.configure(**{'transfer-deadline': transfer})
        with unittest.mock.patch.object(
            verification, '_SLICE_ENTRIES', entries):
          self.verify()
        # The manifest comes first.
        self.assertEqual(deadlines, [None, expected])
        deadlines.clear()

  def test_a_restore_of_a_manifest_that_is_killed_says_nothing_of_it(self):
    self.pbs.configure(**{'rdiff-backup': (
      self.pbs.program('killed', 'kill -9 $$'))})
    self.now += HOUR
    with unittest.mock.patch('time.time', lambda: self.now):
      self.assertFalse(tasks(self.pbs.configuration)['verify-data'].run())
    self.assertRegex(self.message('verify-data'), '^killed was ended by signal')

  def test_what_is_read_is_left_nowhere(self):
    self.verify()
    self.assertEqual(
      [name for name in os.listdir(self.pbs.at('srv/backup/pbs'))
       if name not in ('data', '.reserve')], [])


class TestNames(ArchiveCase):
  """Names that rdiff-backup may misread in a list of them."""

  contents = ({'return\r': 'x', 'd\r/in\r': 'x'}, {'marker': 'two'})

  def test_one_that_ends_in_a_carriage_return_is_verified(self):
    now = time.time() + HOUR
    with unittest.mock.patch('time.time', lambda: now):
      self.assertTrue(tasks(self.pbs.configuration)['verify-data'].run())
    self.assertEqual(self.message('verify-data'), 'verified')


@unittest.skipUnless(small_disk.possible(), 'the kernel allows no namespaces')
class TestTemporaryFiles(ArchiveCase):
  """An archive of two generations whose file is larger than the disk of
  temporary files."""

  contents = tuple({'large': random.Random(seed).randbytes(300000)}
                   for seed in (1, 2))

  def with_small_disk(self, story):
    """Run `story` where temporary files have less room than the archive."""
    place = self.path('temporary')
    os.mkdir(place)

    def run():
      small_disk.mount(place, 100000)
      with unittest.mock.patch.dict(os.environ, TMPDIR=place), \
           unittest.mock.patch('tempfile.tempdir', place):
        story()
      self.assertEqual(os.listdir(place), [])
      self.assertEqual(sorted(os.listdir(self.pbs.at('srv/backup/pbs'))),
                       ['.reserve', 'data'])

    small_disk.inside(run)

  def test_the_archives_disk_is_used_to_restore_and_to_verify(self):
    def story():
      self.archive.restore('1.1', self.path('restored'))
      now = time.time() + HOUR
      with unittest.mock.patch('time.time', lambda: now):
        self.assertTrue(tasks(self.pbs.configuration)['verify-data'].run())
      self.assertEqual(self.message('verify-data'), 'verified')

    self.with_small_disk(story)
