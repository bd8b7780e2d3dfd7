"""Transfers that break: reported, never passed on, repaired by the next run."""
import os
import pathlib
import signal
import threading

from resilient import clone

from .support import same_mtime, wait_until
from .tree import TreeCase


class TestPull(TreeCase):
  """A pull that ends too early."""

  def many(self, text):
    """Return a dump that takes a while."""
    return {'%d/%d' % (number % 20, number): '%s %d' % (text, number)
            for number in range(1500)}

  def processes(self):
    """Return the rdiff-backup processes of this test."""
    found = []
    for entry in os.listdir('/proc'):
      try:
        words = pathlib.Path('/proc', entry, 'cmdline').read_bytes()
      except (OSError, ValueError):
        continue
      if b'rdiff-backup\0' in words and os.fsencode(self.directory) in words:
        found.append((int(entry), b'\0backup\0' in words))
    return found

  def mirrored(self):
    """Return how many files the archive holds by now."""
    return sum(len(names) for directory, _, names in os.walk(self.archive.path)
               if 'rdiff-backup-data' not in directory)

  def kill_at_half(self, receiving):
    """Pull, and kill one end at about half.  Return what the pull says."""
    done = []
    thread = threading.Thread(
      target=lambda: done.append(self.run_task('pull')))
    thread.start()
    try:
      wait_until(lambda: self.mirrored() > 500, 'half of it has arrived', 60)
      for pid, is_receiver in self.processes():
        if is_receiver == receiving:
          os.kill(pid, signal.SIGKILL)
    finally:
      thread.join(60)
    self.assertLess(self.mirrored(), 1500, 'it was faster than the test')
    return done

  def assertRepaired(self, text):
    """The next pull brings the archive, and its history, in order."""
    self.assertFalse(self.run_task('push'))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertSame(self.archive.path, self.many(text))
    self.assertFalse(self.archive.incomplete)

  def test_killed_in_the_first_pull_at_the_pbs(self):
    self.export(self.many('first'))
    self.assertEqual(self.kill_at_half(receiving=True), [False])
    self.assertIn('ended by signal 9', self.message())
    self.assertEqual(self.archive.index(), [])
    self.assertTrue(self.run_task('push'), 'there is nothing to push')
    self.assertFalse(os.path.exists(self.clone.configuration.state('staging')))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertSame(self.archive.path, self.many('first'))

  def test_killed_in_the_second_pull_at_the_leader(self):
    self.archived({'marker': 'old'})
    self.export(self.many('second'))
    self.assertEqual(self.kill_at_half(receiving=False), [False])
    self.assertTrue(self.archive.incomplete)
    self.assertEqual(self.archive.newest().label, '1.1')
    self.assertRepaired('second')
    self.archive.restore('1.1', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'old'})

  def test_a_leader_that_is_gone_is_a_failure_and_a_reason(self):
    self.export({'marker': 'one'})
    self.leader_sshd.stop()
    self.assertFalse(self.run_task('pull'))
    self.assertIn('Connection refused', self.message())
    self.leader_sshd.start()
    self.assertTrue(self.run_task('pull'))

  def test_a_running_export_is_no_failure_but_nothing_is_pulled(self):
    self.export({'marker': 'one'})
    self.leader.program('data-exporter', 'while ! [ -e %s ]; do sleep 0.05; '
                        'done' % self.path('go'))
    with self.thread(lambda: self.export({'marker': 'two'})):
      wait_until(lambda: os.path.exists(
        self.leader.configuration.state('exporting')), 'an export runs')
      self.assertTrue(self.run_task('pull'), self.message())
      self.assertEqual(self.archive.index(), [])
      pathlib.Path(self.path('go')).touch()

  def test_another_host_key_is_not_talked_to(self):
    self.export({'marker': 'one'})
    shared = self.pbs.options['shared-instances']
    shared[0]['server-key'] = shared[1]['server-key']
    self.pbs.configure()
    self.assertFalse(self.run_task('pull'))
    self.assertIn('verification failed', self.message())


class TestPush(TreeCase):
  """A push that does not bring what was sealed."""

  def setUp(self):
    super().setUp()
    self.archived({'marker': 'one', 'other': 'same'})

  def break_transport(self, text):
    """Have the PBS run a shell script after rsync."""
    self.pbs.configure(rsync=self.pbs.program('rsync', (
      '%s "$@" || exit\n%s\n' % (self.leader.options['rsync'], text))))

  def test_a_byte_flipped_after_the_transfer_is_found_and_repaired(self):
    staging = self.clone.configuration.state('staging')
    self.break_transport(
      'mtime=$(stat -c %y {0}/marker); printf oNe > {0}/marker;'
      ' touch -d "$mtime" {0}/marker'.format(staging))
    self.assertFalse(self.run_task('push'))
    self.assertIn('does not match its manifest in 1 entries: marker: has'
                  ' another sha256', self.message('push-data'))
    self.assertEqual(os.listdir(os.path.dirname(staging)).count('staged.json'),
                     0)
    self.assertFalse(os.path.exists(self.clone.dump))
    self.configure(rsync=self.leader.options['rsync'])
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertSame(staging, {'marker': 'one', 'other': 'same'})

  def test_a_byte_flipped_in_the_archive_does_not_reach_the_clone(self):
    same_mtime(os.path.join(self.archive.path, 'marker'), b'oNe')
    self.assertFalse(self.run_task('push'))
    self.assertIn('marker: has another sha256', self.message('push-data'))
    self.assertIsNone(clone.newest(self.clone.configuration))

  def test_a_cut_push_is_a_failure_and_goes_on_next_time(self):
    self.break_transport('exit 12')
    self.assertFalse(self.run_task('push'))
    self.assertIn('status 12', self.message('push-data'))
    self.assertIsNone(clone.newest(self.clone.configuration))
    self.configure(rsync=self.leader.options['rsync'])
    self.assertTrue(self.run_task('push'))
    self.assertEqual(clone.newest(self.clone.configuration).label, '1.1')

  def test_a_clone_that_is_gone_is_a_failure_and_a_reason(self):
    self.clone_sshd.stop()
    self.assertFalse(self.run_task('push'))
    self.assertIn('Connection refused', self.message('push-data'))
