"""What goes wrong is seen, harms nothing, and is made good."""
import contextlib
import os
import signal
import unittest

import psutil

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .freeze import freeze
from .node import wait_until


class FailureTest(ResilientTestCase):
  """One tree; every story ends with all that was acknowledged everywhere."""

  def setUp(self):
    super().setUp()
    # So that a story does not depend on the one before.
    self.tree.back_up()

  def test_pbs_that_is_down_when_notified_catches_up_unprompted(self):
    down, up = self.tree.pbs(1), self.tree.pbs(2)
    down.stop('notifier', 'equeue', 'crond')
    self.addCleanup(down.start, 'notifier', 'equeue', 'crond')
    self.tree.leader.write('while down', 'kept')
    label = self.tree.export()

    self.tree.wait_for_archive(label, up)
    self.tree.wait_for_clones(label, self.tree.clone(2))
    red = self.tree.check_promises()
    self.assertIn(('data0', 'promise-notification'), red)
    self.assertIn((down.title, 'promise-equeue'), red)
    self.assertNotEqual(label, self.tree.archived(down))

    down.start('equeue')
    self.tree.wait_for_archive(label, down, seconds=90)
    self.tree.wait_for_clones(label, self.tree.clone(1))
    self.assertEqual(
      'kept', self.tree.clone(1).records().get('while down'))
    down.start('notifier', 'crond')
    wait_until(lambda: not self.tree.check_promises(), 120, 'green tree',
               self.tree.diagnosis)

  def test_pull_that_is_killed_half_way_is_reported_and_repaired(self):
    pbs, clone = self.tree.pbs(1), self.tree.clone(1)
    archive = pbs.path / 'srv/backup/pbs/data'
    held = clone.state()['verified']
    past = len(pbs.log())
    # Kept from asking, so that the kill can be prepared.
    freeze(pbs, 'equeue')
    for number in range(24):
      self.tree.leader.write('large %d' % number, os.urandom(2**19).hex())
    label = self.tree.export()
    pbs.kill('equeue', signal.SIGCONT)

    def kill_half_way():
      found = []
      for process in pbs.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
          if 'rdiff-backup' in ' '.join(process.cmdline()[:3]):
            found.append(process)
      # rdiff-backup writes what it receives to a file of this name.
      if not list(archive.glob('rdiff-backup.tmp.*')):
        return False
      for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
          process.kill()
      return found

    wait_until(kill_half_way, 60, 'pull that can be killed half-way',
               self.tree.diagnosis)
    wait_until(lambda: 'pull-data failed' in pbs.log()[past:], 30,
               'failure in the log', self.tree.diagnosis)
    failure, = (line for line in pbs.log()[past:].splitlines()
                if 'pull-data failed:' in line)
    self.assertIn('was ended by signal 9', failure)

    self.tree.wait_for_archive(label, pbs, seconds=120)
    self.tree.wait_for_clones(label, clone, seconds=120)
    self.assertEqual(
      self.tree.leader.records(), clone.records())
    self.assertNotEqual(held, clone.state()['verified'])
    runs = pbs.log()[past:]
    # Between the failure and the good pull nothing was pushed.
    repaired = runs.index('is in the archive', runs.index('pull-data failed'))
    self.assertNotIn(
      'generation %s is verified on the clone' % label, runs[:repaired])
    self.assertEqual({}, pbs.problems())

  def test_queue_that_is_killed_with_work_pending_loses_nothing(self):
    clone, pbs = self.tree.clone(1), self.tree.pbs(1)
    freeze(clone, 'equeue')
    before = clone.state()['imported']
    self.tree.leader.write('pending', 'import')
    label = self.tree.export()
    # Accepted by the clone, that is: acknowledged, and not yet imported.
    wait_until(
      lambda: 'generation %s is verified on the clone' % label in pbs.log(),
      60, 'push', self.tree.diagnosis)
    self.assertEqual(before, clone.state()['imported'])
    clone.kill('equeue', signal.SIGKILL)
    clone.start('equeue')
    self.tree.wait_for_clones(label, clone)
    self.assertEqual('import', clone.records().get('pending'))

  def test_exporter_that_fails_is_seen_and_spoils_nothing(self):
    leader = self.tree.leader
    held = self.tree.clone(1).records()
    put_back = leader.replace(
      'data-exporter', 'echo no space for the dump\nexit 3\n')
    self.addCleanup(put_back)
    said = leader.run('exporter', status=1)
    self.assertIn('failed with status 3', said)
    self.assertIn('no space for the dump', leader.problems()['export'])
    self.assertIn(('data0', 'promise-export'), self.tree.check_promises())
    self.assertEqual(held, self.tree.clone(1).records())

    put_back()
    leader.write('after the failure', 'kept')
    self.tree.back_up()
    self.assertEqual(
      'kept', self.tree.clone(1).records().get('after the failure'))
    self.assertEqual({}, self.tree.check_promises())

  def test_importer_that_fails_leaves_the_service_as_it_was(self):
    clone = self.tree.clone(1)
    held = clone.records()
    put_back = clone.replace(
      'data-importer', 'echo cannot load this\nexit 4\n')
    self.addCleanup(put_back)
    self.tree.leader.write('not loaded', 'yet')
    label = self.tree.export()
    wait_until(lambda: 'import' in clone.problems(), 60, 'problem',
               self.tree.diagnosis)
    self.assertIn('cannot load this', clone.problems()['import'])
    self.assertEqual(held, clone.records())
    self.assertIn(('data1', 'promise-import'), self.tree.check_promises())
    # What was imported last is still there, whole.
    self.assertTrue((clone.path / 'srv/resilient/previous').is_dir())

    put_back()
    self.tree.wait_for_clones(label, clone, seconds=120)
    self.assertEqual('yet', clone.records().get('not loaded'))


if __name__ == '__main__':
  unittest.main()
