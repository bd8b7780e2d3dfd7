"""An export: exit status 0 means sealed, and a failure spoils nothing."""
import contextlib
import os
import socket
import stat
import subprocess
import unittest

from resilient import exporter, manifest
from resilient.durable import is_locked, lock, write_json

from .partition import ROOT
from .support import end, TestCase, wait_until, write_tree


class ExporterCase(TestCase):
  """A leader."""

  def setUp(self):
    super().setUp()
    self.leader = self.partition('export')
    self.leader.serve({'marker': 'one'})

  def export(self):
    """Run ``bin/exporter`` in this process; return its exit status."""
    return exporter.main(self.leader.configuration)

  def offered(self):
    """Return what a PBS is told: (label of a generation, problem)."""
    found, _, problem = exporter.sealed_dump(self.leader.configuration)
    return found and found.label, problem

  def message(self):
    """Return what the last run says of itself."""
    return self.leader.configuration.store.last_run('export').message

  def assertIntact(self, marker):
    """The dump matches its manifest, and holds `marker`."""
    self.assertEqual(self.leader.read('srv/backup/data/marker'), marker)
    self.assertEqual(manifest.compare(
      self.leader.dump, manifest.read(self.leader.dump)), [])


class TestSeal(ExporterCase):
  """Exports that succeed."""

  def test_exit_status_0_means_sealed(self):
    result = subprocess.run(
      self.leader.command('exporter'), cwd=ROOT, stderr=subprocess.DEVNULL)
    self.assertEqual(result.returncode, 0)
    self.assertIntact('one')
    self.assertEqual(self.offered(), ('1.1', ''))

  def test_each_export_is_one_generation_more(self):
    for number in (1, 2, 3):
      self.assertEqual(self.export(), 0)
      self.assertEqual(self.offered(), ('1.%d' % number, ''))

  def test_the_sequence_goes_on_when_the_exporter_empties_the_dump(self):
    self.export()
    self.leader.program('data-exporter', (
      'rm -rf {0} && mkdir {0} && echo two > {0}/marker'.format(
        self.leader.dump)))
    self.assertEqual(self.export(), 0)
    self.assertEqual(self.offered(), ('1.2', ''))

  def test_the_sequence_goes_on_when_the_dump_was_restored_by_hand(self):
    for _ in range(3):
      self.export()
    os.unlink(os.path.join(self.leader.dump, manifest.MANIFEST))
    self.assertEqual(self.export(), 0)
    self.assertEqual(self.offered(), ('1.4', ''))

  def test_the_epoch_is_that_of_the_last_takeover(self):
    self.export()
    with open(self.leader.configuration.state('leadership.json'), 'w',
              encoding='ascii') as output:
      output.write('{"epoch": 5}')
    self.assertEqual(self.export(), 0)
    self.assertEqual(self.offered(), ('5.2', ''))

  def test_changed_content_has_a_larger_mtime_even_within_a_second(self):
    self.leader.program('data-exporter', (
      'cp {0}/marker {1}/marker && touch -d @1000000000 {1}/marker'.format(
        self.leader.at('srv/live'), self.leader.dump)))
    path = os.path.join(self.leader.dump, 'marker')
    seen = []
    for text in ('one', 'two', 'two', '333'):
      self.leader.serve({'marker': text})
      self.assertEqual(self.export(), 0)
      self.assertIntact(text)
      seen.append(int(os.stat(path).st_mtime))
      entry, = manifest.read(self.leader.dump).entries
      self.assertEqual(entry.mtime, seen[-1])
    self.assertEqual(seen[0], 1000000000)
    self.assertGreater(seen[1], seen[0])
    self.assertGreater(seen[3], seen[1])

  def test_it_works_before_the_queue_has_ever_run(self):
    for name in ('queue.sqlite', 'queue.sqlite.wake'):
      os.unlink(self.leader.configuration.state(name))
    self.assertEqual(self.export(), 0)


