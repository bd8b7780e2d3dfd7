"""Files of every kind travel: leader, archive, restored, clone."""
import os
import shutil
import unittest.mock

from resilient import entries, exporter, manifest
from resilient.durable import remove_tree
from resilient.entries import scan

from .partition import write_tree
from .payload_case import PayloadCase


class TestKinds(PayloadCase):
  """Kinds of files that deserve a story."""

  def names_of(self, root):
    """Return the sets of names that are one file in `root`."""
    found = {}
    for name in ('a', 'b', 'c', 'd/e'):
      path = os.path.join(root, name)
      if os.path.exists(path):
        found.setdefault(os.stat(path).st_ino, set()).add(name)
    return sorted(map(sorted, found.values()))

  def test_names_of_one_file_stay_that_and_parted_ones_are_parted(self):
    write_tree(self.live, {'a': 'one', 'd/x': ''})
    for name in (b'/b', b'/d/e'):
      os.link(self.live + b'/a', self.live + name)
    self.assertTravels()
    write_tree(self.live, {'c': 'two'})
    self.assertTravels()
    os.unlink(self.live + b'/b')
    # The same content, in a file of its own; rsync meets the first copy again.
    write_tree(self.live, {'b': 'one'})
    self.assertTravels()
    for root in (self.leader.dump, self.archive.path, self.clone.dump):
      self.assertEqual(self.names_of(root), [['a', 'd/e'], ['b'], ['c']])
    self.archive.restore('1.1', self.path('restored'))
    self.assertEqual(self.names_of(self.path('restored')), [['a', 'b', 'd/e']])

  def test_a_long_name_that_is_gone_is_restored(self):
    # An rdiff-backup that is not mended restores it for ever.
    for length in (205, 255):
      write_tree(self.live, {'d/' + 'n' * length: 'one', 'd/a': 'one',
                             'z' * length + '/b': 'one'})
    self.assertTravels()
    before = list(scan(self.live))
    shutil.rmtree(self.live + b'/d')
    write_tree(self.live, {'d/a': 'two', 'z': 'two'})
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)

  def test_files_are_named_like_temporary_ones_of_rdiff_backup(self):
    # They come first, so that their numbers are those that it counts.
    names = ['!/rdiff-backup.tmp.%d' % number for number in range(1, 10)]
    write_tree(self.live, {name: 'of ' + name for name in names})
    self.assertTravels()
    before = list(scan(self.live))
    shutil.rmtree(self.live + b'/!')
    write_tree(self.live, {names[0] + '/' + names[0]: 'one', names[4]: 'two'})
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)

  def test_read_only_directories_become_something_else(self):
    names = [b'/d', b'/e', b'/f/g']
    write_tree(self.live, {'d/a': 'one', 'e/b/c': 'one', 'f/g/h': 'one'})
    for name in (*names, b'/f', b'/e/b'):
      os.chmod(self.live + name, 0o555)
    self.assertTravels()
    before = list(scan(self.live))
    for name in names:
      remove_tree(self.live + name)
    os.symlink('nowhere', self.live + names[0])
    write_tree(self.live, {'e': 'two'})
    os.mkfifo(self.live + names[2])
    os.chmod(self.live + b'/f', 0o555)
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)

  def test_a_directory_becomes_another_name_of_a_file(self):
    write_tree(self.live, {'a': 'one', 'd/x': 'two'})
    self.assertTravels()
    before = list(scan(self.live))
    shutil.rmtree(self.live + b'/d')
    os.link(self.live + b'/a', self.live + b'/d')
    self.assertTravels()
    os.unlink(self.live + b'/d')
    write_tree(self.live, {'d/x': 'three'})
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)
    self.archive.restore('1.2', self.path('between'))
    self.assertTrue(os.path.samefile(
      self.path('between/a'), self.path('between/d')))

  def test_a_directory_with_a_long_name_is_gone_in_a_pull_that_is_cut(self):
    write_tree(self.live, {'n' * 254 + '/a': 'one', 'b': 'one'})
    self.assertTravels()
    before = list(scan(self.live))
    shutil.rmtree(self.live + b'/' + b'n' * 254)
    with self.cut_short():
      self.assertTravels()
    write_tree(self.live, {'b': 'three'})
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)

  def test_a_directory_is_named_like_an_increment(self):
    name = 'a.2026-01-01T00:00:00Z.missing'
    write_tree(self.live, {'a': 'one'})
    self.assertTravels()
    write_tree(self.live, {'a': 'two', name + '/x': 'two'})
    self.assertTravels()
    before = list(scan(self.live))
    shutil.rmtree(os.path.join(self.live, name.encode()))
    with self.cut_short():
      self.assertTravels()
    write_tree(self.live, {'a': 'four'})
    self.assertTravels()
    # It is not as old as it says.
    self.assertEqual(self.archive.prune('1B'), 1)
    self.archive.restore('1.2', self.path('restored'))
    self.assertHolds(self.path('restored'), before)

  def test_a_sparse_file_takes_no_room_anywhere(self):
    with open(self.live + b'/sparse', 'wb') as output:
      output.seek(1 << 26)
      output.write(b'end')
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    for root in (self.leader.dump, self.archive.path, self.clone.dump,
                 self.path('restored')):
      self.assertLess(
        os.stat(os.path.join(root, 'sparse')).st_blocks * 512, 1 << 20, root)

  def test_times_of_files_and_folders_are_kept(self):
    write_tree(self.live, {'file': 'x', 'folder/inner': 'y'})
    for name, moment in (('file', 10 ** 9), ('folder', 10 ** 9 + 5)):
      os.utime(os.path.join(self.live, name.encode()), (moment, moment))
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    for root in (self.archive.path, self.clone.dump, self.path('restored')):
      self.assertEqual(
        [int(os.stat(os.path.join(root, name)).st_mtime)
         for name in ('file', 'folder')], [10 ** 9, 10 ** 9 + 5], root)

  def test_a_link_that_is_a_loop_is_a_link(self):
    os.symlink('loop', self.live + b'/loop')
    os.symlink('.', self.live + b'/here')
    self.assertTravels()


