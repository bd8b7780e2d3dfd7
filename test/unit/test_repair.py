"""Damage in a mirror: repaired from the leader or the clone, before the mirror
becomes history."""
import os
import pathlib
import stat
import subprocess
import time
import unittest.mock

from resilient import clone, exporter, importer, manifest, verification
from resilient.archive import Archive
from resilient.status import problems

from .archive_case import ArchiveCase, flip
from .partition import RDIFF_BACKUP, write_tree
from .support import same_mtime, unreadable

_CONTENT = {
  'marker': 'three', 'same': 'never changes', 'folder/inner': 'x' * 5000,
  'folder/empty': ''}


class RepairCase(ArchiveCase):
  """An archive whose newest generation is what leader and clone hold."""

  contents = ({'marker': 'one', 'same': 'never changes'}, _CONTENT)

  def assertWhole(self, **content):
    """The archive holds its generation, and the one before restores."""
    self.assertSame(self.archive.path, dict(_CONTENT, **content))
    self.archive.restore('1.1', self.path('restored'))
    self.assertSame(self.path('restored'), self.contents[0])
    self.assertEqual(problems(self.pbs.configuration), [])


class TestMirror(RepairCase):
  """What is wrong with a mirror."""

  def mend(self):
    """Have the archive repaired; return what is left."""
    with self.archive.locked():
      return self.cared_for.mend()

  def test_all_kinds_of_damage_at_once(self):
    flip(self.in_archive('same'))
    os.truncate(self.in_archive('folder/inner'), 17)
    os.unlink(self.in_archive('folder/empty'))
    os.chmod(self.in_archive('marker'), 0)
    self.assertEqual(self.mend(), '')
    self.assertWhole()
    # What was replaced is kept until the next repair.
    replaced = os.path.join(self.archive.place('repair'), 'replaced')
    self.assertEqual(len(os.listdir(replaced)), 2)

  def test_a_folder_that_is_lost_or_another_thing(self):
    subprocess.run(['rm', '-r', self.in_archive('folder')], check=True)
    os.symlink('/etc', self.in_archive('folder'))
    self.assertEqual(self.mend(), '')
    self.assertWhole()
    self.assertTrue(stat.S_ISDIR(os.lstat(self.in_archive('folder')).st_mode))

  def test_a_file_that_the_disk_cannot_read_any_more(self):
    with unreadable(self.in_archive('same')):
      self.assertEqual(self.mend(), '')
    self.assertWhole()

  def test_nor_does_it_stop_a_pull(self):
    self.export(dict(_CONTENT, marker='four'))
    with unreadable(self.in_archive('same')):
      self.assertTrue(self.run_task('pull'), self.message())
    self.assertWhole(marker='four')

  def test_a_folder_that_nobody_may_enter(self):
    os.chmod(self.in_archive('folder'), 0o600)
    self.assertEqual(self.mend(), '')
    self.assertWhole()

  def test_a_folder_that_nobody_may_enter_ends_no_verification(self):
    os.chmod(self.in_archive('folder'), 0o600)
    now = time.time() + 90000
    with unittest.mock.patch('time.time', lambda: now):
      self.assertTrue(verification.task(self.pbs.configuration, self.peer))
    self.assertEqual(self.message('verify-data'),
                     'the mirror was damaged, and is repaired')
    self.assertWhole()

  def test_the_manifest_itself(self):
    for damage in (flip, os.unlink, lambda path: os.truncate(path, 100)):
      damage(self.in_archive(manifest.MANIFEST))
      self.assertEqual(self.mend(), '')
    self.assertWhole()

  def test_what_nobody_has_is_named_and_the_next_pull_goes_on(self):
    flip(self.in_archive('marker'))
    flip(os.path.join(self.leader.dump, 'marker'))
    self.assertRegex(self.mend(), '1.2 .* 1 entries: marker: has another sha')
    problem, = problems(self.pbs.configuration)
    self.assertEqual(problem.topic, 'verification')
    self.assertRegex(problem.text, 'generation 1.2 is damaged: .*marker')
    self.archived({'marker': 'four'})
    self.assertSame(self.archive.path, {'marker': 'four'})

  def test_a_source_whose_copy_is_bad_too_is_not_used(self):
    flip(self.in_archive('same'))
    before = self.read(self.in_archive('same'))
    same_mtime(os.path.join(self.leader.dump, 'same'), b'another thing')
    self.assertRegex(self.mend(), 'same: has another sha256')
    self.assertEqual(self.read(self.in_archive('same')), before)


