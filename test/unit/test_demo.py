"""What the demo concludes from logs, files, ports and states."""
import contextlib
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from slapos.proxy.db_version import DB_VERSION
from slapos.util import dict2xml

from bench.__main__ import phases, summary
from demo import checks, convergence, cycle, deploy, processes, release, report
from demo.convergence import Instance, Missing
from demo.node import Node
from demo.show import duration, Failure, table

# Passes of slapos.core 1.24.1, shortened.
FAILED_PASS = '''\
2026-11-23 01:23:08 slapos[20812] INFO Processing computer partitions...
2026-11-23 01:23:08 slapos[20812] INFO Processing Computer Partition slappart0.
2026-11-23 01:23:08 slapos[20812] INFO   Software URL: http://[::1]/software.cfg
2026-11-23 01:23:10 slapos[20812] ERROR Failed to run buildout profile in \
directory '/srv/node/inst/slappart0'
2026-11-23 01:23:10 slapos[20812] INFO Checking slappart0 promises...
2026-11-23 01:23:10 slapos[20812] INFO Checking slappart1 promises...
2026-11-23 01:23:13 slapos[20812] INFO Processing Computer Partition slappart7.
2026-11-23 01:23:18 slapos[20812] INFO Finished computer partitions.
2026-11-23 01:23:18 slapos[20812] INFO ========================================
2026-11-23 01:23:18 slapos[20812] INFO Error while processing the following \
partitions:
2026-11-23 01:23:18 slapos[20812] INFO   slappart0[default]: Failed to run \
buildout profile in directory '/srv/node/inst/slappart0':
Updating slap-configuration.
Installing request-data.
While:
  Installing switch-softwaretype.
Traceback (most recent call last):
  File "/srv/venv/lib/slapos/recipe/request.py", line 243, in install
    raise KeyError(error_message)
KeyError: 'Connection parameter ssh-key not found.'


2026-11-23 01:23:18 slapos[20812] INFO Error with promises for the following \
partitions:
2026-11-23 01:23:18 slapos[20812] INFO   slappart7[data-import]: Promise \
'promise-sshd.py' failed with output: [::1]:22070 does not answer
'''
IDLE_PASS = '''\
2026-11-23 01:20:10 slapos[20100] INFO Processing computer partitions...
2026-11-23 01:20:10 slapos[20100] INFO Checking slappart0 promises...
2026-11-23 01:20:10 slapos[20100] INFO Checking slappart1 promises...
2026-11-23 01:20:11 slapos[20100] INFO 5 promises didn't need to be checked.
2026-11-23 01:20:15 slapos[20100] INFO Finished computer partitions.
2026-11-23 01:20:15 slapos[20100] INFO ========================================
'''
COMPLETE = Missing([], [], [])


def generation(epoch, sequence, sealed=0):
  """Return what a generation is in JSON, as far as the demo reads it."""
  return {'epoch': epoch, 'sequence': sequence, 'sealed': sealed}


class TestCase(unittest.TestCase):
  """With a folder of its own."""

  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = pathlib.Path(temporary.name)

  def write(self, path, text):
    """Write a file below the folder; return its path."""
    target = self.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