class TestRefused(PayloadCase):
  """What cannot be kept is refused by name, before the seal."""

  def assertRefused(self, reason):
    """The export fails, names what is wrong, and nothing is sealed."""
    self.assertEqual(exporter.main(self.leader.configuration), 1)
    run = self.leader.configuration.store.last_run('export')
    self.assertRegex(run.message, reason)
    self.assertFalse(os.path.exists(
      os.path.join(self.leader.dump, manifest.MANIFEST)))

  def dump(self, text):
    """Let the exporter be the shell script `text`, run in the dump."""
    self.leader.program(
      'data-exporter', 'cd "%s" && %s\n' % (self.leader.dump, text))

  @unittest.mock.patch('os.getuid', lambda: 1)
  def test_what_cannot_be_read_is_named(self):
    self.dump('touch good bad; mkdir -p folder/in; chmod 0 bad folder')
    self.addCleanup(os.system, 'chmod -R u+rwX "%s"' % self.leader.dump)
    if os.access('/etc/shadow', os.R_OK):
      self.skipTest('root can read everything')
    self.assertRefused('bad cannot be read .*folder cannot be read')

  def test_a_path_that_is_too_long_is_named(self):
    self.dump('mkdir -p ' + '/'.join(['long' * 60] * 5))
    with unittest.mock.patch.object(entries, 'LONGEST_PATH', 1000):
      self.assertRefused('long.* is longer than 1000 bytes')

  def test_what_rdiff_backup_reserves_is_named(self):
    self.dump('mkdir rdiff-backup-data')
    self.assertRefused('rdiff-backup-data is a name that rdiff-backup reserves')

  def test_a_writer_that_goes_on_is_noticed(self):
    self.dump('echo 1 > good; echo 1 > still-written')
    real = manifest.scan

    def scan_and_write(*arguments, **options):
      yield from real(*arguments, **options)
      for name in ('still-written', 'new'):
        with open(os.path.join(self.leader.dump, name), 'a') as output:
          output.write('more')

    with unittest.mock.patch.object(exporter, 'scan', scan_and_write):
      self.assertRefused('changed while it was sealed.*: new, still-written')
