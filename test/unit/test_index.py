"""A lost index, a lost ledger: they are made again."""
import math
import os
import pathlib
import unittest.mock

from hypothesis import given, settings, strategies

from resilient import manifest, verification
from resilient.archive import Archive, Damaged
from resilient.durable import write_json
from resilient.ledger import Ledger
from resilient.status import problems

from .archive_case import ArchiveCase, flip
from .partition import RDIFF_BACKUP
from .support import generation
from .tree import TreeCase

json_values = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats() | strategies.text(max_size=5),
  lambda items: strategies.lists(items, max_size=3) | strategies.dictionaries(
    strategies.sampled_from((
      'time', 'generation', 'generations', 'at', 'problem', 'progress', 'last',
      'digest', 'epoch', 'x')), items, max_size=4), max_leaves=12)


class TestIndex(ArchiveCase):
  """The index of an archive."""

  def index_path(self):
    """Return its path."""
    return self.pbs.configuration.state('archive-data.json')

  def test_a_lost_or_damaged_index_is_made_again_from_the_archive(self):
    before = self.archive.index()
    for damage in (os.unlink, lambda path: os.truncate(path, 100), flip):
      damage(self.index_path())
      self.assertTrue(self.run_task('pull'), self.message())
      self.assertEqual(self.archive.index(), before)
    self.assertSame(self.archive.path, {'marker': 'three'})

  def test_killed_while_it_is_made_again_it_leaves_nothing_out(self):
    before = self.archive.index()
    os.unlink(self.index_path())
    for program in (self.pbs.program('killed', (
        'case "$*" in *restore*) kill -9 $$;; esac\nexec %s "$@"\n'
        % RDIFF_BACKUP)), RDIFF_BACKUP):
      self.pbs.configure(**{'rdiff-backup': program})
      self.assertEqual(self.run_task('pull'), program == RDIFF_BACKUP)
    self.assertEqual(self.archive.index(), before)

  def test_what_cannot_be_restored_for_a_while_is_not_left_out(self):
    before = self.archive.index()
    os.unlink(self.index_path())
    self.pbs.configure(**{'rdiff-backup': self.pbs.program('full', (
      'case "$*" in *restore*%d*) echo No space left; exit 1;; esac\n'
      'exec %s "$@"\n' % (before[1][0], RDIFF_BACKUP)))})
    self.assertFalse(self.run_task('pull'))
    self.assertRegex(
      self.message(), 'No space left.*; if that stays .*bin/adopt --force data')
    self.pbs.configure(**{'rdiff-backup': RDIFF_BACKUP})
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.archive.index(), before)

  def test_the_oldest_that_cannot_be_restored_for_a_moment_is_not_left_out(
      self):
    before = self.archive.index()
    os.unlink(self.index_path())
    self.pbs.configure(**{'rdiff-backup': self.pbs.program('fails', (
      'case "$*" in *restore*) mkdir %s && exit 1;; esac\nexec %s "$@"\n' % (
        self.path('failed'), RDIFF_BACKUP)))})
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertTrue(os.path.exists(self.path('failed')))
    self.assertEqual(self.archive.index(), before)

  def test_made_again_it_still_names_what_is_damaged(self):
    before = self.archive.index()
    flip(self.increment(manifest.MANIFEST), -1)
    verification.task(self.pbs.configuration, self.peer)
    # As a kill of a prune leaves it: a time that the archive has no more.
    self.archive.write_index([(before[0][0] - 5, before[0][1]), *before])
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.archive.index(), before)
    self.assertIn('generation 1.1 is damaged', str(
      problems(self.pbs.configuration)))

  def test_lost_after_a_pull_that_failed_it_is_made_again(self):
    self.export({'marker': 'four'})
    self.pbs.configure(**{'rdiff-backup': self.pbs.program('f', 'exit 1\n')})
    self.assertFalse(self.run_task('pull'))
    self.pbs.configure(**{'rdiff-backup': RDIFF_BACKUP})
    os.unlink(self.index_path())
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])

  def test_lost_after_a_pull_that_was_refused_it_is_made_again(self):
    self.export({'marker': 'four'})
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=Damaged('damaged')):
      self.assertFalse(self.run_task('pull'))
    os.unlink(self.index_path())
    self.assertTrue(self.run_task('pull'), self.message())
    # What was refused was pulled again, and counts once.
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])
    os.unlink(self.index_path())
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])

  def test_a_damaged_index_is_a_problem_and_no_crash(self):
    os.truncate(self.index_path(), 100)
    for kind in ('push', 'prune'):
      self.assertFalse(self.run_task(kind))
    problem, = [item for item in problems(self.pbs.configuration)
                if item.topic == 'verification']
    self.assertIn('archive-data.json is damaged', problem.text)

  @settings(deadline=None, database=None, max_examples=300)
  @given(json_values)
  def test_no_index_that_is_none_is_accepted(self, value):
    write_json(self.index_path(), value, durable=False)
    try:
      found = self.archive.index()
    except ValueError as error:
      self.assertIn('archive-data.json', str(error))
    else:
      self.assertEqual(found, [])

  @settings(deadline=None, database=None, max_examples=300)
  @given(json_values)
  def test_no_ledger_that_is_none_says_that_anything_was_verified(self, value):
    write_json(self.pbs.configuration.state('verified-data.json'), value,
               durable=False)
    ledger = Ledger(self.pbs.configuration, 'data')
    self.assertEqual(ledger.at(generation()), 0)
    self.assertGreaterEqual(dict(ledger.progress).get('done', 0), 0)
    self.assertTrue(math.isfinite(ledger.last))
    ledger.note(generation())
    self.assertGreater(ledger.at(generation()), 0)

  def test_bytes_that_are_no_json_are_no_ledger(self):
    pathlib.Path(self.pbs.configuration.state(
      'verified-data.json')).write_bytes(b'\xff{')
    self.assertEqual(Ledger(self.pbs.configuration, 'data').last, 0)


