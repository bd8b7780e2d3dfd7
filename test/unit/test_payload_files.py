"""Files of every kind travel: leader, archive, restored, clone."""
import os
import shutil
import unittest.mock

from hypothesis import given, HealthCheck, settings, strategies

from resilient import entries, exporter, importer, manifest
from resilient.entries import scan

from .partition import RSYNC, write_tree
from .support import make_writable
from .test_manifest_compare import ODD_NAMES
from .tree import TreeCase

# What programs stumble over, and what rdiff-backup and rsync themselves use.
names = strategies.one_of(
  strategies.sampled_from((
    *ODD_NAMES, b'rdiff-backup.tmp.1', b'.resilient', b'a', b'b', b'c', b'A',
    b'a.2026-01-01T00:00:00Z.diff.gz', b'a.2026-01-01T00:00:00Z.missing',
    b';090', b'.rsync-partial', b'...', b'\xc3', b'x' * 254)),
  strategies.binary(min_size=1, max_size=20).filter(
    lambda name: b'/' not in name and b'\0' not in name
    and name not in (b'.', b'..')))
modes = strategies.sampled_from((0o600, 0o644, 0o400, 0o4755, 0o2711, 0o1666))
nodes = strategies.recursive(
  strategies.one_of(
    strategies.tuples(strategies.just('file'), modes, strategies.binary(
      max_size=20), strategies.sampled_from((0, 1, 5000))),
    strategies.tuples(strategies.just('symlink'), strategies.sampled_from((
      b'nowhere', b'.', b'a', b'..', b'/', b'\xff\n', b'x' * 900))),
    strategies.tuples(strategies.just('fifo'), modes),
    strategies.tuples(strategies.just('socket'), modes),
    strategies.tuples(strategies.just('link'), strategies.integers(0, 9))),
  lambda inner: strategies.tuples(
    strategies.just('directory'), strategies.sampled_from((
      0o755, 0o700, 0o555, 0o1777, 0o2750)),
    strategies.dictionaries(names, inner, max_size=6)),
  max_leaves=25)
trees = strategies.dictionaries(
  names.filter(lambda name: name != b'.resilient'), nodes, max_size=12)


def make(root, content, files):
  """Make the directory `root` hold what `content`, of `trees`, describes; add
  the paths of its files to `files`, of which some get another name."""
  for name, (kind, *details) in content.items():
    path = os.path.join(root, name)
    if kind == 'file':
      mode, data, times = details
      with open(path, 'wb') as output:
        output.write(data * times)
      os.chmod(path, mode)
      files.append(path)
    elif kind == 'symlink':
      os.symlink(details[0], path)
    elif kind in ('fifo', 'socket'):
      os.mknod(path, 0o010600 if kind == 'fifo' else 0o140600)
      os.chmod(path, details[0])
    elif kind == 'link' and files:
      os.link(files[details[0] % len(files)], path)
    elif kind == 'directory':
      os.mkdir(path)
      make(path, details[1], files)
      os.chmod(path, details[0])


class PayloadCase(TreeCase):
  """What the service holds is dumped with all that its files are."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    # Made anew, for rsync would let two names of one file be that for ever.
    self.leader.program('data-exporter', (
      'cd "%s" && chmod -R u+rwX . && find . -mindepth 1 -maxdepth 1 '
      '! -name .resilient -exec rm -rf {} + && exec %s -aHS "%s/" .\n' % (
        self.leader.dump, RSYNC, self.leader.at('srv/live'))))
    self.live = os.fsencode(self.leader.at('srv/live'))

  def assertTravels(self):
    """What the service holds comes to the archive and to the clone as it is,
    and is restored like that.  Returns the label of its generation."""
    self.assertEqual(exporter.main(self.leader.configuration), 0, (
      self.leader.configuration.store.last_run('export')))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    for root in (self.leader.dump, self.archive.path, self.clone.dump):
      self.assertHolds(root, list(scan(self.live)))
    return self.archive.newest().label

  def assertHolds(self, root, expected):
    """Directory `root` consists of the Entries `expected`."""
    self.assertEqual([entry._replace(mtime=None) for entry in scan(root)],
                     [entry._replace(mtime=None) for entry in expected])


class TestAnyTree(PayloadCase):
  """Trees that nobody thought of."""

  @settings(deadline=None, database=None, max_examples=int(
    os.environ.get('RESILIENT_TEST_TREES', 3)),
    suppress_health_check=list(HealthCheck))
  @given(trees)
  def test_any_generation_arrives_and_the_one_before_restores(self, content):
    before = None
    if self.archive.index():
      before = self.archive.newest().label, list(scan(self.live))
    make_writable(self.leader.at('srv/live'))
    shutil.rmtree(self.live)
    os.mkdir(self.live)
    make(self.live, content, [])
    self.assertTravels()
    if before:
      target = self.path('restored')
      self.archive.restore(before[0], target)
      self.assertHolds(target, before[1])
      make_writable(target)
      shutil.rmtree(target)


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
