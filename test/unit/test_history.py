"""A lost PBS: its history is found again."""
import os
import shutil
import unittest.mock

from resilient import command, history
from resilient.archive import Archive, Damaged
from resilient.configuration import Configuration
from resilient.durable import write_json
from resilient.process import Failed
from resilient.repository import Repository
from resilient.status import problems

from .archive_case import ArchiveCase, flip, let_copy_be_old
from .partition import write_tree


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

  def adopt(self, *options, name='data'):
    """Run ``bin/adopt``.  Returns the exit status."""
    with open(self.path('output'), 'w', encoding='utf-8') as output, \
         unittest.mock.patch('sys.stdout', output):
      return command.main([
        'adopt', '--configuration', self.pbs.at('etc/resilient.json'), '--log',
        self.path('log'), name, self.sibling, *options])

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

  def test_where_the_index_is_lost_it_is_found_out_what_would_be_given_up(self):
    self.archived({'marker': 'four'})
    for damage in (os.unlink, lambda path: os.truncate(path, 100)):
      damage(self.pbs.configuration.state('archive-data.json'))
      self.assertEqual(self.adopt(), 1)
      self.assertRegex(self.read('output'), 'does not: 1.4; with --force')
      self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])
    # Where that cannot be found out either, who insists gets on.
    with unittest.mock.patch(
        'resilient.reindex.check_index', side_effect=Failed('it is broken')):
      self.assertEqual(self.adopt(), 1)
      self.assertRegex(self.read('output'), 'it is broken; with --force')
      self.assertEqual(self.adopt('--force'), 0)
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])

  def test_what_could_not_be_verified_is_not_given_up_unless_that_is_said(self):
    self.archived({'marker': 'four'})
    archive = self.archive
    ledger = archive.ledger
    ledger.note_failure(archive.newest(), 'the time was over')
    ledger.save(archive.index())
    self.assertEqual(self.adopt(), 1)
    self.assertRegex(self.read('output'), 'does not: 1.4; with --force')
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])

  def test_another_copy_is_verified_anew(self):
    good = self.sibling
    self.sibling = self.path('other')
    shutil.copytree(good, self.sibling, symlinks=True)
    flip(os.path.join(self.sibling, 'marker'))
    self.assertEqual(self.adopt(), 1)
    self.assertIn('run this again to go on, or remove it', self.read('output'))
    self.sibling = good
    increments = os.path.join(good, 'rdiff-backup-data/increments')
    flip(os.path.join(increments, min(
      name for name in os.listdir(increments) if name.startswith('marker.'))),
      -1)
    # Of all three, what is good is here.
    self.assertEqual(self.adopt(), 1)
    self.assertIn('does not: 1.1; with --force', self.read('output'))
    self.assertEqual(self.archive.index(), self.before)

  def test_verification_beside_it_disturbs_nothing(self):
    self.lose()
    real = Repository.restore

    def restore(*arguments):
      real(*arguments)
      shutil.rmtree(self.archive.place('verify'), ignore_errors=True)

    with unittest.mock.patch.object(Repository, 'restore', restore):
      self.assertEqual(self.adopt(), 0, self.read('output'))
    self.assertEqual(self.archive.index(), self.before)

  def test_killed_when_it_is_exchanged_what_was_there_is_kept(self):
    self.archived({'marker': 'four'})
    replaced = self.archive.place('replaced')
    for name, kept in (('exchange', self.archive.path),
                       ('fsync_directory', replaced)):
      with unittest.mock.patch.object(
          history, name, side_effect=KeyboardInterrupt):
        with self.assertRaises(KeyboardInterrupt):
          self.adopt('--force')
      for _ in range(2):
        self.assertEqual(len(Repository(
          self.pbs.configuration, kept).times()), 4)
        # It does not go on over what may be the last copy.
        self.assertEqual(self.adopt('--force'), 1)
        self.assertIn('left of an earlier adoption', self.read('output'))
      if kept != replaced:
        shutil.rmtree(replaced)

  def test_a_service_or_an_archive_that_is_not_ours_is_refused(self):
    self.lose()
    with unittest.mock.patch.object(
        Configuration, 'archive_names', lambda _: ['other', 'data']):
      self.assertEqual(self.adopt(name='other'), 1)
    self.assertIn('it is of service data', self.read('output'))
    self.assertEqual(self.adopt(name='dta'), 1)
    self.assertIn('there is no archive dta', self.read('output'))

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

  def test_a_change_among_many_others_is_seen(self):
    source, place = self.sibling, self.archive.place('adopting')
    names = ['%04d' % number + 'x' * 60 for number in range(1000)]
    write_tree(source, dict.fromkeys(names, 'x'))
    history._copy(self.archive, source, place)
    write_json(history._done(self.archive), {
      '1': self.before[0][1].to_json()})
    for name in names:
      os.utime(os.path.join(source, name), (5, 5))
    history._copy(self.archive, source, place)
    self.assertEqual(list(history._read(self.archive)), ['1'])
    write_tree(source, {names[0]: 'y'})
    for name in names:
      os.utime(os.path.join(source, name), (6, 6))
    history._copy(self.archive, source, place)
    self.assertEqual(history._read(self.archive), {})

  def test_killed_after_a_first_pull_that_was_refused_it_loses_nothing(self):
    self.lose()
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=Damaged('damaged')):
      self.assertFalse(self.run_task('pull'))
    with unittest.mock.patch.object(
        Archive, 'write_index', side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        history.adopt(self.archive, self.sibling, str)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.archive.index(), self.before)

  def adopt_after_a_kill(self, meanwhile):
    """Kill bin/adopt at its fourth generation, and run it again after
    `meanwhile`; return how many were verified, some twice."""
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
      meanwhile()
      self.assertEqual(self.adopt(), 0)
    self.assertEqual(self.archive.index(), self.before)
    return len(calls)

  def test_killed_before_it_goes_on_where_it_was(self):
    self.assertEqual(self.adopt_after_a_kill(lambda: None), 5)

  def test_killed_before_it_begins_anew_with_a_copy_that_is_another(self):
    self.assertEqual(self.adopt_after_a_kill(
      lambda: let_copy_be_old(self.archive)), 8)
