"""What a PBS takes from a sibling, and what it never does."""
import errno
import os
import unittest.mock

from resilient import beginning, sibling
from resilient.durable import write_json
from resilient.ledger import Ledger
from resilient.process import run
from resilient.transfer import archive_of

from .archive_case import flip
from .partition import RDIFF_BACKUP, write_tree
from .sibling_case import SiblingCase
from .support import generation


class TestDamaged(SiblingCase):
  """Something is damaged, here or there."""

  def test_a_damaged_generation_is_replaced_by_the_siblings(self):
    self.damage(self.pbs)
    self.assertTrue(self.adopt())
    self.assertWhole()
    self.assertEqual(self.history()['adopted']['gained'], ['1.1'])

  def test_it_is_replaced_after_a_pull_that_was_refused_too(self):
    self.go_on('four')
    self.refuse()
    self.go_on('five')
    self.pull_both()
    self.damage(self.pbs)
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.5'])
    self.assertWhole(without=[4])

  def have_what_the_sibling_lacks(self):
    """Only the first PBS has 1.4, and its 1.1 is damaged."""
    self.go_on('four')
    self.pull(self.pbs)
    self.go_on('five')
    self.pull_both()
    self.damage(self.pbs)
    archive = self.archive_at(self.pbs)
    self.fail_to_verify(archive, archive.find('1.4'))

  def test_what_could_not_be_verified_is_not_given_up(self):
    self.have_what_the_sibling_lacks()
    before = self.archive_at(self.pbs).index()
    self.assertTrue(self.adopt(), self.message('adopt-data'))
    self.assertIn('it lacks what is good here: 1.4',
                  self.history()['siblings']['sibling-7-data'])
    self.assertEqual(self.archive_at(self.pbs).index(), before)

  def test_what_could_not_be_verified_is_no_reason_to_copy_an_archive(self):
    for pbs in self.both_pbs:
      archive = self.archive_at(pbs)
      self.fail_to_verify(archive, archive.index()[0])
    with unittest.mock.patch.object(sibling, '_copy') as copied:
      self.assertTrue(self.adopt())
    copied.assert_not_called()

  def test_what_is_damaged_and_the_sibling_lacks_hinders_nothing(self):
    self.have_what_the_sibling_lacks()
    self.damage(self.pbs, number=3)
    self.assertTrue(self.adopt(), self.message('adopt-data'))
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.5'])
    self.assertWhole(without=[4])

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
    with unittest.mock.patch.object(sibling, '_copy') as copied:
      self.assertTrue(self.adopt())
    copied.assert_not_called()
    self.assertEqual(self.history()['siblings'],
                     {'sibling-7-data': 'the rest is damaged'})

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


class TestTaken(SiblingCase):
  """Both PBS pulled at the same times, so their increments have the same."""

  def pull_both(self):
    self.now = getattr(self, 'now', 1e9) + 100
    with unittest.mock.patch('time.time', lambda: self.now):
      super().pull_both()

  def test_what_failed_when_it_was_taken_is_not_undone_by_the_next_run(self):
    self.damage(self.pbs)
    with unittest.mock.patch.object(
        Ledger, 'save', side_effect=OSError(errno.ENOSPC, 'No space left')):
      self.assertFalse(self.adopt())
    self.adopt()
    archive = self.archive_at(self.pbs)
    for label, content in zip(
        ('1.1', '1.2', '1.3'), self.contents, strict=True):
      archive.restore(label, self.path(label))
      self.assertSame(self.path(label), content)


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
    self.lose()
    archive = self.archive_at(self.pbs)
    os.makedirs(os.path.dirname(archive.path))
    write_tree(self.path('former'), {'marker': 'of the former stack'})
    run([RDIFF_BACKUP, '--api-version', '201', '--current-time', '1000',
         'backup', self.path('former'), archive.path], 60)
    self.pull(self.pbs)
    self.go_on('four')
    self.pull_both()
    archive.note(archive.index()[0][1], 'damaged')
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.3', '1.4'])
    archive.repository.restore(1000, self.path('restored'))
    self.assertEqual(self.read('restored/marker'), 'of the former stack')
    self.assertIn('the increment of 1970-01-01 00:16:40 UTC here has no',
                  self.history()['siblings']['sibling-7-data'])
