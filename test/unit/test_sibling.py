"""A PBS takes what it lacks from its sibling, by itself, over a real sshd."""
import os
import pathlib
import shutil
import stat
import tempfile
import unittest.mock

from resilient import beginning, history, keys, sibling
from resilient.archive import Archive
from resilient.durable import read_json, write_json
from resilient.process import Failed
from resilient.pull import task as pull_task
from resilient.restore import main as restore
from resilient.status import problems, status
from resilient.transfer import archive_of

from .archive_case import flip
from .partition import Partition
from .support import generation, killed_before
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

  def damage(self, pbs, note=True):
    """Damage the oldest increment of `pbs`; verification named it."""
    archive = self.archive_at(pbs)
    folder = os.path.join(archive.path, 'rdiff-backup-data/increments')
    flip(os.path.join(folder, min(
      name for name in os.listdir(folder) if name.startswith('marker.'))), -1)
    if note:
      archive.note(archive.index()[0][1], 'damaged')

  def assertWhole(self):
    """Every generation restores, and nothing is left over."""
    for number, content in enumerate(self.contents, 1):
      label, target = '1.%d' % number, self.path('restored')
      self.assertEqual(restore(
        self.pbs.configuration, 'data', label, target), 0, label)
      self.assertSame(target, content)
      shutil.rmtree(target)
    self.assertEqual(
      {name for name in os.listdir(self.pbs.at('srv/backup/pbs'))
       if name not in ('data', '.reserve')}, set())
    self.assertEqual(problems(self.pbs.configuration), [])


class TestLost(SiblingCase):
  """A PBS was lost, and its sibling has the history."""

  def test_a_lost_pbs_gets_the_history_by_itself(self):
    self.lose()
    # What is newest comes first, and that something is missing is said.
    self.pull(self.pbs)
    self.assertEqual(self.labels(), ['1.3'])
    self.assertIn('the history of this archive begins here', self.message())
    self.assertEqual((self.history()['begins'], self.history()['anew']),
                     ('1.3', True))
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])
    self.assertWhole()
    self.assertIn('adopted from sibling-7-data', self.message('adopt-data'))
    adopted = self.history()['adopted']
    self.assertEqual((adopted['first'], adopted['gained']),
                     ('1.1', ['1.1', '1.2']))
    self.export({'marker': 'four'})
    self.pull_both()
    self.assertEqual(self.labels(), self.labels(self.other))
    # That is all that there is to do.
    self.assertTrue(self.adopt())
    self.assertEqual(read_json(self.pbs.configuration.state(
      'history-data.json'))['adopted'], adopted)

  def test_a_sibling_that_is_away_is_asked_again(self):
    self.lose()
    self.pull(self.pbs)
    self.doors[1].stop()
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.3'])
    self.assertIn('sibling-7-data', self.history()['siblings'])
    self.doors[1].start()
    self.assertTrue(self.adopt())
    self.assertWhole()

  def test_killed_at_any_moment_the_rerun_ends_in_the_same_state(self):
    self.lose()
    self.pull(self.pbs)
    saved = self.path('saved')
    shutil.copytree(self.pbs.at('srv'), saved, symlinks=True,
                    ignore=without_pipes)
    number, died = 1, True
    while died:
      died = killed_before(number, self.adopt)
      number += 1 + number // 6
      self.pull(self.pbs)
      self.assertTrue(self.adopt())
      self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'], number)
      self.assertWhole()
      shutil.rmtree(self.pbs.at('srv'))
      shutil.copytree(saved, self.pbs.at('srv'), symlinks=True)
      self.pbs.configuration.store.create()
    self.assertGreater(number, 20)

  def test_an_archive_that_grew_meanwhile_is_copied_again(self):
    self.lose()
    self.pull(self.pbs)
    peer = self.peer(self.pbs)
    # Copied, and not verified yet.
    self.assertTrue(sibling.task(self.pbs.configuration, peer))
    self.export({'marker': 'four'})
    self.pull(self.pbs)
    self.assertTrue(self.adopt())
    self.assertIn('newest', self.history()['siblings']['sibling-7-data'])
    self.pull(self.other)
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])
    self.assertWhole()

  def test_a_little_is_verified_in_each_run(self):
    self.lose()
    self.pull(self.pbs)
    calls, real = [], history._verify

    def count(*arguments):
      calls.append(1)
      return real(*arguments)

    with unittest.mock.patch.object(history, '_verify', count), \
         unittest.mock.patch.object(
           self.pbs.configuration, 'verification_deadline', -1), \
         unittest.mock.patch.object(sibling, '_fetch', self.quick(
           sibling._fetch)):
      peer = self.peer(self.pbs)
      sibling.task(self.pbs.configuration, peer)
      self.assertEqual(len(calls), 0)
      for expected in (1, 2, 3):
        sibling.task(self.pbs.configuration, peer)
        self.assertEqual(len(calls), expected)
    self.assertWhole()

  @staticmethod
  def quick(fetch):
    """Return `fetch` with a deadline of its own."""
    return lambda archive, remote, kind, _: fetch(archive, remote, kind, 60)

  def test_a_copy_that_is_cut_goes_on(self):
    self.lose()
    self.pull(self.pbs)
    real = sibling.run

    def cut(command, deadline):
      real(command, deadline)
      raise Failed('too late')

    with unittest.mock.patch.object(sibling, 'run', cut):
      self.assertTrue(sibling.task(
        self.pbs.configuration, self.peer(self.pbs)))
    self.assertIsNotNone(
      self.pbs.configuration.store.pending().get('adopt-data'))
    self.assertTrue(self.adopt())
    self.assertWhole()

  def test_without_room_nothing_is_copied(self):
    self.lose()
    self.pull(self.pbs)
    with unittest.mock.patch.object(sibling, 'free', lambda _: 1000):
      self.assertFalse(self.adopt())
    problem, = problems(self.pbs.configuration)
    self.assertEqual(problem.topic, 'verification')
    self.assertIn('there is no room', problem.text)
    self.assertTrue(self.adopt())
    self.assertWhole()


