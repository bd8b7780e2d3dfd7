"""Transfers that break: reported, never passed on, repaired by the next run."""
import os
import pathlib
import shlex
import signal
import sys

from resilient import clone, copies

from .support import same_mtime, unreadable, wait_until
from .tree import TreeCase

# Carries so many bytes at most to a gate, and says how many.
_LINK = '''
import os, subprocess, sys, threading
most, gate, sent = int(sys.argv[1]), sys.argv[2], 0
gate = subprocess.Popen([gate], stdin=subprocess.PIPE, bufsize=0)
def carry():
  global sent
  while data := os.read(0, min(most - sent, 1 << 16)):
    sent += gate.stdin.write(data)
  gate.stdin.close()
threading.Thread(target=carry, daemon=True).start()
status = gate.wait()
with open(sys.argv[3], 'a') as output:
  output.write('%d\\n' % sent)
os._exit(status)
'''


class PullCase(TreeCase):
  """A pull that takes long enough to be killed."""

  def many(self, text):
    """Return a dump that takes a while."""
    return {'%d/%d' % (number % 20, number): '%s %d' % (text, number)
            for number in range(500)}

  def kill(self, receiving):
    """Kill one end of the rdiff-backup of this test."""
    for entry in filter(str.isdigit, os.listdir('/proc')):
      try:
        words = pathlib.Path('/proc', entry, 'cmdline').read_bytes()
      except OSError:
        continue
      if (b'rdiff-backup\0' in words and os.fsencode(self.directory) in words
          and (b'\0backup\0' in words) == receiving):
        os.kill(int(entry), signal.SIGKILL)

  def mirrored(self):
    """Return how many files the archive holds by now."""
    return sum(len(names) for directory, _, names in os.walk(self.archive.path)
               if 'rdiff-backup-data' not in directory)

  def kill_at_half(self, receiving):
    """Pull, and kill one end at about half: the pull fails."""
    done = []
    with self.thread(lambda: done.append(self.run_task('pull'))):
      wait_until(lambda: self.mirrored() > 50, 'half of it has arrived', 60)
      self.kill(receiving)
    self.assertEqual(done, [False])
    self.assertLess(self.mirrored(), 500, 'it was faster than the test')


class TestPull(PullCase):
  """A pull over ssh that ends too early."""

  def test_killed_in_the_second_pull_at_the_leader(self):
    self.archived({'marker': 'old'})
    self.export(self.many('second'))
    self.kill_at_half(receiving=False)
    self.assertTrue(self.archive.incomplete)
    self.assertEqual(self.archive.newest().label, '1.1')
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertFalse(self.archive.incomplete)
    self.assertSame(self.archive.path, self.many('second'))
    self.archive.restore('1.1', self.path('restored'))
    self.assertSame(self.path('restored'), {'marker': 'old'})

  def test_killed_and_the_leader_lost_the_last_generation_is_pushed(self):
    self.archived({'marker': 'old'})
    self.export(self.many('second'))
    self.kill_at_half(receiving=False)
    self.leader_sshd.stop()
    self.peers_are_known()
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertSame(self.clone.configuration.state('staging'),
                    {'marker': 'old'})
    # The next one comes, should the leader be there again.
    self.leader_sshd.start()
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertSame(self.archive.path, self.many('second'))

  def test_a_leader_that_is_gone_is_a_failure_and_a_reason(self):
    self.export({'marker': 'one'})
    self.leader_sshd.stop()
    self.peers_are_known()
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
      # It is due as before.
      self.assertFalse(self.run_task('pull'))
      self.assertIsNone(self.message())
      self.assertEqual(self.archive.index(), [])
      pathlib.Path(self.path('go')).touch()

  def test_a_leader_that_is_only_being_deployed_is_no_alarm_yet(self):
    self.leader_sshd.stop()
    self.assertFalse(self.run_task('pull'))
    self.assertIsNone(self.message())

  def test_another_host_key_is_not_talked_to(self):
    self.export({'marker': 'one'})
    shared = self.pbs.options['shared-instances']
    shared[0]['server-key'] = shared[1]['server-key']
    self.pbs.configure()
    self.peers_are_known()
    self.assertFalse(self.run_task('pull'))
    self.assertIn('verification failed', self.message())


class TestFirstPull(PullCase):
  """The first pull, which has no earlier state to go back to."""

  over_ssh = False

  def test_killed_in_the_first_pull_at_the_pbs(self):
    self.export(self.many('first'))
    self.kill_at_half(receiving=True)
    self.assertIn('ended by signal 9', self.message())
    self.assertEqual(self.archive.index(), [])
    self.assertTrue(self.run_task('push'), 'there is nothing to push')
    self.assertFalse(os.path.exists(self.clone.configuration.state('staging')))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertSame(self.archive.path, self.many('first'))


