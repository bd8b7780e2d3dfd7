"""Trees that nobody thought of travel."""
import os

from hypothesis import given, HealthCheck, settings, strategies

from resilient.durable import remove_tree
from resilient.entries import scan

from .payload_case import PayloadCase
from .test_manifest_compare import ODD_NAMES

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


class TestAnyTree(PayloadCase):
  """Any of them, and others after it."""

  def hold(self, content):
    """Let the service hold what `content`, of `trees`, describes."""
    remove_tree(self.live)
    os.mkdir(self.live)
    make(self.live, content, [])

  @settings(deadline=None, database=None, max_examples=int(
    os.environ.get('RESILIENT_TEST_TREES', 3)),
    suppress_health_check=list(HealthCheck))
  @given(trees, trees, trees)
  def test_any_generation_arrives_and_the_one_before_restores(
      self, first, cut, second):
    # A tree of their own.
    self.doCleanups()
    self.setUp()
    self.hold(first)
    self.assertTravels()
    before = list(scan(self.live))
    self.hold(cut)
    with self.cut_short():
      self.assertTravels()
    self.hold(second)
    self.assertTravels()
    self.archive.restore('1.1', self.path('restored'))
    self.assertHolds(self.path('restored'), before)