class TestFailure(ExporterCase):
  """Exports that fail, over a generation that is sealed."""

  def setUp(self):
    super().setUp()
    self.export()
    self.leader.serve({'marker': 'two'})

  def assertKept(self, reason):
    """The next export fails for `reason`; generation 1.1 is still offered."""
    self.assertEqual(self.export(), 1)
    self.assertRegex(self.message(), reason)
    self.assertIn('generation 1.1 is still there', self.message())
    self.assertEqual(self.offered(), ('1.1', ''))
    self.assertIntact('one')

  def assertRepaired(self):
    """The next run of a right exporter seals."""
    self.leader.program('data-exporter', (
      'cp %s/marker %s/marker' % (
        self.leader.at('srv/live'), self.leader.dump)))
    self.assertEqual(self.export(), 0)
    self.assertEqual(self.offered(), ('1.2', ''))
    self.assertIntact('two')

  def test_a_failing_exporter_keeps_the_old_seal(self):
    self.leader.program('data-exporter', 'echo no database; exit 3')
    self.assertKept('status 3: no database')
    self.assertRepaired()

  def test_a_missing_exporter_keeps_the_old_seal(self):
    os.unlink(self.leader.at('bin/data-exporter'))
    self.assertKept('data-exporter cannot be started')
    self.assertRepaired()

  def test_a_hanging_exporter_keeps_the_old_seal(self):
    self.leader.configure(**{'export-deadline': 1})
    self.leader.program('data-exporter', 'exec sleep 600')
    self.assertKept('did not end within 1 s')
    self.leader.configure(**{'export-deadline': 60})
    self.assertRepaired()

  def test_a_failure_after_the_dump_was_touched_offers_nothing(self):
    self.leader.program('data-exporter', (
      'echo half > %s/marker; exit 1' % self.leader.dump))
    self.assertEqual(self.export(), 1)
    self.assertIn('the dump was touched', self.message())
    label, problem = self.offered()
    self.assertEqual(label, '1.1')
    self.assertIn('run bin/exporter again', problem)
    self.assertRepaired()

  def test_a_killed_export_offers_nothing(self):
    self.leader.program('data-exporter', (
      'echo half > %s/marker; exec sleep 600' % self.leader.dump))
    process = self.start(self.leader.command('exporter'), cwd=ROOT,
                         stderr=subprocess.DEVNULL)
    wait_until(lambda: self.leader.read('srv/backup/data/marker') == 'half\n',
               'the exporter is at half')
    end(process)
    # What it started ends by itself, a moment later.
    wait_until(lambda: not is_locked(self.leader.configuration.state(
      'dump.lock')), 'the dump is free')
    self.assertIn('run bin/exporter again', self.offered()[1])
    self.assertRepaired()

  def test_a_huge_output_fails_nothing(self):
    self.leader.program('data-exporter', (
      'yes marker | head -c 3000000; echo two > %s/marker' % self.leader.dump))
    self.assertEqual(self.export(), 0)
    self.assertIntact('two\n')

  def test_a_name_that_cannot_be_kept_is_refused_before_the_seal(self):
    self.leader.program('data-exporter', (
      'mkdir -p %s/rdiff-backup-data' % self.leader.dump))
    self.assertEqual(self.export(), 1)
    self.assertRegex(
      self.message(), 'cannot be kept.*rdiff-backup-data is a name that')
    os.rmdir(os.path.join(self.leader.dump, 'rdiff-backup-data'))
    self.assertRepaired()

  @unittest.skipIf(os.getuid(), 'only root can make a device')
  def test_a_device_is_refused_before_the_seal(self):
    device = os.path.join(self.leader.dump, 'null')
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    self.leader.program('data-exporter', 'true')
    self.assertEqual(self.export(), 1)
    self.assertIn('null is a device', self.message())
    os.unlink(device)
    self.assertRepaired()

  def test_an_error_of_the_system_is_a_failure_with_a_reason(self):
    self.leader.program('data-exporter', (
      'rm -r {0}/.resilient; echo two > {0}/marker; touch {0}/.resilient'
    ).format(self.leader.dump))
    self.assertEqual(self.export(), 1)
    self.assertIn('.resilient', self.message())
    os.unlink(os.path.join(self.leader.dump, '.resilient'))
    self.assertRepaired()

  def test_a_failure_is_in_the_log_whatever_text_is_in_its_reason(self):
    write_json(self.leader.configuration.state('replaced.json'), {
      'at': 1e9, 'epoch': 2, 'fenced': True, 'why': 'they say \ud800'})
    result = subprocess.run(
      [*self.leader.command('exporter'), '--log', self.path('log')], cwd=ROOT,
      check=False, stderr=subprocess.PIPE)
    self.assertEqual(result.returncode, 1)
    self.assertNotIn(b'Traceback', result.stderr)
    self.assertIn(r'has been replaced: they say \ud800', self.read('log'))
    self.assertIn(r'they say \ud800', self.message())

  def test_an_export_waits_for_a_pull_and_gives_up_at_its_deadline(self):
    with lock(self.leader.configuration.state('dump.lock'), shared=True):
      self.assertEqual(self.export(), 1)
    self.assertRegex(self.message(), 'has used the dump for more than 1 s')
    self.assertRepaired()

  def test_what_the_exporter_left_running_keeps_the_dump_locked(self):
    self.leader.program('data-exporter', (
      'setsid sleep 600 > /dev/null 2>&1 & echo $! > %s' % self.path('pid')))
    self.assertEqual(self.export(), 0)
    dump_lock = self.leader.configuration.state('dump.lock')
    self.assertTrue(is_locked(dump_lock))
    os.kill(int(self.read('pid')), 9)
    wait_until(lambda: not is_locked(dump_lock), 'the lock is free')


class TestNotification(ExporterCase):
  """The seal does not depend on who can be told."""

  @contextlib.contextmanager
  def silent(self):
    """Yield the URL of a server that accepts and never answers."""
    with socket.create_server(('::1', 0), family=socket.AF_INET6) as server:
      yield 'http://[::1]:%d/notify' % server.getsockname()[1]

  def test_a_silent_pbs_and_a_refusing_one_do_not_undo_the_seal(self):
    with self.silent() as silent, self.silent() as closed:
      pass
    with self.silent() as silent:
      self.leader.configure(notify='%s %s' % (silent, closed))
      self.assertEqual(self.export(), 0)
    self.assertEqual(self.offered(), ('1.1', ''))
    self.assertIn(silent, self.message())
    self.assertIn(closed, self.message())

  def test_the_dump_is_free_for_pulls_while_notifying(self):
    dump_lock = self.leader.configuration.state('dump.lock')
    with self.silent() as silent:
      self.leader.configure(**{
        'notify': silent, 'notification-deadline': 20})
      with self.thread(self.export) as export:
        wait_until(lambda: self.offered()[0] == '1.1', 'it is sealed')
        wait_until(lambda: not is_locked(dump_lock), 'the dump is free')
        self.assertTrue(export.is_alive())
    write_tree(self.leader.dump, {})
