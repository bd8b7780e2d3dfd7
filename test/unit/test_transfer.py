"""A marker travels: leader, PBS, clone, through real ssh."""
import json
import os
import re
import shutil
import unittest.mock

from resilient import exporter, importer, manifest
from resilient.durable import lock, write_json
from resilient.status import problems

from .support import same_mtime, sealed, write_tree
from .test_manifest_compare import ODD_NAMES
from .tree import TreeCase


class TestTransfer(TreeCase):
  """One cycle and the next."""

  def test_a_marker_travels_to_the_archive_and_to_the_clones_service(self):
    self.cycle({'marker': 'one', 'folder/inner': 'two'})
    content = {'marker': 'one', 'folder/inner': 'two'}
    self.assertSame(self.archive.path, content)
    self.assertSame(self.clone.dump, content)
    self.assertSame(self.clone.at('srv/live'), content)
    self.assertEqual(self.imported(), '1.1')

  def test_a_change_and_a_deletion_travel(self):
    self.cycle({'a': 'one', 'b/c': 'two', 'd': 'three'})
    content = {'a': 'ONE', 'd/now/a': 'directory', 'e': 'four'}
    self.cycle(content)
    self.assertSame(self.archive.path, content)
    self.assertSame(self.clone.dump, content)
    self.assertSame(self.clone.at('srv/live'), content)
    self.assertEqual(self.imported(), '1.2')
    self.assertEqual(
      [item.label for _, item in self.archive.index()], ['1.1', '1.2'])


