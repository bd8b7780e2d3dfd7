"""What the former stack left in a partition: nothing of it is lost."""
import os
import pathlib
import shutil
import subprocess
import time

from resilient import clone, exporter, former, importer

from .former import content, FormerPbs, FormerSshd, MigrationCase
from .partition import RDIFF_BACKUP, write_tree
from .support import killed_before, sealed
from .tree import Sshd


class TestFormerArchive(MigrationCase):
  """What a PBS of the former stack left, and our PBS found."""

  name = 'COMP-1-slappart0-data-1'

  def setUp(self):
    super().setUp()
    self.former = FormerPbs(self, self.path('former'))
    self.leader_sshd.stop()
    sshd = FormerSshd(self, self.leader, self.former.key)
    self.former.add('pull', sshd)
    for text in ('oldest', 'older'):
      write_tree(self.leader.dump, {'marker': text, 'folder/' + text: text})
      result = self.former.transfer('pull')
      # A pull of it that failed exits 0.
      with open(os.path.join(self.former.archive, 'marker')) as marker:
        self.assertEqual(marker.read(), text, result.stdout)
      # Its increments are told apart by whole seconds.
      time.sleep(1.01 - time.time() % 1)
    sshd.stop()
    self.leader_sshd = Sshd(self, self.leader, self.key())
    self.configure()
    self.folder = self.pbs.at('srv/backup/pbs')
    os.makedirs(self.folder)

  def leave(self, name):
    """Let our PBS find the archive as `name`."""
    subprocess.run(
      ['cp', '-a', self.former.archive, os.path.join(self.folder, name)],
      check=True)

  def archives(self):
    """Return the names of the archives of our PBS."""
    return [name for name in os.listdir(self.folder) if name[0] != '.']

  def restored(self, archive, age):
    """Return the marker of increment number `age`, 0 for the newest."""
    target = self.path('restored-%s-%d' % (os.path.basename(archive), age))
    subprocess.run(
      [RDIFF_BACKUP, '--api-version', '201', 'restore', '--at', '%dB' % age,
       archive, target], check=True, stdout=subprocess.DEVNULL)
    text = pathlib.Path(target, 'marker').read_text(encoding='ascii')
    shutil.rmtree(target)
    return text

  def assertHistory(self, archive, *markers):
    """`archive` still has these increments, the newest first."""
    self.assertEqual(
      [self.restored(archive, age) for age in range(len(markers))],
      list(markers))

  def test_our_pbs_goes_on_with_it(self):
    self.leave(self.name)
    self.cycle({'marker': 'new'})
    self.assertEqual(self.archives(), ['data'])
    self.assertHistory(self.archive.path, 'new', 'older', 'oldest')
    self.assertSame(self.clone.dump, {'marker': 'new'})
    # What has no manifest is not offered by bin/restore, and not removed
    # before its time.
    self.assertEqual([item.label for _, item in self.archive.index()], ['1.1'])
    self.archived({'marker': 'newer'})
    self.assertTrue(self.run_task('prune'))
    self.assertHistory(self.archive.path, 'newer', 'new', 'older', 'oldest')

  def test_one_that_has_our_name_already_goes_on_too(self):
    self.leave('data')
    self.cycle({'marker': 'new'})
    self.assertHistory(self.archive.path, 'new', 'older', 'oldest')

  def test_where_it_is_not_clear_ours_begins_beside(self):
    names = [self.name, 'COMP-2-slappart0-data-1']
    for name in (*names, 'COMP-1-slappart0-other-1'):
      self.leave(name)
    self.cycle({'marker': 'new'})
    self.assertHistory(self.archive.path, 'new')
    for name in names:
      self.assertHistory(os.path.join(self.folder, name), 'older', 'oldest')

  def test_killed_at_any_point_it_is_found_at_the_next_run(self):
    self.leave(self.name)
    def inherit():
      former.inherit_archive(self.pbs.configuration, 'data')

    for number in range(1, 20):
      if not killed_before(number, inherit):
        break
    self.assertEqual(self.archives(), ['data'])
    self.assertGreater(number, 1)
    self.assertHistory(self.archive.path, 'older', 'oldest')


class TestFormerCopies(MigrationCase):
  """What leader and clone of the former stack left in srv/backup/<name>."""

  over_ssh = False
  old = {'marker': 'old', 'backup.signature': 'sums', 'folder/x': 'x'}

  def test_the_first_export_makes_a_generation_of_it(self):
    write_tree(self.leader.dump, self.old)
    self.export({'marker': 'new'})
    self.assertSame(self.leader.dump, {'marker': 'new'})

  def test_an_exporter_that_fails_before_leaves_it(self):
    write_tree(self.leader.dump, self.old)
    before = content(self.leader.dump)
    self.leader.program('data-exporter', 'exit 1\n')
    self.assertEqual(exporter.main(self.leader.configuration), 1)
    self.assertEqual(content(self.leader.dump), before)
    self.assertFalse(self.run_task('pull'))
    self.assertIn('run bin/exporter again', self.message())

  def test_the_clone_keeps_it_until_a_verified_copy_is_there(self):
    write_tree(self.clone.dump, self.old)
    before = content(self.clone.dump)
    self.archived({'marker': 'new'})
    # A push that arrives and is not what it says.
    sealed(self.clone.configuration.state('staging'), {'marker': 'broken'})
    with self.assertRaises(clone.Unverified):
      clone.accept(self.clone.configuration, self.archive.newest())
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertEqual(content(self.clone.dump), before)
    self.assertIsNone(self.imported())
    # And one that is.
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertEqual(content(self.clone.dump), before)
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, {'marker': 'new'})
    self.assertSame(self.clone.at('srv/live'), {'marker': 'new'})
    self.assertEqual(self.imported(), '1.1')