class TestPass(TestCase):
  """What a pass tells."""

  def outcome(self, log, status=0, lack=COMPLETE):
    """Return the convergence.Pass with that log."""
    return convergence.outcome(
      status, 1.5, self.write('pass-7.log', log), lack)

  def test_processed_and_failed_partitions_are_found(self):
    found = self.outcome(FAILED_PASS, 1)
    self.assertEqual(found.processed, ['slappart0', 'slappart7'])
    self.assertEqual(found.failures, {
      'slappart0': "KeyError: 'Connection parameter ssh-key not found.'",
      'slappart7': "Promise 'promise-sshd.py' failed with output:"
                   ' [::1]:22070 does not answer'})
    self.assertTrue(found.working)
    self.assertFalse(found.converged)

  def test_an_idle_pass_of_a_complete_tree_is_converged(self):
    found = self.outcome(IDLE_PASS)
    self.assertEqual((found.processed, found.failures), ([], {}))
    self.assertFalse(found.working)
    self.assertTrue(found.converged)

  def test_anything_else_is_not(self):
    # Exit status 0 alone is what this must never be taken for.
    processing = FAILED_PASS.partition('Finished')[0]
    for log, status, lack in (
        (processing, 0, COMPLETE),
        (IDLE_PASS, 1, COMPLETE),
        (IDLE_PASS, 2, COMPLETE),
        (IDLE_PASS, 0, COMPLETE._replace(instances=['data1'])),
        (IDLE_PASS, 0, COMPLETE._replace(parameters=['url'])),
        (IDLE_PASS, 0, COMPLETE._replace(
          promises=[('slappart1', 'promise-sshd', 'not checked yet')]))):
      with self.subTest(status=status, lack=lack):
        self.assertFalse(self.outcome(log, status, lack).converged)

  def test_the_line_of_a_pass(self):
    titles = {'slappart0': 'root', 'slappart7': 'data1'}
    self.assertEqual(
      deploy.pass_line(self.outcome(FAILED_PASS, 1), titles),
      'pass 7:  1.5 s, 2 partitions processed, exit status 1;'
      ' to be processed again: data1, root')
    self.assertEqual(
      deploy.pass_line(self.outcome(IDLE_PASS), titles),
      'pass 7:  1.5 s, 0 partitions processed; nothing is missing')
    lack = Missing(['data1', 'data2'], ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
                   [('slappart7', 'promise-sshd', 'no'),
                    ('slappart7', 'promise-cron', 'no'),
                    ('slappart9', 'promise-cron', 'no')])
    self.assertEqual(
      lack.sentence(titles),
      'not requested: data1, data2; not published: a, b, c, d and 3 more;'
      ' red: data1 (promise-sshd, promise-cron), slappart9 (promise-cron)')


