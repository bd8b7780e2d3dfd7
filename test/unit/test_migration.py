"""During an upgrade: partitions of the former stack beside ours.  It works, or
says what to upgrade and harms nothing."""
import os
import pathlib
import subprocess
import time
import unittest

from resilient import former, notify
from resilient.peer import peers
from resilient.promise import Notified

from .former import (
  content,
  FormerPbs,
  FormerSshd,
  MigrationCase,
  Promise,
  served,
  texts,
)
from .partition import write_tree
from .support import generation, wait_until
from .tree import Sshd


class TestParameters(unittest.TestCase):
  """What the former stack's root instance tells a PBS."""

  # Of the shared instance that pulls, by the names and forms it has.
  shared = {
    'type': 'pull', 'name': 'COMP-1-slappart0-data-1', 'title': 'Pulling',
    'url': 'ssh://slapuser1@[2001:db8::1]:22222//srv/slappart1/srv/backup/data',
    'server-key': 'ssh-rsa AAAAB3NzaC1yc2E= slapuser1@computer\n',
    'notification-id': 'COMP-1-slappart0-data-1-pull',
    'on-notification': 'http://[2001:db8::1]:8088/get/exporter',
    'notify': 'http://[2001:db8::2]:8088/notify',
    'remove-backup-older-than': '3B', 'slave_reference': 'SOFTINST-5'}

  def test_our_pbs_understands_it(self):
    (found,), wrong = peers([self.shared], '2W')
    self.assertEqual(wrong, [])
    self.assertEqual(found.path, '/srv/slappart1/srv/backup/data')
    self.assertEqual(
      found.server_key, 'ssh-rsa AAAAB3NzaC1yc2E= slapuser1@computer')
    self.assertEqual(found.task, 'pull-COMP-1-slappart0-data-1')


class TestFormerPeers(MigrationCase):
  """Our PBS, with a leader or a clone of the former stack."""

  def test_a_former_leader_is_named_and_nothing_changes(self):
    self.cycle({'marker': 'one'})
    before = content(self.archive.path), content(self.clone.dump)
    self.leader_sshd.stop()
    self.leader_sshd = FormerSshd(self, self.leader, self.key())
    write_tree(self.leader.dump, {'marker': 'two'})
    self.configure()
    self.assertFalse(self.run_task('pull'))
    self.assertIn('former stack', self.message())
    self.assertIn('upgrade the leader', texts(self.pbs))
    self.assertTrue(self.run_task('push'))
    self.assertEqual(
      before, (content(self.archive.path), content(self.clone.dump)))

  def test_a_former_clone_is_named_and_keeps_its_copy(self):
    self.archived({'marker': 'one'})
    self.clone_sshd.stop()
    self.clone_sshd = FormerSshd(self, self.clone, self.key())
    write_tree(self.clone.dump, {'marker': 'old'})
    before = content(self.clone.dump)
    self.configure()
    self.assertFalse(self.run_task('push'))
    self.assertIn('former stack', self.message('push-data'))
    self.assertIn('upgrade the clone', texts(self.pbs))
    self.assertEqual(content(self.clone.dump), before)
    # And when it is upgraded, the next run is good.
    self.clone_sshd.stop()
    self.clone_sshd = Sshd(self, self.clone, self.key())
    self.configure()
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertNotIn('upgrade', texts(self.pbs))


