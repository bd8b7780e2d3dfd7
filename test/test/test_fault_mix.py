"""Scenario 22: a random mix of faults, and at the end nothing is lost.

RESILIENT_SOAK_SECONDS says how long (``make soak``: hours), RESILIENT_SOAK_SEED
which mix; it is printed.
"""
import contextlib
import os
import random
import subprocess
import time
import unittest

import psutil

from . import set_up_module as setUpModule  # noqa: F401
from .checker import Checker
from .clock import YEAR
from .fault import FaultCase, notifier_port, ssh_port

_SECONDS = float(os.environ.get('RESILIENT_SOAK_SECONDS', 120))
_TRANSFERS = ('ssh', 'rdiff-backup', 'rsync')


class MixTest(FaultCase):
  """Faults begin and end at random, several at a time, while data is written
  and exported."""

  # The title of who has a program that fails.
  failing = None
  # Whether who leads now has exported.
  exported = True

  def setUp(self):
    super().setUp()
    seed = int(os.environ.get('RESILIENT_SOAK_SEED', random.randrange(1 << 32)))
    print('\nRESILIENT_SOAK_SEED=%d' % seed)
    self.checker = Checker(self.tree, seed)
    self.random = self.checker.random
    self.checker.export()
    self.checker.check_clones(120)

  def any_node(self):
    """Return the leader, a clone or a PBS."""
    return self.random.choice(
      [self.tree.leader, *self.tree.clones(), *self.tree.all_pbs()])

  @contextlib.contextmanager
  def service_down(self):
    """A service is killed, and started again later."""
    node = self.any_node()
    service = self.random.choice(('equeue', 'notifier', 'crond'))
    node.stop_hard(service)
    yield '%s of %s is killed' % (service, node.title)
    node.start(service)

  @contextlib.contextmanager
  def door_closed(self):
    """The sshd of a leader or a clone is down."""
    node = self.random.choice([self.tree.leader, *self.tree.clones()])
    node.stop_hard('sshd')
    yield 'sshd of %s is killed' % node.title
    node.start('sshd')

  @contextlib.contextmanager
  def transfer_killed(self):
    """What a PBS runs at this moment is killed."""
    pbs = self.random.choice(self.tree.all_pbs())
    killed = 0
    if pbs.pid('equeue'):
      for process in psutil.Process(
          pbs.pid('equeue')).children(recursive=True):
        with contextlib.suppress(psutil.Error):
          words = process.cmdline()
          # Not a verification, which is red until the generation has its turn
          # again: after two hours.
          if any(name in ' '.join(words[:3])
                 for name in _TRANSFERS) and 'restore' not in words:
            process.kill()
            killed += 1
    yield '%d transfers of %s are killed' % (killed, pbs.title)

  @contextlib.contextmanager
  def bad_link(self):
    """The way from a PBS to its peer, or from the leader to a PBS, is bad."""
    number = self.random.randrange(1, self.tree.number)
    pbs = self.tree.pbs(number)
    node, port = self.random.choice((
      (pbs, ssh_port(self.tree.leader)),
      (pbs, ssh_port(self.tree.clone(number))),
      (self.tree.leader, notifier_port(pbs))))
    fault = self.random.choice((
      {'mode': 'refused'}, {'mode': 'silent'}, {'rate': 50000},
      {'limit': self.random.randrange(1, 300000)},
      {'flipped': self.random.randrange(1, 300000)}))
    with self.between(node, port) as proxy:
      vars(proxy).update(fault)
      yield 'the way from %s to port %d: %s' % (node.title, port, fault)

  @contextlib.contextmanager
  def program_fails(self):
    """The service's exporter, or the importer of a clone, fails."""
    node, program = self.random.choice((
      (self.tree.leader, 'data-exporter'),
      (self.random.choice(self.tree.clones()), 'data-importer')))
    put_back = node.replace(program, self.random.choice(
      ('exit 1\n', 'kill -9 $$\n')))
    self.failing = node.title
    yield '%s of %s fails' % (program, node.title)
    put_back()
    self.failing = None

  def try_to_export(self, step):
    """Write, and export, perhaps with a wrong clock; it may fail."""
    self.checker.write('mix %d' % self.random.randrange(40), str(step))
    with contextlib.suppress(AssertionError):
      self.checker.export(self.random.choice((0, 0, 0, YEAR, -YEAR)))
      return True
    return False

  def export_again(self):
    """Export, as soon as what leads has the role for it: until then a backup by
    a clock that was ahead is red."""
    if not self.exported:
      with contextlib.suppress(AssertionError, FileNotFoundError):
        self.checker.export()
        self.exported = True

  def take_over(self):
    """All clones at once are told to take over, whatever is broken; if it is
    too much for each of them, somebody insists.  One leads."""
    tree = self.tree
    if self.random.random() < .5:
      print('the leader is lost')
      tree.leader.kill_all()
    runs = {clone: subprocess.Popen(
      [clone.path / 'bin/takeover'], stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
      for clone in tree.clones()}
    said = {clone: run.communicate(timeout=300)[0]
            for clone, run in runs.items()}
    winners = [clone for clone, run in runs.items() if not run.returncode]
    if not winners:
      for text in said.values():
        self.assertIn('Refused. ', text)
      # A program that fails ends the import that it has begun; whoever insists
      # at that clone is told so, and has to repair it first.
      winners = [self.random.choice([
        clone for clone in tree.clones() if clone.title != self.failing])]
      winners[0].run('takeover', '--force')
    winner, = winners
    self.assertEqual(winner.partition, tree.roles()['data0'], said)
    self.checker.took_over(winner)
    self.exported = False
    print('%r leads, with generation %s' % (
      winner, self.checker.acknowledged[-1]))

  def test_22_random_mix_loses_nothing(self):
    faults = (self.service_down, self.door_closed, self.transfer_killed,
              self.bad_link, self.program_fails)
    start = time.monotonic()
    end = start + _SECONDS
    # Each needs another partition, and there are few.
    takeovers = 1 if _SECONDS < 600 else 3
    due = [start + _SECONDS * (number + .5) / takeovers
           for number in range(takeovers)]
    step = exports = 0
    while time.monotonic() < end:
      with contextlib.ExitStack() as stack:
        # At most one of each kind: two of a kind would undo each other.
        for fault in self.random.sample(faults, self.random.randint(1, 3)):
          print('step %d: %s' % (step, stack.enter_context(fault())))
        for _ in range(self.random.randint(1, 3)):
          step += 1
          exports += self.try_to_export(step)
          time.sleep(self.random.uniform(0, 3))
        taken_over = due and time.monotonic() > due[0]
        if taken_over:
          due.pop(0)
          self.take_over()
      if taken_over:
        self.converge(meanwhile=self.export_again)
      self.checker.check_copies()
    self.assertGreater(exports, 0)
    self.assertEqual([], due)
    self.checker.write('mix', 'the end')
    self.checker.export()
    self.checker.check(240)
    print('%d exports acknowledged in %d steps' % (exports, step))


if __name__ == '__main__':
  unittest.main()
