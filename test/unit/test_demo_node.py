"""The demo's node: what it needs of the machine, and the processes it has."""
import contextlib
import os
import socket
import subprocess
import sys
import time

from demo import checks, processes
from demo.node import Node
from demo.show import Failure

from .demo_support import TestCase


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
