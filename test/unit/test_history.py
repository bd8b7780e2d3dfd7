"""A lost index, a lost PBS: the history is found again."""
import math
import os
import pathlib
import shutil
import unittest.mock

from hypothesis import given, settings, strategies

from resilient import command, history
from resilient.archive import Archive
from resilient.durable import write_json
from resilient.ledger import Ledger
from resilient.status import problems

from .archive_case import ArchiveCase, flip, let_copy_be_old
from .partition import RDIFF_BACKUP
from .support import generation

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


class TestAdoption(ArchiveCase):
  """A PBS that was lost; of its sibling there is an archive."""

  def setUp(self):
    super().setUp()
    self.sibling = self.path('from the sibling')
    self.have_sibling()

  def have_sibling(self):
    """The sibling holds what this PBS holds now."""
    shutil.rmtree(self.sibling, ignore_errors=True)
    shutil.copytree(self.archive.path, self.sibling, symlinks=True)
    self.before = self.archive.index()

  def lose(self):
    """The PBS is lost; here is its new one."""
    for name in ('srv/backup/pbs', 'srv/resilient'):
      shutil.rmtree(self.pbs.at(name))
    os.makedirs(self.pbs.configuration.state_directory)
    self.pbs.configuration.store.create()

  def adopt(self, *options):
    """Run ``bin/adopt``.  Returns the exit status."""
    with open(self.path('output'), 'w', encoding='utf-8') as output, \
         unittest.mock.patch('sys.stdout', output):
      return command.main([
        'adopt', '--configuration', self.pbs.at('etc/resilient.json'), '--log',
        self.path('log'), 'data', self.sibling, *options])

  def test_a_lost_pbs_gets_the_history_of_its_sibling(self):
    self.lose()
    self.assertEqual(self.adopt(), 0, self.read('output'))
    self.assertIn('has 3 generations now, 1.1 to 1.3', self.read('output'))
    self.assertEqual(self.archive.index(), self.before)
    # And goes on with it.
    self.archived({'marker': 'four'})
    for label, marker in (('1.1', 'one'), ('1.3', 'three'), ('1.4', 'four')):
      self.archive.restore(label, self.path(label))
      self.assertSame(self.path(label), {'marker': marker})
    self.assertEqual(problems(self.pbs.configuration), [])
    self.assertEqual(
      {name for name in os.listdir(self.pbs.at('srv/backup/pbs'))
       if name not in ('data', '.reserve')}, set())

  def test_a_damaged_increment_is_replaced_by_the_siblings_good_one(self):
    flip(self.increment('marker'), -1)
    self.archive.note(self.before[0][1], 'damaged')
    self.assertEqual(self.adopt(), 0, self.read('output'))
    self.assertEqual(problems(self.pbs.configuration), [])
    self.archive.restore('1.1', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'one'})
    # What was here is kept for who wants to look.
    self.assertTrue(os.path.isdir(self.archive.place('replaced')))

  def test_what_is_damaged_at_the_sibling_is_left_out_and_named(self):
    self.lose()
    increments = os.path.join(self.sibling, 'rdiff-backup-data/increments')
    flip(os.path.join(increments, min(
      name for name in os.listdir(increments) if name.startswith('marker.'))),
      -1)
    self.assertEqual(self.adopt(), 0)
    self.assertIn('left out', self.read('output'))
    self.assertEqual(self.labels(), ['1.2', '1.3'])

  def test_a_sibling_whose_mirror_is_damaged_is_not_taken(self):
    flip(os.path.join(self.sibling, 'marker'))
    self.assertEqual(self.adopt(), 1)
    self.assertIn('is as before: the newest generation in it is damaged',
                  self.read('output'))
    self.assertEqual(self.archive.index(), self.before)

  def test_nothing_good_is_given_up_unless_that_is_said(self):
    self.archived({'marker': 'four'})
    self.assertEqual(self.adopt(), 1)
    self.assertRegex(self.read('output'), 'does not: 1.4; with --force')
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])
    self.assertEqual(self.adopt('--force'), 0)
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])

  def test_what_is_no_archive_is_not_taken(self):
    self.sibling = self.path('nothing')
    self.assertEqual(self.adopt(), 1)
    self.assertIn('is no archive', self.read('output'))

  def test_killed_after_the_exchange_the_next_pull_finds_the_index(self):
    self.lose()
    with unittest.mock.patch.object(
        Archive, 'write_index', side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        self.adopt()
    self.assertEqual(self.archive.index(), [])
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.archive.index(), self.before)

  def test_killed_before_it_goes_on_where_it_was(self):
    self.export_link()
    self.assertTrue(self.run_task('pull'), self.message())
    self.have_sibling()
    self.lose()
    real, calls = history._verify, []

    def killed(*arguments):
      calls.append(1)
      if len(calls) == 4:
        raise KeyboardInterrupt
      return real(*arguments)

    with unittest.mock.patch.object(history, '_verify', killed):
      with self.assertRaises(KeyboardInterrupt):
        self.adopt()
      let_copy_be_old(self.archive)
      self.assertEqual(self.adopt(), 0)
    self.assertEqual(len(calls), 5)
    self.assertEqual(self.archive.index(), self.before)
