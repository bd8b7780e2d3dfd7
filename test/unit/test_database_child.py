"""Programs with children of their own: nothing of them is left."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psutil

from .partition import ROOT
from .support import TestCase

# Ends its child when it is told to, as Apache does.
_PROGRAM = '''
trap 'kill $child; exit 0' TERM
sleep 1000 & child=$!
echo $$ $child > "%s"
echo hello
wait $child
wait $child
'''


class KeepTest(TestCase):
  """Each test is one way to end."""

  def setUp(self):
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix='keep-'))
    self.addCleanup(shutil.rmtree, self.folder)
    self.pids = self.folder / 'pids'
    program = self.folder / 'program'
    program.write_text('#!/bin/sh\n' + _PROGRAM % self.pids)
    program.chmod(0o700)
    self.keeper = subprocess.Popen(
      [sys.executable, '-c', 'import sys; from lapp.engine import main;'
       ' sys.exit(main())', 'keep', '--log', self.folder / 'log', program],
      env=dict(os.environ, PYTHONPATH=str(ROOT)))
    self.addCleanup(self.keeper.wait)
    self.addCleanup(self.keeper.kill)
    self.family = self.look()

  def wait_for(self, condition):
    """Wait until condition() is true, and return its value."""
    end = time.monotonic() + 60
    while not (value := condition()):
      self.assertLess(time.monotonic(), end)
      time.sleep(0.05)
    return value

  def look(self, former=()):
    """Return the program and its child, as soon as there are other ones than
    the `former`."""
    def numbers():
      found = [int(number) for number in (
        self.pids.read_text().split() if self.pids.exists() else [])]
      return len(found) == 2 and found != [
        process.pid for process in former] and found
    return [psutil.Process(number) for number in self.wait_for(numbers)]

  def assert_gone(self, family):
    """All of them end."""
    _, alive = psutil.wait_procs(family, 60)
    self.assertEqual([], alive)

  def test_sigterm(self):
    self.wait_for(lambda: 'hello' in (self.folder / 'log').read_text())
    self.keeper.send_signal(signal.SIGTERM)
    self.assertEqual(0, self.keeper.wait(60))
    self.assert_gone(self.family)
    self.assertNotIn('Traceback', (self.folder / 'log').read_text())

  def test_keeper_is_killed(self):
    self.keeper.kill()
    self.assert_gone(self.family)

  def test_program_is_killed_and_comes_again(self):
    self.family[0].kill()
    self.assert_gone(self.family)
    self.assertTrue(self.look(self.family)[1].is_running())
    self.assertIn('ended by itself', (self.folder / 'log').read_text())