class TestContent(TreeCase):
  """What a dump may consist of, and how often it is sent."""

  over_ssh = False

  def test_odd_names_and_kinds_arrive_as_they_are(self):
    self.leader.serve({})
    live = os.fsencode(self.leader.at('srv/live'))
    os.symlink('nowhere', live + b'/broken')
    os.symlink(b'\xff\n', live + b'/link \xff')
    os.mkfifo(live + b'/pipe', 0o640)
    content = dict.fromkeys(ODD_NAMES, b'1')
    content.update({b'd/' + name: None for name in ODD_NAMES})
    write_tree(live, content)
    with open(live + b'/sparse', 'wb') as output:
      output.truncate(1 << 24)
    self.leader.serve = lambda content: write_tree(live, content)
    self.cycle({})
    self.cycle(dict.fromkeys(ODD_NAMES, b'22'))
    self.assertEqual(self.imported(), '1.2')
    self.assertLess(
      os.stat(os.path.join(self.clone.dump, 'sparse')).st_blocks, 1000)
    self.archive.restore('1.1', self.path('restored'))
    os.unlink(os.path.join(self.path('restored'), 'sparse'))

  def test_a_read_only_folder_arrives(self):
    self.leader.serve({'folder/inner': 'x'})
    os.chmod(self.leader.at('srv/live/folder'), 0o555)
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, {'folder/inner': 'x'})

  def test_an_empty_service_travels(self):
    self.cycle({})
    self.assertSame(self.clone.dump, {})
    self.assertEqual(self.imported(), '1.1')

  def test_with_nothing_new_nothing_is_transferred(self):
    self.cycle({'marker': 'one'})
    before = os.stat(self.clone.dump).st_ino
    self.assertTrue(self.run_task('pull'))
    self.assertTrue(self.run_task('push'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertEqual(len(self.archive.index()), 1)
    self.assertEqual(os.stat(self.clone.dump).st_ino, before)


class TestHistory(TreeCase):
  """What the archive keeps of exports."""

  over_ssh = False

  def test_the_first_generation_can_be_restored_from_the_second(self):
    self.archived({'marker': 'one', 'deleted': 'x'})
    self.archived({'marker': 'two'})
    restored = self.archive.restore('1.1', self.path('restored'))
    self.assertEqual(restored.label, '1.1')
    self.assertSame(self.path('restored'), {'marker': 'one', 'deleted': 'x'})

  def same_second(self):
    """Let all exports happen within one second, by their mtimes."""
    self.leader.program('data-exporter', (
      'cp {0}/marker {1}/ && touch -d @1000000000 {1}/marker\n'.format(
        self.leader.at('srv/live'), self.leader.dump)))

  def test_two_exports_within_a_second_both_arrive(self):
    # Same sizes, same second: what rdiff-backup alone takes for no change.
    self.same_second()
    self.archived({'marker': 'one'})
    self.archived({'marker': 'two'})
    self.assertSame(self.archive.path, {'marker': 'two'})

  def test_the_manifest_itself_is_never_taken_for_unchanged(self):
    moments = []
    for text in ('one', 'two'):
      with unittest.mock.patch('time.time', lambda: 1e9):
        self.export({'marker': text})
      status = os.stat(os.path.join(self.leader.dump, manifest.MANIFEST))
      moments.append((status.st_size, int(status.st_mtime)))
    self.assertEqual(moments[0][0], moments[1][0])
    self.assertLess(moments[0][1], moments[1][1])

  def test_who_missed_generations_meets_no_mtime_twice(self):
    self.same_second()
    self.export({'marker': 'one'})
    self.archived({'marker': 'two'})
    self.export({'marker': 'two'})
    self.archived({'marker': '333'})
    self.assertSame(self.archive.path, {'marker': '333'})


class TestRefusal(TreeCase):
  """What must not replace what is in the archive."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    self.export({'marker': 'one'})
    self.archived({'marker': 'two'})

  def claim(self, **changes):
    """Let the leader claim to have sealed another generation."""
    write_tree(self.leader.dump, {'marker': 'other'})
    sealed(self.leader.dump, {}, leader='data7', **changes)

  def assertRefused(self, reason):
    """The next pull is refused; the archive stays."""
    self.assertFalse(self.run_task('pull'))
    self.assertRegex(self.message(), reason)
    self.assertSame(self.archive.path, {'marker': 'two'})
    self.assertEqual(self.archive.newest().label, '1.2')

  def test_an_older_sequence_is_refused(self):
    self.claim(sequence=1)
    self.assertRefused('1.1 of leader data7 is older than 1.2')

  def test_a_leader_that_took_over_with_an_older_copy_is_waited_for(self):
    self.claim(sequence=1)
    write_json(self.leader.configuration.state('leadership.json'), {'epoch': 2})
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertSame(self.archive.path, {'marker': 'two'})
    self.assertEqual(self.archive.newest().label, '1.2')
    self.archived({'marker': 'three'})
    self.assertEqual(self.archive.newest().label, '2.3')
    # What is older than its own is refused as ever.
    self.claim(sequence=9)
    self.assertFalse(self.run_task('pull'))
    self.assertIn('1.9 of leader data7 is older than 2.3', self.message())

  def test_a_leader_that_lost_its_state_is_accepted_as_the_refusal_says(self):
    for name in ('srv/resilient', 'srv/backup'):
      shutil.rmtree(self.leader.at(name))
    os.mkdir(self.leader.at('srv/resilient'))
    self.export({'marker': 'three'})
    self.assertRefused('1.1 of leader .* is older than 1.2 of leader')
    told = json.loads(re.search('write ({.*}) to', self.message()).group(1))
    write_json(self.leader.configuration.state('leadership.json'), told)
    self.archived({'marker': 'three'})
    self.assertEqual(self.archive.newest().label, '2.2')

  def test_one_number_with_two_contents_is_refused(self):
    self.claim(sequence=2)
    self.assertRefused('1.2 exists twice with different contents')

  def test_after_a_takeover_the_old_leader_is_refused(self):
    self.claim(epoch=2, sequence=1)
    self.assertTrue(self.run_task('pull'), self.message())
    self.claim(epoch=1, sequence=99)
    self.assertFalse(self.run_task('pull'))
    self.assertIn('1.99 of leader data7 is older than 2.1', self.message())
    self.assertEqual(self.archive.newest().label, '2.1')

  def test_a_dump_that_changed_after_its_seal_is_neither_indexed_nor_pushed(
      self):
    self.export({'marker': '333'})
    same_mtime(os.path.join(self.leader.dump, 'marker'), b'xxx')
    self.assertFalse(self.run_task('pull'))
    self.assertIn('marker: has another sha256', self.message())
    self.assertEqual(self.archive.newest().label, '1.2')
    self.assertFalse(self.run_task('push'))
    self.assertIn('nothing is pushed', self.message('push-data'))
    self.assertFalse(os.path.exists(self.clone.dump))

  def test_what_failed_stays_told_while_the_leader_has_nothing_to_pull(self):
    self.export({'marker': '333'})
    same_mtime(os.path.join(self.leader.dump, 'marker'), b'xxx')
    self.assertFalse(self.run_task('pull'))
    told = problems(self.pbs.configuration)
    self.assertIn('does not match its manifest', str(told))
    with lock(self.leader.configuration.state('dump.lock')):
      self.assertFalse(self.run_task('pull'))
    self.assertEqual(problems(self.pbs.configuration), told)
    # It took over with an older copy, and has not exported since.
    self.claim(sequence=1)
    write_json(self.leader.configuration.state('leadership.json'), {'epoch': 2})
    self.assertFalse(self.run_task('pull'))
    self.assertEqual(problems(self.pbs.configuration), told)
    self.archived({'marker': 'four'})
    self.assertEqual(problems(self.pbs.configuration), [])

  def test_an_interrupted_export_is_told_and_not_pulled(self):
    self.leader.program('data-exporter', (
      'echo half > %s/marker; exit 1' % self.leader.dump))
    exporter.main(self.leader.configuration)
    self.assertFalse(self.run_task('pull'))
    self.assertIn('run bin/exporter again', self.message())
    self.assertSame(self.archive.path, {'marker': 'two'})
