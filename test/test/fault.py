"""What the stories of faults have in common."""
import contextlib
import os

from . import ResilientTestCase
from .checker import Checker
from .network import Proxy, redirected
from .node import wait_until

_RECORD = 1 << 18
_RECORDS = 12


class FaultCase(ResilientTestCase):
  """One tree, and what must hold after each story."""

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root instance: what failed is soon tried
    again."""
    return dict(super().getInstanceParameterDict(),
                **{'resiliency-check-interval': '10'})

  def setUp(self):
    super().setUp()
    # What other stories of this tree left is known, and everywhere.
    self.checker = Checker(self.tree)
    self.checker.export()
    self.checker.check_clones(120)

  def write_much(self, story):
    """Write some megabytes of new data; return how many bytes."""
    for number in range(_RECORDS):
      key = '%s %d' % (story, number)
      self.checker.write(key, os.urandom(_RECORD).hex())
      self.assertIn(key, self.checker.written)
    return _RECORDS * _RECORD * 2

  @contextlib.contextmanager
  def between(self, node, port):
    """Yield a Proxy on the way from `node` to the `port` of another."""
    with Proxy(port) as proxy, redirected(node, port, proxy.port):
      yield proxy
      proxy.heal()

  def wait_for_failure(self, node, task, past):
    """Wait until `task` of `node` has failed, as its log says after position
    `past`; return the line."""
    def failures():
      return [line for line in node.log()[past:].splitlines()
              if '%s failed: ' % task in line]
    return wait_until(failures, 90, 'failure of %s of %r' % (task, node),
                      self.tree.diagnosis)[0]


def ssh_port(node):
  """Return the port of the sshd of a leader or a clone."""
  return int(node.parameters['resilient-ssh-url'].partition(']:')[2]
             .partition('/')[0])


def notifier_port(node):
  """Return the port at which a node takes hints."""
  return int(node.parameters['notification-url'].partition(']:')[2]
             .partition('/')[0])
