"""Faults of a node: processes that are killed, clocks that are wrong, programs
of the service that misbehave.  The table is in test/README.rst."""
import collections
import contextlib
import signal
import sqlite3
import sys
import tempfile
import threading
import types
import unittest

import psutil

from resilient import authentication, configuration, http_client, notify
from resilient.generation import from_json

from . import set_up_module as setUpModule  # noqa: F401
from .clock import HOUR, YEAR
from .fault import FaultCase
from .freeze import freeze
from .node import configured, fetch, wait_until

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
        freeze(pbs, 'equeue')
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

  def test_6_takeover_during_an_import(self):
    roles, clone = self.tree.roles(), self.tree.clone(1)
    url = clone.parameters['takeover-url']
    kept, goes_on = clone.path / 'srv/importer', clone.path / 'srv/goes-on'
    kept.write_text((clone.path / 'bin/data-importer').read_text())
    kept.chmod(0o700)
    for when, script in (
        ('start', 'until test -e {0}; do sleep .1; done\nexec {1}\n'),
        ('end', '{1} && until test -e {0}; do sleep .1; done\n')):
      with self.subTest(when):
        put_back = clone.replace(
          'data-importer', script.format(goes_on, kept))
        self.addCleanup(put_back)
        self.checker.write('import', when)
        label = self.checker.export()
        # The lock alone may be of a look whether there is anything to import.
        wait_until(lambda: clone.state()['importing'] and (
          clone.path / 'srv/resilient/importing.json').exists(), 60,
                   'import at %r' % clone, self.tree.diagnosis)
        self.assertIn('an import is running here', clone.run(
          'takeover', status=1))
        self.assertRegex(fetch(url)[1], 'currently running.*Yes')
        self.assertEqual(roles, self.tree.roles())
        self.checker.check_copies()
        goes_on.touch()
        self.tree.wait_for_clones(label)
        goes_on.unlink()
        put_back()
    self.checker.check()

  def _asked(self, node):
    """Return what the queue of `node` was ever asked for."""
    path = configuration.load(node.path / 'etc/resilient.json').store.path
    with contextlib.closing(sqlite3.connect(path)) as queue:
      return queue.execute('SELECT * FROM task ORDER BY name').fetchall()

  def test_12_hints_that_are_forged_replayed_malformed_or_too_many(self):
    pbs, leader = self.tree.pbs(1), self.tree.leader
    url = pbs.parameters['notification-url']
    real = configuration.load(leader.path / 'etc/resilient.json')
    stranger = tempfile.TemporaryDirectory()
    self.addCleanup(stranger.cleanup)
    authentication.ensure_secret(
      stranger.name + '/secret', 'the secret of another tree')
    newest = from_json(leader.state()['generation'])
    notifier = psutil.Process(pbs.pid('notifier'))
    wait_until(lambda: all(
      requested == completed for _, requested, completed in self._asked(pbs)),
      60, 'queue of %r without work' % pbs, self.tree.diagnosis)
    before, memory = self._asked(pbs), notifier.memory_info().rss

    def refused(generation, secret_file):
      forger = types.SimpleNamespace(
        instance=real.instance, secret_file=secret_file)
      with self.assertRaises(http_client.Refused) as caught:
        notify.post(forger, url, generation, 10)
      self.assertIn(caught.exception.code, (403, 429))

    refused(newest, real.secret_file)
    for number in range(1, 20):
      refused(newest._replace(sequence=newest.sequence + number),
              stranger.name + '/secret')
    answers = collections.Counter()

    def flood():
      for number in range(500):
        answers[fetch(url, 'POST', '{"generation": %d' % number + 'x' * 9999
                      )[0]] += 1

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    self.assertEqual({403, 429}, set(answers))
    self.assertEqual(before, self._asked(pbs))
    self.assertEqual(notifier.pid, pbs.pid('notifier'))
    self.assertLess(notifier.memory_info().rss - memory, 64 << 20)
    # Who belongs to the tree is heard all the same.
    self.checker.write('flood', 'over')
    self.checker.export()
    self.assertNotEqual(before, self._asked(pbs))
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
        # No backup may come after it: one that cannot become late is an alarm.
        if ahead > 0:
          red = self.tree.check_promises()
          for node in (
              self.tree.leader, *self.tree.clones(), *self.tree.all_pbs()):
            self.assertIn('ahead of the clock', red.get(
              (node.title, 'promise-freshness'), ''))
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

  def test_20_master_that_is_down_stops_no_backup_and_no_data(self):
    roles, clone = self.tree.roles(), self.tree.clone(1)
    with self.tree.master_down():
      self.checker.write('master', 'down')
      self.checker.export()
      self.checker.check_clones(120)
      said = clone.run('takeover', status=1)
      self.assertIn('the SlapOS master', said)
      self.assertIn('Nothing was changed', said)
      # Nobody was fenced: the leader goes on.
      self.checker.write('master', 'still down')
      self.checker.export()
      self.checker.check_clones(120)
    self.assertEqual(roles, self.tree.roles())
    self.assertEqual({}, clone.problems())
    self.checker.check()


if __name__ == '__main__':
  unittest.main()
