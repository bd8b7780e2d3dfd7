"""A transfer says how far it has come, while it runs and when it is cut."""
import contextlib
import os
import re
import unittest

import psutil

from resilient import exporter, progress, status

from .support import wait_until
from .tree import TreeCase

_SIZE = 300_000_000


class ProgressTest(TreeCase):
  """A dump that takes seconds, over real ssh."""

  def setUp(self):
    super().setUp()
    with open(self.leader.at('srv/live/large'), 'wb') as large:
      large.truncate(_SIZE)
    self.leader.program('data-exporter', 'mv "%s" "%s"\n' % (
      self.leader.at('srv/live/large'), self.leader.dump))
    self.peers_are_known()
    self.assertEqual(0, exporter.main(self.leader.configuration))

  def moving(self, task):
    """Return the ssh process by which the PBS transfers data in `task`, or
    None."""
    path = self.pbs.configuration.state('ssh/%s.conf' % task)
    for process in psutil.process_iter(['cmdline']):
      with contextlib.suppress(psutil.Error):
        if path in (process.info['cmdline'] or ()) and (
            process.io_counters().write_chars > _SIZE // 50):
          return process
    return None

  def cut(self, kind, shown):
    """Kill the ssh of a transfer when bin/status shows that some has come;
    return what it showed."""
    with self.thread(lambda: self.run_task(kind)):
      ssh = wait_until(lambda: self.moving(kind + '-data'), 'some has come')
      # However late this test is, it is not yet all.
      ssh.suspend()
      seen = wait_until(
        lambda: (shown() or {}).get('bytes', 0) > _SIZE // 100 and shown(),
        'progress of the ' + kind)
      ssh.kill()
    self.assertIsNone(shown())
    return seen

  def test_a_cut_pull_says_how_far_it_came(self):
    seen = self.cut('pull', lambda: status.status(
      self.pbs.configuration)['archives']['data']['pulling'])
    self.assertEqual(_SIZE, seen['size'])
    self.assertLess(seen['bytes'], 1.1 * _SIZE)
    message = self.message()
    self.assertRegex(
      message, r'; [\d.]+ MB of at most 300 MB had come in \d+ s, [\d.]+ [kM]B'
      r'/s; without a break it takes at most \d+ s$')
    come = float(re.search(r'([\d.]+) MB of', message)[1])
    self.assertGreaterEqual(come * 1_000_000, 0.9 * seen['bytes'] - 1_000_000)

  def test_one_that_can_never_end_in_time_says_so(self):
    gate = self.leader.at('bin/gate')
    os.rename(gate, gate + '.real')
    self.leader.program('gate', (
      'test "$SSH_ORIGINAL_COMMAND" = generation && exec %s.real\n'
      'exec cat >/dev/null\n' % gate))
    self.configure(**{'transfer-deadline': 5})
    self.assertFalse(self.run_task('pull'))
    self.assertIn('did not end within 5 s', self.message())
    self.assertIn('and resiliency-transfer-deadline allows 5 s: give it more,'
                  ' or a faster link', self.message())

  def test_a_cut_push_too(self):
    self.assertTrue(self.run_task('pull'), self.message())
    self.cut('push', lambda: status.status(
      self.pbs.configuration)['clones']['data']['pushing'])
    self.assertIn(' had come in ', self.message('push-data'))


class AmountTest(unittest.TestCase):
  """Bytes for people."""

  def test_three_digits_are_enough(self):
    for number, text in ((0, '0 B'), (999, '999 B'), (1000, '1.0 kB'),
                         (12_345, '12.3 kB'), (123_456, '123 kB'),
                         (2_000_000, '2.0 MB'), (5e12, '5000.0 GB')):
      self.assertEqual(text, progress.amount(number))


if __name__ == '__main__':
  unittest.main()
