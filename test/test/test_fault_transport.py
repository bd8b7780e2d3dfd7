"""Faults between the nodes: cut, held, slow and spoiled connections, peers that
do not answer, disks that are full.  The table is in test/README.rst."""
import re
import resource
import signal
import unittest

import psutil

from . import set_up_module as setUpModule  # noqa: F401
from .fault import FaultCase, notifier_port, ssh_port
from .node import wait_until


class TransportTest(FaultCase):
  """Each story breaks one thing, looks, and makes it good."""

  def _end(self, pbs, program):
    """Kill `program` of the queue of `pbs` or of what it started."""
    queue = psutil.Process(pbs.pid('equeue'))
    victims = [process for process in queue.children(recursive=True)
               if program in ' '.join(process.cmdline()[:3])]
    self.assertTrue(victims, '%s does not run' % program)
    victims[0].send_signal(signal.SIGKILL)

  def test_1_pull_that_is_killed_at_10_50_and_90_percent(self):
    pbs = self.tree.pbs(1)
    with self.between(pbs, ssh_port(self.tree.leader)) as proxy:
      for share, program in ((10, 'ssh'), (50, 'rdiff-backup'), (90, 'ssh')):
        with self.subTest(share):
          # Closed until there is something to hold: a pull that begins before
          # that may bring what is sealed meanwhile.
          proxy.mode = 'refused'
          held = self.tree.archived(pbs)
          amount = self.write_much('killed at %d' % share)
          label = self.checker.export()
          past = len(pbs.log())
          proxy.held = amount * share // 100
          proxy.mode = 'open'
          wait_until(
            lambda: proxy.hanging, 90, 'pull of %s that hangs' % label,
            lambda: '%s\n%s' % (vars(proxy), self.tree.diagnosis()))
          self._end(pbs, program)
          proxy.mode = 'refused'
          proxy.reset()
          self.wait_for_failure(pbs, 'pull-data', past)
          self.assertEqual(held, self.tree.archived(pbs))
          self.assertNotIn('generation %s is verified on the clone' % label,
                           pbs.log()[past:])
          self.checker.check_visible(pbs.title, 'promise-pull')
          self.checker.check_copies()
          # So that what comes next is all there is to pull.
          proxy.heal()
          self.tree.wait_for_archive(label, pbs)
    self.checker.check()

  def test_2_pbs_that_cannot_be_notified(self):
    lost, served = self.tree.pbs(1), self.tree.pbs(2)
    for mode in ('refused', 'silent'):
      with self.subTest(mode):
        with self.between(self.tree.leader, notifier_port(lost)) as proxy:
          proxy.mode = mode
          self.checker.write('notified', mode)
          label = self.checker.export()
          self.tree.wait_for_clones(label, self.tree.clone(2))
          self.tree.wait_for_archive(label, served)
          self.assertIn('was not notified', self.tree.leader.log('exporter'))
        # Unprompted: nobody tells it again.
        self.tree.wait_for_clones(label, self.tree.clone(1), seconds=90)
    self.checker.check()

  def test_4_byte_that_is_flipped_in_transit(self):
    for node, peer, task in (
        (self.tree.pbs(1), self.tree.leader, 'pull-data'),
        (self.tree.pbs(2), self.tree.clone(2), 'push-data')):
      with self.subTest(task), self.between(node, ssh_port(peer)) as proxy:
        # Of a push, little comes back.
        proxy.flipped = 1 << 20 if task == 'pull-data' else 5000
        past = len(node.log())
        self.write_much('flipped ' + task)
        self.checker.export()
        self.wait_for_failure(node, task, past)
        self.checker.check_copies()
    self.checker.check()

  def test_10_disk_of_a_pbs_or_a_clone_is_full(self):
    clone = self.tree.clone(1)
    for title, service, promise in (
        (self.tree.pbs(1).title, 'equeue', 'promise-pull'),
        (clone.title, 'sshd', None)):
      with self.subTest(title):
        node = self.tree.nodes()[title]
        process = psutil.Process(node.pid(service))
        limit = process.rlimit(resource.RLIMIT_FSIZE)
        # As a quota: no file may be larger.
        process.rlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
        try:
          pbs = self.tree.pbs(1)
          past = len(pbs.log())
          self.write_much('full ' + title)
          self.checker.export()
          self.wait_for_failure(
            pbs, 'pull-data' if promise else 'push-data', past)
          self.checker.check_visible(pbs.title, promise or 'promise-push')
          self.checker.check_copies()
        finally:
          process.rlimit(resource.RLIMIT_FSIZE, limit)
        self.checker.check()

  def test_14_export_during_a_pull_is_not_mixed_with_it(self):
    pbs = self.tree.pbs(1)
    with self.between(pbs, ssh_port(self.tree.leader)) as proxy:
      proxy.held = self.write_much('first') // 2
      first = self.checker.export()
      wait_until(lambda: proxy.hanging, 90, 'pull that hangs',
                 self.tree.diagnosis)
      self.checker.write('first 0', 'second')
      # It waits for the pull, which ends when its peer is gone.
      proxy.heal()
      second = self.checker.export()
    self.assertNotEqual(first, second)
    self.checker.check()

  def test_19_slow_link_that_is_reset_again_and_again(self):
    pbs = self.tree.pbs(1)
    with self.between(pbs, ssh_port(self.tree.leader)) as proxy:
      size = self.write_much('slow')
      proxy.rate, proxy.limit = size, size // 3
      past = len(pbs.log())
      self.checker.export()
      wait_until(lambda: proxy.connections > 3, 120, 'third try',
                 self.tree.diagnosis)
      # The first may be too early to have seen anything come.
      wait_until(lambda: re.search(
        r'pull-data failed: .*[1-9].* [kM]B of at most .* MB had come in \d+ s,'
        r' .*; without a break it takes at most \d+ s', pbs.log()[past:]),
        90, 'failure that says how far it came', self.tree.diagnosis)
      self.checker.check_copies()
    self.checker.check()


if __name__ == '__main__':
  unittest.main()
