"""Faults of a node: processes that are killed, clocks that are wrong, programs
of the service that misbehave.  The table is in test/README.rst."""
import signal
import sys
import unittest

from . import set_up_module as setUpModule  # noqa: F401
from .clock import HOUR, YEAR
from .fault import FaultCase
from .node import configured

_ODD = r'''
import os, socket, sys
root = os.fsencode(sys.argv[1])
def at(name):
  return os.path.join(root, b'odd', name)
os.makedirs(at(b'empty'), exist_ok=True)
for name in (b'new\nline', b'trailing ', b'-dash', b'\xff\xfe', b'x' * 255):
  with open(at(name), 'wb') as output:
    output.write(name)
for name, target in ((b'broken', b'nowhere'), (b'loop', b'loop')):
  if not os.path.lexists(at(name)):
    os.symlink(target, at(name))
if not os.path.lexists(at(b'fifo')):
  os.mkfifo(at(b'fifo'))
with open(at(b'sparse'), 'wb') as output:
  output.truncate(64 << 20)
os.chmod(at(b'-dash'), 0o400)
'''


class NodeFaultTest(FaultCase):
  """Each story breaks one thing, looks, and makes it good."""

  def test_3_queue_or_notifier_that_is_ended_with_work_pending(self):
    pbs = self.tree.pbs(1)
    for number, service in (
        (signal.SIGKILL, 'equeue'), (signal.SIGTERM, 'equeue'),
        (signal.SIGKILL, 'notifier'), (signal.SIGTERM, 'notifier')):
      with self.subTest(service=service, signal=number.name):
        # The hint is taken, and nothing done about it yet.
        pbs.kill('equeue', signal.SIGSTOP)
        self.checker.write('ended', '%s %s' % (service, number.name))
        self.checker.export()
        pbs.end(service, number)
        self.checker.check_visible(pbs.title, 'promise-' + service)
        if service == 'notifier':
          pbs.kill('equeue', signal.SIGCONT)
        pbs.start(service)
        self.checker.check()

  def test_5_backups_that_stop_are_seen_everywhere(self):
    self.checker.check()
    # Two hours without an export that should have come.
    with configured(self.tree.leader, periodicity='0 * * * *'):
      self.checker.export()
      self.checker.check()
      red = self.tree.check_promises(ahead=3 * HOUR)
    for node in (self.tree.leader, *self.tree.clones(), *self.tree.all_pbs()):
      self.assertIn((node.title, 'promise-freshness'), red)
    self.checker.export()
    self.checker.check()

  def test_11_importer_that_is_killed_in_the_middle(self):
    clone = self.tree.clone(1)
    held = clone.records()
    put_back = clone.replace('data-importer', 'kill -9 $$\n')
    self.addCleanup(put_back)
    self.checker.write('killed', 'importer')
    self.checker.export()
    self.checker.check_visible(clone.title, 'promise-import')
    self.assertEqual(held, clone.records())
    self.checker.check_copies()
    put_back()
    self.checker.check()

  def test_13_wrong_clocks_change_no_order(self):
    for ahead in (YEAR, -YEAR, HOUR):
      with self.subTest(ahead):
        self.checker.write('clock', str(ahead))
        label = self.checker.export(ahead)
        self.tree.wait_for_archive(label)
        self.tree.wait_for_clones(label)
        for clone in self.tree.clones():
          self.assertEqual(str(ahead), clone.records()['clock'])
    self.checker.write('clock', 'right')
    self.checker.export()
    self.checker.check()

  def test_15_exporter_that_is_missing_hangs_or_talks_without_end(self):
    leader = self.tree.leader
    held = leader.state()['generation']
    for name, script, said in (
        ('is missing', None, 'No such file'),
        ('hangs', 'sleep 600', 'did not end within 2 s'),
        ('talks without end', 'exec yes', 'did not end within 2 s')):
      with self.subTest(name), configured(leader, **{'export-deadline': 2}):
        put_back = leader.replace('data-exporter', script or '')
        try:
          if script is None:
            (leader.path / 'bin/data-exporter').unlink()
          output = leader.run('exporter', status=1)
          self.assertIn(said, output)
          self.assertLess(len(output), 1 << 20)
          self.checker.check_visible(leader.title, 'promise-export')
          self.assertEqual(held, leader.state()['generation'])
        finally:
          put_back()
    self.checker.export()
    self.checker.check()

  def test_16_odd_names_and_kinds_arrive_as_they_are(self):
    leader = self.tree.leader
    exporter = (leader.path / 'bin/data-exporter').read_text()
    kept = leader.path / 'srv/data-exporter'
    kept.write_text(exporter)
    kept.chmod(0o700)
    program = leader.path / 'srv/odd.py'
    program.write_text(_ODD)
    put_back = leader.replace('data-exporter', 'set -e\n%s\n%s %s %s\n' % (
      kept, sys.executable, program, leader.path / 'srv/backup/data'))
    self.addCleanup(put_back)
    self.checker.write('odd', 'names')
    label = self.checker.export()
    self.tree.wait_for_clones(label)
    for clone in self.tree.clones():
      odd = clone.path / 'srv/backup/data/odd'
      self.assertEqual(b'new\nline', (odd / 'new\nline').read_bytes())
      self.assertLess((odd / 'sparse').stat().st_blocks * 512, 1 << 20)
    self.checker.check()
    put_back()


if __name__ == '__main__':
  unittest.main()