class TestDamaged(SiblingCase):
  """Something is damaged, here or there."""

  def test_a_damaged_generation_is_replaced_by_the_siblings(self):
    self.damage(self.pbs)
    self.assertTrue(self.adopt())
    self.assertWhole()
    self.assertEqual(self.history()['adopted']['gained'], ['1.1'])

  def test_what_is_damaged_at_the_sibling_is_not_taken(self):
    self.damage(self.pbs)
    self.damage(self.other)
    before = self.archive_at(self.pbs).index()
    self.assertTrue(self.adopt())
    self.assertEqual(self.archive_at(self.pbs).index(), before)
    self.assertIn('nothing that is missing',
                  self.history()['siblings']['sibling-7-data'])

  def test_a_sibling_that_does_not_know_of_its_damage_gives_the_rest(self):
    self.lose()
    self.pull(self.pbs)
    self.damage(self.other, note=False)
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.2', '1.3'])
    # And is not asked for what it has not: the next one would be.
    self.assertTrue(self.adopt())

  def test_a_sibling_that_lies_changes_nothing_and_is_left_alone(self):
    self.damage(self.pbs)
    self.damage(self.other, note=False)
    before = self.archive_at(self.pbs).index()
    self.assertFalse(self.adopt())
    self.assertEqual(self.archive_at(self.pbs).index(), before)
    self.assertFalse(os.path.exists(self.archive_at(
      self.pbs).place('adopting')))
    self.assertIn('not taken', self.message('adopt-data'))
    with unittest.mock.patch.object(sibling, '_copy') as copied:
      self.assertTrue(self.adopt())
    copied.assert_not_called()

  def test_a_mirror_that_is_damaged_there_is_not_taken(self):
    self.damage(self.pbs)
    flip(os.path.join(self.archive_at(self.other).path, 'marker'))
    before = self.archive_at(self.pbs).index()
    self.assertFalse(self.adopt())
    self.assertIn('the newest generation in it is damaged',
                  self.message('adopt-data'))
    self.assertEqual(self.archive_at(self.pbs).index(), before)