class TestFirstPull(TreeCase):
  """Until a first pull was good, there is nothing that an index could name."""

  over_ssh = False

  def restores(self):
    """Let the PBS count its restores; return how many there were."""
    path = self.path('restores')
    self.pbs.configure(**{'rdiff-backup': self.pbs.program('counts', (
      'case "$*" in *restore*) echo >> %s;; esac\nexec %s "$@"\n' % (
        path, RDIFF_BACKUP)))})
    return len(pathlib.Path(path).read_text(encoding='ascii')) if (
      os.path.exists(path)) else 0

  def test_refused_again_and_again_it_counts_as_no_generation(self):
    self.export({'marker': 'one'})
    self.restores()
    for text in ('somebody', 'writes', 'into the dump'):
      pathlib.Path(self.leader.dump, 'marker').write_text(
        text, encoding='ascii')
      self.assertFalse(self.run_task('pull'))
      self.assertIn('marker: has another', self.message())
      self.assertEqual(self.archive.index(), [])
    self.assertEqual(self.restores(), 0)
    self.archived({'marker': 'two'})
    self.assertEqual(self.archive.newest().label, '1.2')

  def test_lost_meanwhile_it_is_made_again(self):
    self.export({'marker': 'one'})
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=Damaged('damaged')):
      for _ in range(2):
        self.assertFalse(self.run_task('pull'))
    os.unlink(self.pbs.configuration.state('archive-data.json'))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual([item.label for _, item in self.archive.index()], ['1.1'])

  def test_over_what_has_no_manifests_it_looks_for_them_once(self):
    self.archived({'marker': 'one'})
    self.export({'marker': 'two'})
    # As it is with an archive of the former stack.
    os.unlink(self.pbs.configuration.state('archive-data.json'))
    self.restores()
    with unittest.mock.patch.object(
        manifest, 'read', side_effect=manifest.InvalidManifest('none')):
      self.assertFalse(self.run_task('pull'))
      once = self.restores()
      self.assertFalse(self.run_task('pull'))
    self.assertEqual((once, self.restores()), (1, 1))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.archive.newest().label, '1.2')
