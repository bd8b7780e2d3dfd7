"""A PBS takes what it lacks from its sibling, by itself, over a real sshd."""
import os
import pathlib
import shutil
import unittest.mock

from resilient import history, sibling
from resilient.archive import Archive
from resilient.durable import read_json
from resilient.process import TimeOver
from resilient.status import problems

from .archive_case import let_copy_be_old
from .sibling_case import SiblingCase, without_pipes
from .support import killed_before


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

  def test_a_first_pull_that_was_killed_while_it_verified_hinders_nothing(self):
    self.lose()
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        self.pull(self.pbs)
    self.go_on('four')
    self.pull_both()
    self.assertEqual(self.labels(), ['1.4'])
    self.assertEqual(len(self.archive_at(self.pbs).repository.times()), 2)
    self.assertTrue(self.adopt())
    self.assertWhole()

  def test_a_pull_of_the_sibling_that_was_killed_while_it_verified_counts_once(
      self):
    self.go_on('four')
    # The first is before the pull.
    with unittest.mock.patch.object(
        Archive, 'judge', side_effect=(None, KeyboardInterrupt)):
      with self.assertRaises(KeyboardInterrupt):
        self.pull(self.other)
    # As by an export that failed.
    os.utime(self.leader.dump)
    self.pull_both()
    self.assertEqual(len(self.archive_at(self.other).repository.times()), 5)
    self.lose()
    self.pull(self.pbs)
    self.assertTrue(self.adopt(), self.message('adopt-data'))
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3', '1.4'])
    self.assertWhole()

  def test_a_first_pull_that_was_refused_hinders_nothing(self):
    self.lose()
    self.refuse()
    self.go_on('four')
    self.pull_both()
    self.assertTrue(self.adopt())
    self.assertWhole()

  def test_what_the_sibling_could_not_verify_is_taken_if_it_is_good(self):
    archive = self.archive_at(self.other)
    self.fail_to_verify(archive, *archive.index()[:2])
    self.lose()
    self.pull(self.pbs)
    self.assertTrue(self.adopt())
    self.assertWhole()

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

  def test_if_how_it_began_is_damaged_it_asks_all_the_same(self):
    self.lose()
    self.pull(self.pbs)
    path = pathlib.Path(self.pbs.configuration.state('history-data.json'))
    path.write_text('{', encoding='ascii')
    self.assertTrue(self.adopt())
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])
    self.assertWhole()

  def test_killed_at_any_moment_the_rerun_adopts(self):
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
    self.export_link()
    self.pull_both()
    self.lose()
    self.pull(self.pbs)
    real = sibling.run

    def cut(command, deadline):
      real(command, deadline)
      raise TimeOver('too late')

    with unittest.mock.patch.object(sibling, 'run', cut):
      self.assertTrue(sibling.task(
        self.pbs.configuration, self.peer(self.pbs)))
    self.assertIsNotNone(
      self.pbs.configuration.store.pending().get('adopt-data'))
    let_copy_be_old(self.archive_at(self.pbs))
    self.assertTrue(self.adopt())
    self.assertWhole()

  def test_a_copy_that_cannot_begin_is_told_and_not_tried_again_at_once(self):
    self.lose()
    self.pull(self.pbs)
    rsync = self.pbs.options['rsync']
    self.pbs.configure(rsync='/no/such/rsync')
    self.assertFalse(self.adopt())
    problem, = problems(self.pbs.configuration)
    self.assertIn('/no/such/rsync cannot be started', problem.text)
    self.pbs.configure(rsync=rsync)
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


if __name__ == '__main__':
  unittest.main()