class TestMissing(TestCase):
  """What a tree lacks, from the master's database and slapgrid's notes."""

  def setUp(self):
    super().setUp()
    self.database = self.folder / 'proxy.db'
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      connection.execute(
        'CREATE TABLE partition%s (reference, slap_state, connection_xml,'
        ' software_type, partition_reference, requested_state)' % DB_VERSION)
      connection.execute('CREATE TABLE slave%s (reference)' % DB_VERSION)
      connection.commit()

  def insert(self, table_name, **values):
    """Insert a row into the master's database."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      connection.execute('INSERT INTO %s%s (%s) VALUES (%s)' % (
        table_name, DB_VERSION, ', '.join(values),
        ', '.join('?' * len(values))), tuple(values.values()))
      connection.commit()

  def instance(self, title, number, state='started', **published):
    """Add an instance."""
    self.insert(
      'partition', reference='slappart%d' % number, slap_state='busy',
      connection_xml=dict2xml(published) if published else None,
      software_type='data-import', partition_reference=title,
      requested_state=state)

  def lack(self, number=2):
    """Return the Missing of service "data" with `number` instances."""
    return convergence.missing(self.database, self.folder, 'data', number)

  def promise(self, partition, name, failed, message=''):
    """Add a promise; `failed` is None for one that was not checked yet."""
    self.write('%s/etc/plugin/%s.py' % (partition, name), '')
    if failed is not None:
      self.write(
        '%s/.slapgrid/promise/result/%s.status.json' % (partition, name),
        json.dumps({'result': {'failed': failed, 'message': message}}))

  def test_no_master_yet(self):
    self.database.unlink()
    self.assertEqual(convergence.instances(self.database), [])
    self.database.write_bytes(b'')
    self.assertEqual(convergence.instances(self.database), [])
    self.assertEqual(len(self.lack().instances), 5)

  def test_a_tree_that_grows(self):
    self.assertEqual(self.lack().instances, [
      'data0', 'data1', 'PBS (data / 1)', 'PBS 1 pulling from data0',
      'PBS pushing on data1'])
    self.assertEqual(self.lack().parameters, [
      'takeover-data-1-url', 'takeover-data-1-password',
      'feed-url-data-1-pull', 'feed-url-data-1-push', 'url'])
    self.instance('root', 0, url='http://[::1]/')
    self.instance('data0', 1)
    self.instance('data1', 2)
    self.instance('PBS (data / 1)', 3)
    self.insert('slave', reference='slappart0_PBS 1 pulling from data0')
    lack = self.lack()
    self.assertEqual(lack.instances, ['PBS pushing on data1'])
    self.assertNotIn('url', lack.parameters)
    self.assertEqual(
      [item for item in convergence.instances(self.database)
       if item.title == 'root'],
      [Instance('root', 'slappart0', 'data-import', 'started',
                {'url': 'http://[::1]/'})])

  def test_only_green_promises_are_green(self):
    self.instance('data0', 1)
    self.instance('broken-20261123', 2, state='stopped')
    self.promise('slappart1', 'good', False)
    self.promise('slappart1', 'bad', True, 'nobody listens\n')
    self.promise('slappart1', 'new', None)
    self.promise('slappart1', '__init__', None)
    self.promise('slappart2', 'stopped', True)
    self.assertEqual(self.lack().promises, [
      ('slappart1', 'bad', 'nobody listens'),
      ('slappart1', 'new', 'not checked yet')])


class TestRelease(TestCase):
  """The snapshot of a release."""

  PIN = '[part]\n_update_hash_filename_ = part.in\nmd5sum = %s\n'

  def setUp(self):
    super().setUp()
    self.write('software.cfg', 'text')
    self.write('part.in', 'hello')
    self.write('notes.txt', 'no part of a release')
    self.write('component/a/buildout.cfg', 'a')
    self.write('component/a/__pycache__/a.pyc', 'no')
    self.write('buildout.hash.cfg',
               self.PIN % '5d41402abc4b2a76b9719d911017c592')

  def test_the_files_of_a_release(self):
    self.assertEqual(sorted(release.content(self.folder)), [
      'buildout.hash.cfg', 'component/a/buildout.cfg', 'part.in',
      'software.cfg'])

  def test_every_change_is_another_revision(self):
    files = release.content(self.folder)
    revision = release.revision(files)
    self.assertEqual(release.revision(dict(reversed(files.items()))), revision)
    for changed in ({**files, 'software.cfg': b'Text'},
                    {**files, 'more': b''},
                    {key: value for key, value in files.items()
                     if key != 'part.in'},
                    {**files, 'software.cfg': b'', 'more': b'text'}):
      self.assertNotEqual(release.revision(changed), revision)

  def test_a_snapshot_is_written_once_and_whole(self):
    files = release.content(self.folder)
    target = self.folder / 'release'
    self.write('release/%s.new/half' % release.revision(files), 'interrupted')
    name = release.write(files, target)
    self.assertEqual(release.write(files, target), name)
    self.assertEqual(os.listdir(target), [name])
    self.assertEqual(
      {str(path.relative_to(target / name)): path.read_bytes()
       for path in (target / name).rglob('*') if path.is_file()}, files)

  def test_a_stale_or_missing_file_is_said_before_the_build(self):
    self.write('part.in', 'changed')
    with self.assertRaisesRegex(Failure, 'part.in is not what .*: run make'):
      release.content(self.folder)
    (self.folder / 'part.in').unlink()
    with self.assertRaisesRegex(Failure, 'part.in is pinned .*: run make'):
      release.content(self.folder)

  def test_the_project_has_all_that_its_release_needs(self):
    self.assertIn('resilient/command.py', release.pins())
    self.assertTrue((release.PROJECT / 'software.cfg').exists())

  def test_a_release_is_served_and_the_server_is_known(self):
    target = self.folder / 'release'
    name = release.write(release.content(self.folder), target)
    with contextlib.closing(socket.socket(socket.AF_INET6)) as trial:
      trial.bind(('::1', 0))
      port = trial.getsockname()[1]
    node = self.folder / 'node'
    self.addCleanup(processes.end_node, node)
    log = self.folder / 'server.log'
    for _ in range(2):  # The second time it is there.
      url = release.serve(target, name, '::1', port, node, log)
      self.assertEqual(
        url, 'http://[::1]:%d/%s/software.cfg' % (port, name))
      self.assertEqual(len(processes.of_node(node)), 1)
    processes.end_node(node)
    self.assertEqual(processes.of_node(node), [])


class TestChecks(TestCase):
  """What the machine lacks, in one line."""

  def test_a_free_port(self):
    with contextlib.closing(socket.socket(socket.AF_INET6)) as trial:
      trial.bind(('::1', 0))
      port = trial.getsockname()[1]
    checks.check_ports([('::1', port)], 'no')

  def test_a_taken_port(self):
    with contextlib.closing(socket.socket(socket.AF_INET6)) as server:
      server.bind(('::1', 0))
      server.listen()
      port = server.getsockname()[1]
      with self.assertRaisesRegex(
          Failure, 'port %d of ::1 is taken by process %d .*: do that' % (
            port, os.getpid())):
        checks.check_ports([('::1', port)], 'do that')

  def test_an_address_that_is_not_of_this_machine(self):
    with self.assertRaisesRegex(Failure, '2001:db8::1 .*RESILIENT_IPV6'):
      checks.check_ports([('2001:db8::1', 22000)], 'no')

  def test_the_ports_of_partitions(self):
    self.assertEqual(checks.partition_ports([0, 3]), [
      22000, 22001, 22002, 22005, 22030, 22031, 22032, 22035])

  def test_a_path_too_deep(self):
    if os.geteuid():
      with self.assertRaisesRegex(Failure, 'characters .*make WORK='):
        checks.check_folder('/' + 'x' * 80)
      checks.check_folder('/tmp')
    else:
      with self.assertRaisesRegex(Failure, 'root'):
        checks.check_folder('/tmp')

  def test_a_node_keeps_its_address(self):
    self.write('node/settings.json', '{"ipv6": "fd00::1", "port": 5}')
    self.assertEqual(Node(self.folder).ipv6, 'fd00::1')
    self.assertEqual(Node(self.folder, 'fd00::1', 5).port, 5)
    with self.assertRaisesRegex(Failure, 'made with --ipv6 fd00::1'):
      Node(self.folder, '::1')


class TestProcesses(TestCase):
  """Nothing is left running."""

  def test_a_process_that_ignores_sigterm_is_ended_with_its_child(self):
    log = self.folder / 'log'
    program = ('import signal, subprocess, time\n'
               'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
               'subprocess.Popen(["sleep", "1000"], env={})\n'
               'print("ready", flush=True)\n'
               'time.sleep(1000)\n')
    with log.open('wb') as output:
      process = subprocess.Popen(
        [sys.executable, '-c', program], stdout=output,
        env=processes.environment(self.folder))
    self.addCleanup(process.wait)
    while not log.read_text():
      time.sleep(0.01)
    found = processes.of_node(self.folder)
    self.assertEqual(len(found), 2)
    processes.end(found, patience=0.5)
    self.assertEqual([one.pid for one in found if one.is_running()], [])

  def test_a_command_has_its_output_in_a_log(self):
    log = self.folder / 'log'
    status, seconds = processes.run(
      ['sh', '-c', 'echo hello; exit 3'], log, self.folder, 30)
    self.assertEqual((status, log.read_text()), (3, 'hello\n'))
    self.assertLess(seconds, 30)

  def test_a_command_that_does_not_end_is_ended(self):
    log = self.folder / 'log'
    with self.assertRaisesRegex(Failure, 'sh did not end within 1 s') as caught:
      processes.run(['sh', '-c', 'sleep 1000 & sleep 1000'], log, self.folder,
                    1)
    self.assertEqual(caught.exception.log, log)
    self.assertEqual(processes.of_node(self.folder), [])


class TestReport(TestCase):
  """The table, and what is wrong."""

  def test_rows_and_problems(self):
    def instance(title, number, state='started'):
      return Instance(title, 'slappart%d' % number, '', state, {})
    instances = [
      instance('root', 0), instance('PBS (data / 1)', 1),
      instance('broken-20261123', 2, 'stopped'), instance('data1', 3),
      instance('data0', 4), instance('data2', 5)]
    statuses = {
      'slappart1': {
        'role': 'pull-backup', 'now': 1000, 'problems': [], 'archives': {
          'data': {'generation': generation(2, 7, 400), 'incomplete': False,
                   'generations': ['1.6', '2.7']}}},
      'slappart3': {
        'role': 'import', 'now': 1000, 'generation': generation(1, 6, 990),
        'verified': generation(2, 7),
        'problems': [{'topic': 'import', 'text': 'import failed: no'}]},
      'slappart4': {'role': 'export', 'now': 1000, 'problems': [],
                    'generation': None},
      'slappart5': 'bin/status failed: no'}
    self.assertEqual(report.rows(instances, statuses), [
      ['data0', 'leader', '-', '-', '-', 'slappart4'],
      ['data1', 'clone', '1.6', '10 s', 'yes, 2.7 is loading', 'slappart3'],
      ['data2', '?', '-', '-', '-', 'slappart5'],
      ['PBS (data / 1)', 'PBS', '2.7', '10 min', 'yes, 2 kept', 'slappart1'],
      ['broken-20261123', 'replaced', '-', '-', '-', 'slappart2']])
    self.assertEqual(
      report.problems(instances, statuses, {
        'slappart4': [('sshd', 'RUNNING', 1), ('equeue', 'EXITED', 0)],
        'slappart2': [('sshd', 'STOPPED', 0)]}, COMPLETE), [
          'data0: service equeue is exited',
          'data1: import failed: no',
          'data2: bin/status failed: no'])
    self.assertEqual(
      report.problems([], {}, None, COMPLETE._replace(parameters=['url'])), [
        'the node is not running: make demo',
        'the tree is not complete: not published: url'])

  def test_a_table(self):
    self.assertEqual(table(('a', 'name'), [['1', 'x'], ['long', '']]), (
      'a     name\n----  ----\n1     x\nlong'))

  def test_durations(self):
    self.assertEqual(
      [duration(seconds) for seconds in (-1, 9.6, 600, 7200, 200000)],
      ['0 s', '10 s', '10 min', '2.0 h', '2.3 d'])


class TestCycle(TestCase):
  """A generation travels."""

  def test_each_place_is_seen_once_and_the_numbers_follow(self):
    program = self.write('slappart0/bin/exporter', (
      '#!/bin/sh\ncd %s\nput() { echo "$2" > $1.tmp; mv $1.tmp $1; }\n'
      'put slappart0/srv/resilient/sealed.json \'%s\'\n'
      'put slappart2/srv/resilient/archive-data.json \'[{"generation":%s}]\'\n'
      'put slappart1/srv/resilient/staged.json \'{"generation":%s}\'\n'
      'put slappart1/srv/resilient/imported.json \'{"generation":%s}\'\n') % (
        self.folder, *[json.dumps(generation(2, 5))] * 4))
    program.chmod(0o755)
    # A leader that has just taken over has sealed nothing; the rest is old.
    (self.folder / 'slappart0/srv/resilient').mkdir(parents=True)
    self.write('slappart2/srv/resilient/archive-data.json',
               json.dumps([{'generation': generation(1, 4)}]))
    for name in ('verified', 'imported'):
      self.write('slappart1/srv/resilient/%s.json' % name,
                 json.dumps({'generation': generation(1, 4)}))
    folder = self.folder

    class FakeNode:
      """As much of a node as a cycle needs."""

      logs = folder

      def __init__(self):
        self.folder = folder

      def instances(self):
        """Return {title: Instance}."""
        return {title: Instance(title, partition, '', 'started', {})
                for title, partition in (
                  ('data0', 'slappart0'), ('data1', 'slappart1'),
                  ('PBS (data / 1)', 'slappart2'), ('root', 'slappart3'),
                  ('broken-20261123', 'slappart4'))}

      def partition_folder(self, partition):
        """Return the path of a partition."""
        return folder / partition

    shown = []
    stages, took = cycle.run(FakeNode(), 'data', shown.append)
    self.assertEqual(stages, shown)
    self.assertEqual(sorted((stage.what, stage.title, stage.label)
                            for stage in stages), [
      ('archived', 'PBS (data / 1)', '2.5'), ('imported', 'data1', '2.5'),
      ('sealed', 'data0', '2.5'), ('verified', 'data1', '2.5')])
    measured = phases(stages, took)
    self.assertEqual(set(measured), {
      'exporter', 'sealed', 'archived', 'verified', 'imported'})
    self.assertEqual(len(summary([measured]).splitlines()), 7)
    program.write_text('#!/bin/sh\nexit 1\n')
    with self.assertRaisesRegex(Failure, 'exporter failed with status 1'):
      cycle.run(FakeNode(), 'data')