class TestFormerPbs(MigrationCase):
  """A PBS of the former stack, with our leader and our clone."""

  def setUp(self):
    super().setUp()
    self.former = FormerPbs(self, self.path('former'))
    for sshd in (self.leader_sshd, self.clone_sshd):
      sshd.stop()
    self.leader_sshd, self.clone_sshd = (
      Sshd(self, partition, self.former.key)
      for partition in (self.leader, self.clone))
    self.source = 'http://[::1]:1/get/export'
    self.former.add('pull', self.leader_sshd, self.source)
    self.former.add('push', self.clone_sshd)

  def test_it_may_pull_and_gets_all(self):
    for text in ('one', 'two'):
      self.export({'marker': text, 'folder/inner': 'x'})
      result = self.former.transfer('pull')
      self.assertEqual(result.returncode, 0, result.stdout)
      if pathlib.Path(self.former.archive, 'marker').read_text() != text:
        # It exits with 0 when a pull failed, too, for instance a second one
        # within the same second: that is the former stack's, and it is told
        # again by the next export.
        time.sleep(1)
        result = self.former.transfer('pull')
      self.assertSame(self.former.archive, {
        'marker': text, 'folder/inner': 'x'})

  def test_it_is_notified_in_its_own_way_and_then_pulls(self):
    self.former.serve()
    self.leader.configure(**{
      'notify': self.former.notification_url, 'notification-deadline': 30,
      'notification-id': self.source})
    self.export({'marker': 'one'})
    self.assertNotIn('notified', texts(self.leader))
    marker = os.path.join(self.former.archive, 'marker')
    wait_until(lambda: os.path.exists(marker), lambda: (
      'the former PBS has pulled: ' + self.former.read('notifier.log')), 30)

  def test_it_may_not_write_to_a_leader(self):
    self.export({'marker': 'one'})
    self.former.transfer('pull')
    write_tree(self.former.archive, {'marker': 'evil'})
    before = content(self.leader.dump)
    self.former.add('push', self.leader_sshd)
    result = self.former.transfer('push')
    self.assertEqual(result.returncode, 1, result.stdout)
    self.assertEqual(content(self.leader.dump), before)

  def test_it_may_not_push_and_is_told_why(self):
    self.cycle_of_ours()
    self.export({'marker': 'two'})
    self.former.transfer('pull')
    before = content(self.clone.dump)
    result = self.former.transfer_and_notify('push')
    self.assertEqual(result.returncode, 1, result.stdout)
    self.assertIn('upgrade this PBS', result.stdout)
    self.assertIn('upgrade this PBS', self.former.read(
      'feeds/COMP-1-slappart0-data-1-push'))
    self.assertEqual(content(self.clone.dump), before)
    self.assertIn('until you upgrade the PBS', texts(self.clone))
    self.assertIn('upgrade this PBS', self.clone.read('var/log/gate.log'))
    # A PBS of ours has its place now.
    self.cycle_of_ours()
    self.assertNotIn('upgrade', texts(self.clone))

  def cycle_of_ours(self):
    """Bring generation "one" to the clone by our own PBS."""
    for sshd in (self.leader_sshd, self.clone_sshd):
      sshd.stop()
    self.leader_sshd, self.clone_sshd = (
      Sshd(self, partition, self.key() + ' ' + self.former.key)
      for partition in (self.leader, self.clone))
    self.configure()
    self.former.add('pull', self.leader_sshd, self.source)
    self.former.add('push', self.clone_sshd)
    self.cycle({'marker': 'one'})


class TestHints(MigrationCase):
  """Notifications between the stacks, over HTTP."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    self.former = FormerPbs(self, self.path('former'))
    self.former.serve()

  def test_a_hint_of_the_former_stack_changes_nothing_and_disturbs_nobody(self):
    # As it sends it: a feed of all that a transfer ever printed.
    with served(self.clone) as url:
      name = self.former.notifier(
        'echo %s; exit 0' % ('long output ' * 20), url + '/notify')
      for _ in range(2):
        result = subprocess.run([name], stdout=subprocess.PIPE, timeout=60,
                                stderr=subprocess.STDOUT, encoding='utf-8')
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(self.clone.configuration.store.pending(), {})

  def test_one_that_refuses_to_be_told_is_no_obstacle_and_shown(self):
    self.leader.configure(**{
      'notify': self.former.notification_url, 'notification-deadline': 30,
      'notification-id': 'http://[::1]:1/get/unknown'})
    self.export({'marker': 'one'})
    problem = texts(self.leader)
    self.assertIn('of the former stack, and refuses to be told', problem)
    self.assertIn('upgrade it', problem)
    # It is there, and that is not enough: it has no timer that would find out.
    self.assertFalse(notify.answers(self.former.notification_url))
    self.assertIn('upgrade it', Notified.problem(Promise(self.leader)))

  def test_what_tells_it_who_speaks_is_the_published_feed(self):
    url, body, _ = former.hint(
      'http://[::1]:1/notify', 'http://[::1]:2/get/export', generation())
    self.assertRegex(url, r'^http://\[::1\]:1/notify/\d+$')
    self.assertIn(b'<id>http://[::1]:2/get/export</id>', body)