class TestJudgement(SiblingCase):
  """What is taken, and what never is."""

  def setUp(self):
    super().setUp()
    self.lose()
    self.pull(self.pbs)
    self.mine = archive_of(self.pbs.configuration, self.peer(self.pbs))
    self.theirs = [item for _, item in self.archive_at(self.other).index()]

  def refused(self, theirs):
    """Return why what holds `theirs` is not taken."""
    with self.assertRaises(sibling._Unfit) as caught:
      sibling.gained(self.mine, theirs)
    return str(caught.exception)

  def test_what_is_missing_is_gained(self):
    self.assertEqual(
      [item.label for item in sibling.gained(self.mine, self.theirs)],
      ['1.1', '1.2'])

  def test_nothing_newer_than_ours_comes_from_a_sibling(self):
    forged = generation(1, 9)
    self.assertIn('newest', self.refused([*self.theirs, forged]))

  def test_nothing_older_becomes_the_newest(self):
    self.assertIn('newest', self.refused(self.theirs[:2]))

  def test_nothing_of_another_service_is_taken(self):
    self.assertIn('no', self.refused(
      [self.theirs[0]._replace(name='other'), *self.theirs[1:]]))

  def test_an_order_that_is_none_is_refused(self):
    for theirs in ([self.theirs[1], self.theirs[0], self.theirs[2]],
                   [self.theirs[0], *self.theirs]):
      self.assertIn('no', self.refused(theirs))
    self.assertIn('newest', self.refused([]))

  def test_nothing_good_is_given_up(self):
    self.export({'marker': 'four'})
    self.pull(self.pbs)
    self.export({'marker': 'five'})
    self.pull_both()
    self.assertEqual(self.labels(self.other), ['1.1', '1.2', '1.3', '1.5'])
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.3', '1.4', '1.5'])
    self.assertIn('lacks what is good here: 1.4',
                  self.history()['siblings']['sibling-7-data'])

  def test_the_same_number_with_another_content_is_not_ours(self):
    other = self.theirs[2]._replace(digest='0' * 64)
    self.assertIn('newest', self.refused([*self.theirs[:2], other]))

  def test_answers_that_are_none_are_a_reason_and_no_crash(self):
    for answer in ('{}', '[null]', '[1]', '["x"]', '', 'x', '[{"epoch": 1}]'):
      with unittest.mock.patch.object(
          sibling.Remote, 'ask', side_effect=ValueError(answer)):
        self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.3'])

  def test_history_that_was_pruned_is_not_missed(self):
    self.assertTrue(self.adopt())
    archive = self.archive_at(self.pbs)
    write_json(self.pbs.configuration.state('archive-data.json'), [
      {'time': when, 'generation': item.to_json()}
      for when, item in archive.index()[1:]])
    self.assertFalse(beginning.begins_anew(archive))

  def test_a_pbs_without_siblings_says_with_what_it_begins(self):
    shared, = self.pbs.options['shared-instances']
    for value in ('', ' ', None, 'ssh://only'):
      self.pbs.configure(**{'shared-instances': [
        dict(shared, **{'sibling-7': value})]})
      self.assertTrue(self.adopt())
    self.assertEqual(self.history()['begins'], '1.3')

  def test_a_sibling_that_is_told_wrong_is_named_and_stops_no_pull(self):
    shared, = self.pbs.options['shared-instances']
    self.pbs.configure(**{'shared-instances': [
      dict(shared, **{'sibling-7': 'x ssh-ed25519 AAAA'})]})
    peers, wrong = self.pbs.configuration.peers()
    self.assertEqual(len(peers), 1)
    self.assertIn("sibling-7 is 'x ssh-ed25519 AAAA'", wrong[0])

  def test_what_the_former_stack_left_is_not_given_up(self):
    archive = self.archive_at(self.pbs)
    with unittest.mock.patch.object(
        type(archive.repository), 'times', lambda _: [1, *(
          when for when, _ in archive.index())]):
      self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.3'])
    self.assertTrue(pathlib.Path(archive.path).is_dir())
