"""Two PBS of one service, for tests of what one takes from the other."""
import os
import shutil
import stat
import tempfile
import unittest.mock

from resilient import keys, sibling
from resilient.archive import Archive, Damaged
from resilient.pull import task as pull_task
from resilient.restore import main as restore
from resilient.status import problems, status

from .archive_case import flip
from .partition import Partition
from .tree import SSH_KEYGEN, Sshd, TreeCase


def without_pipes(folder, names):
  """Return those of `names` that shutil.copytree cannot copy."""
  return [name for name in names
          if stat.S_ISFIFO(os.lstat(os.path.join(folder, name)).st_mode)]


class SiblingCase(TreeCase):
  """Two PBS of one service, each with a door for the other; both hold three
  generations."""

  contents = ({'marker': 'one', 'big': 'x' * 100000},
              {'marker': 'two', 'folder/a': 'a'}, {'marker': 'three'})

  def setUp(self):
    super().setUp()
    self.other = Partition(self.path('other'), 'pull-backup', {})
    self.both_pbs = (self.pbs, self.other)
    own = [keys.ensure(pbs.at('etc/key'), '', SSH_KEYGEN)
           for pbs in self.both_pbs]
    self.leader_sshd.stop()
    self.leader_sshd = Sshd(self, self.leader, ' '.join(own))
    self.doors = [Sshd(self, pbs, key) for pbs, key in zip(
      self.both_pbs, reversed(own), strict=True)]
    for pbs, door, key in zip(
        self.both_pbs, reversed(self.doors), reversed(own), strict=True):
      pbs.configure(**{'shared-instances': [{
        'type': 'pull', 'name': 'data', 'url': self.leader_sshd.url,
        'server-key': self.leader_sshd.host_key, 'authorized-key': key,
        'sibling-7': '%s %s' % (door.url, door.host_key)}]})
    self.fill()

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.saved = tempfile.mkdtemp(prefix='resilient-')
    cls.addClassCleanup(shutil.rmtree, cls.saved)

  def fill(self):
    """Let all hold what they hold; that is made once for a class."""
    places = {'leader': self.leader, 'one': self.pbs, 'two': self.other}
    for name, place in places.items():
      if os.listdir(self.saved):
        shutil.rmtree(place.at('srv'))
        shutil.copytree(os.path.join(self.saved, name), place.at('srv'),
                        symlinks=True)
        place.configuration.store.create()
    if os.listdir(self.saved):
      return
    for content in self.contents:
      self.export(content)
      self.pull_both()
    for name, place in places.items():
      shutil.copytree(
        place.at('srv'), os.path.join(self.saved, name), symlinks=True,
        ignore=without_pipes)

  def pull_both(self):
    """Let both PBS pull what the leader holds."""
    for pbs in self.both_pbs:
      self.pull(pbs)

  def pull(self, pbs):
    """Let `pbs` pull."""
    configuration = pbs.configuration
    self.assertTrue(pull_task(configuration, self.peer(pbs)),
                    configuration.store.last_run('pull-data'))

  @staticmethod
  def peer(pbs):
    """Return the leader, as `pbs` knows it."""
    found, wrong = pbs.configuration.peers()
    assert not wrong, wrong
    return found[0]

  def go_on(self, marker):
    """The service goes on, and exports."""
    self.contents = (*self.contents, {'marker': marker})
    self.export(self.contents[-1])

  def refuse(self):
    """Let the first PBS pull, and find damage in what it has then."""
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=Damaged('damaged')):
      with self.assertRaises(AssertionError):
        self.pull(self.pbs)

  def lose(self):
    """The first PBS is lost; here is its new one, which was told the same."""
    for name in ('srv/backup/pbs', 'srv/resilient'):
      shutil.rmtree(self.pbs.at(name))
    os.makedirs(self.pbs.configuration.state_directory)
    self.pbs.configuration.store.create()

  def adopt(self, times=9):
    """Run the task as often as it asks for itself.  Returns whether the last
    run succeeded."""
    store = self.pbs.configuration.store
    for _ in range(times):
      success = sibling.task(self.pbs.configuration, self.peer(self.pbs))
      pending = store.pending().get('adopt-data')
      if pending is None:
        return success
      store.complete('adopt-data', pending)
    raise AssertionError('it does not end')

  def archive_at(self, pbs):
    """Return the Archive of `pbs`."""
    return Archive(pbs.configuration, 'data')

  def labels(self, pbs=None):
    """Return the labels of what a PBS holds, by default the first."""
    return [item.label for _, item in self.archive_at(pbs or self.pbs).index()]

  def history(self):
    """Return what bin/status says of the history."""
    return status(self.pbs.configuration)['archives']['data']['history']

  def damage(self, pbs, note=True, number=0):
    """Damage an increment of `pbs`, the oldest first; verification named it."""
    archive = self.archive_at(pbs)
    folder = os.path.join(archive.path, 'rdiff-backup-data/increments')
    flip(os.path.join(folder, sorted(
      name for name in os.listdir(folder)
      if name.startswith('marker.'))[number]), -1)
    if note:
      archive.note(archive.index()[number][1], 'damaged')

  @staticmethod
  def fail_to_verify(archive, *items):
    """Let verification not have come to an end with `items` of the index."""
    ledger = archive.ledger
    for _, generation in items:
      ledger.note_failure(generation, 'the time was over')
    ledger.save(archive.index())

  def assertWhole(self, without=()):
    """Every generation restores, but for the numbers `without`, and nothing is
    left over."""
    for number, content in enumerate(self.contents, 1):
      label, target = '1.%d' % number, self.path('restored')
      if number in without:
        continue
      self.assertEqual(restore(
        self.pbs.configuration, 'data', label, target), 0, label)
      self.assertSame(target, content)
      shutil.rmtree(target)
    self.assertEqual(
      {name for name in os.listdir(self.pbs.at('srv/backup/pbs'))
       if name not in ('data', '.reserve')}, set())
    self.assertEqual(problems(self.pbs.configuration), [])