class TestPush(TreeCase):
  """A push that does not bring what was sealed."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    self.archived({'marker': 'one', 'other': 'same'})

  def break_transport(self, text):
    """Have the PBS run a shell script after rsync."""
    self.pbs.configure(rsync=self.pbs.program('rsync', (
      '%s "$@" || exit\n%s\n' % (self.leader.options['rsync'], text))))

  def assertSentAgain(self):
    """What does not match is sent again, by the second push."""
    self.configure(rsync=self.leader.options['rsync'])
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertEqual(clone.newest(self.clone.configuration).label,
                     self.archive.newest().label)

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
    self.assertSentAgain()
    self.assertSame(staging, {'marker': 'one', 'other': 'same'})

  def test_a_byte_flipped_in_the_archive_does_not_reach_the_clone(self):
    same_mtime(os.path.join(self.archive.path, 'marker'), b'oNe')
    self.assertFalse(self.run_task('push'))
    self.assertIn('marker: has another sha256', self.message('push-data'))
    self.assertIsNone(clone.newest(self.clone.configuration))

  def test_a_byte_flipped_in_a_read_only_folder_is_repaired(self):
    self.leader.program('data-exporter', (
      'mkdir -p {0}/folder; chmod 755 {0}/folder; echo x > {0}/folder/inner;'
      ' chmod 555 {0}/folder\n'.format(self.leader.dump)))
    self.archived({})
    staging = self.clone.configuration.state('staging')
    self.addCleanup(os.chmod, os.path.join(staging, 'folder'), 0o755)
    self.break_transport(
      'mtime=$(stat -c %y {0}); chmod +w {0}; printf "y\n" > {0};'
      ' touch -d "$mtime" {0}; chmod $(stat -c %a {1}) {0}'.format(
        os.path.join(staging, 'folder/inner'),
        os.path.join(self.archive.path, 'folder/inner')))
    self.assertFalse(self.run_task('push'))
    self.assertIn('folder/inner', self.message('push-data'))
    self.assertSentAgain()

  def test_a_byte_flipped_in_the_manifest_is_repaired(self):
    path = os.path.join(self.clone.configuration.state('staging'),
                        '.resilient/manifest')
    self.break_transport(
      'mtime=$(stat -c %y {0}); printf x | dd of={0} bs=1 seek=9 conv=notrunc'
      ' status=none; touch -d "$mtime" {0}'.format(path))
    self.assertFalse(self.run_task('push'))
    self.assertIn('manifest', self.message('push-data'))
    self.assertSentAgain()

  def test_a_file_of_the_clone_that_cannot_be_read_is_sent_again(self):
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    staging = self.clone.configuration.state('staging')
    with unreadable(os.path.join(staging, 'other')):
      with self.assertRaisesRegex(copies.Unverified, 'other: is missing'):
        copies.verify(staging, 'the copy', self.archive.newest())
    self.archived({'marker': 'two', 'other': 'same'})
    self.assertSentAgain()

  def push_through(self, most):
    """Push through a link that breaks after `most` bytes.  Returns whether that
    succeeded, and how many bytes it has carried."""
    self.pbs.configure(**{'transfer-deadline': 60, 'ssh': self.pbs.program(
      'link', 'shift 3\nSSH_ORIGINAL_COMMAND="$*" exec %s\n' % shlex.join((
        sys.executable, '-c', _LINK, str(most), self.clone.at('bin/gate'),
        self.path('sent'))))})
    success = self.run_task('push')
    sent = max(map(int, self.read('sent').split()))
    os.unlink(self.path('sent'))
    return success, sent

  def test_a_cut_push_is_a_failure_and_goes_on_next_time(self):
    size = 5_000_000
    self.leader.program('data-exporter', (
      'head -c %d /dev/urandom > %s/large\n' % (size, self.leader.dump)))
    self.archived({})
    most = size * 3 // 5
    self.assertEqual(self.push_through(most), (False, most))
    self.assertRegex(self.message('push-data'), '^rsync failed with status')
    self.assertIsNone(clone.newest(self.clone.configuration))
    success, sent = self.push_through(2 * size)
    self.assertTrue(success, self.message('push-data'))
    self.assertEqual(clone.newest(self.clone.configuration).label, '1.2')
    # What had come was not sent again.
    self.assertLess(sent, size - most + size // 10)
