"""A lost index, a lost ledger: they are made again."""
import math
import os
import pathlib

from hypothesis import given, settings, strategies

from resilient.durable import write_json
from resilient.ledger import Ledger
from resilient.status import problems

from .archive_case import ArchiveCase, flip
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