class TestBeforeThePull(RepairCase):
  """The mirror is the base of all that is older: it is looked at before it is
  changed."""

  def test_a_damaged_file_that_is_then_changed_does_not_spoil_the_history(self):
    # The clone alone still has it, for the leader has sealed another.
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertIsNotNone(clone.verified(self.clone.configuration)[0])
    self.export({**_CONTENT, 'folder/inner': 'y' * 5000})
    flip(self.in_archive('folder/inner'))
    self.assertTrue(self.run_task('pull'), self.message())
    self.archive.restore('1.2', self.path('second'))
    self.assertSame(self.path('second'), _CONTENT)
    self.assertWhole(**{'folder/inner': 'y' * 5000})

  def test_a_damaged_file_that_stays_is_repaired_from_the_next_generation(self):
    flip(self.in_archive('same'))
    self.archived({**_CONTENT, 'marker': 'four'})
    self.assertWhole(marker='four')


  def test_a_mirror_that_was_pulled_and_not_yet_verified_is_repaired_too(self):
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.export({**_CONTENT, 'marker': 'four'})
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=[None, KeyboardInterrupt]):
      with self.assertRaises(KeyboardInterrupt):
        self.run_task('pull')
    flip(self.in_archive('folder/inner'))
    self.archived({**_CONTENT, 'folder/inner': 'y' * 5000})
    self.archive.restore('1.2', self.path('second'))
    self.assertSame(self.path('second'), _CONTENT)
    self.assertWhole(**{'folder/inner': 'y' * 5000})


class TestStrays(RepairCase):
  """What somebody, or a program that was killed, left in a mirror."""

  def leave(self):
    """Leave a file, and a read-only folder."""
    write_tree(self.archive.path, {
      'folder/stray': 'x', 'left/of/restore': 'x', 'left/read-only': None})
    for name in ('left/of', 'left/read-only'):
      os.chmod(self.in_archive(name), 0o555)

  def assertSetAside(self):
    """The mirror is whole, and what was left there is kept."""
    self.assertWhole()
    self.assertEqual(len(os.listdir(os.path.join(
      self.archive.place('strays'), 'replaced'))), 2)

  def test_they_stop_no_pull_and_are_kept(self):
    self.leave()
    self.export({**_CONTENT, 'marker': 'four'})
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertWhole(marker='four')

  def test_they_are_found_when_the_mirror_is_verified(self):
    self.leave()
    now = time.time() + 90000
    with unittest.mock.patch('time.time', lambda: now):
      self.assertTrue(verification.task(self.pbs.configuration, self.peer))
    self.assertEqual(self.message('verify-data'),
                     'the mirror was damaged, and is repaired')
    self.assertSetAside()

  def test_after_a_pull_that_they_stopped_the_next_goes_on(self):
    self.export({**_CONTENT, 'marker': 'four'})
    with unittest.mock.patch.object(Archive, 'mend', self.leave):
      self.assertFalse(self.run_task('pull'))
    self.assertIn('stray: is not in the manifest', self.message())
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertWhole(marker='four')

  def test_what_rdiff_backup_knows_stays_in_what_is_older(self):
    # The leader has it in its dump, and not in its manifest.
    self.export({**_CONTENT, 'marker': 'four'})
    stray = os.path.join(self.leader.dump, 'stray')
    pathlib.Path(stray).write_text('x', encoding='ascii')
    repository = self.archive.repository
    self.assertFalse(self.run_task('pull'))
    self.assertIn('stray: is not in the manifest', self.message())
    os.unlink(stray)
    refused = repository.last_time()
    self.archived({**_CONTENT, 'marker': 'five'})
    repository.restore(refused, self.path('refused'))
    self.assertEqual(self.read('refused/stray'), 'x')
    self.assertWhole(marker='five')

  def test_they_stop_no_push(self):
    self.leave()
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, _CONTENT)


class TestClonesGate(RepairCase):
  """A PBS can read the current copy of its clone, and nothing else there."""

  over_ssh = False

  def server(self, *arguments):
    """Run rdiff-backup against the clone's gate."""
    return subprocess.run(
      [RDIFF_BACKUP, '--api-version', '201', '--remote-schema',
       'env SSH_ORIGINAL_COMMAND="rdiff-backup server" %s {h}' % (
         self.clone.at('bin/gate')), *arguments],
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, encoding='utf-8', timeout=60)

  def test_it_reads_the_copy_and_nothing_else_and_writes_nothing(self):
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    result = self.server(
      'backup', 'clone::' + self.clone.dump, self.path('got'))
    self.assertEqual(result.returncode, 0, result.stdout)
    self.assertSame(self.path('got'), _CONTENT)
    for arguments in (
        ('backup', 'clone::' + self.clone.at('etc'), self.path('stolen')),
        ('--force', 'backup', self.path('got'), 'clone::' + self.clone.dump)):
      self.assertNotEqual(self.server(*arguments).returncode, 0)
    self.assertSame(self.clone.dump, _CONTENT)
    self.assertFalse(os.path.exists(self.path('stolen', 'resilient.json')))


class TestReadOnlyFolders(ArchiveCase):
  """rdiff-backup, unless run by root, leaves a new one writable."""

  contents = ({'folder/sub/inner': 'x'},)

  def test_they_are_right_at_the_first_pull(self):
    self.leader.serve({'new/sub/inner': 'x', 'folder/sub/inner': 'x'})
    for name in ('new/sub', 'new', 'folder/sub'):
      os.chmod(self.leader.at('srv/live/' + name), 0o555)
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, {
      'new/sub/inner': 'x', 'folder/sub/inner': 'x'})
    # And the next generation finds nothing to be repaired.
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertFalse(os.path.exists(self.archive.place('repair')))
