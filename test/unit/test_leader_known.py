"""The root instance, rendered, and run by buildout at a real slapproxy:
it never makes a second leader."""
import os
import pathlib
import subprocess

import jinja2
import slapos.slap

from .partition import BIN, ROOT
from .proxy import COMPUTER, Proxy, SOFTWARE
from .support import TestCase

_PROFILE = '''
[buildout]
parts = request-data
offline = true

[slap-connection]
server-url = %s
software-release-url = %s
key-file =
cert-file =
computer-id = %s
partition-id = slappart0
'''
_RETURNED = ('ssh-public-key', 'resilient-ssh-url', 'notification-id', 'ip')


class TestLeaderKnown(TestCase):
  """template-replicated.cfg.in, of a leader without clones."""

  def setUp(self):
    super().setUp()
    self.proxy = Proxy(self, self.directory)
    self.slap = slapos.slap.slap()
    self.slap.initializeConnection(self.proxy.url)
    self.slap.registerOpenOrder().request(SOFTWARE, 'root')
    os.mkdir(self.path('root'))
    environment = jinja2.Environment(
      loader=jinja2.FileSystemLoader(ROOT), extensions=['jinja2.ext.do'])
    macro = environment.get_template('template-replicated.cfg.in').module
    pathlib.Path(self.path('root/buildout.cfg')).write_text(
      _PROFILE % (self.proxy.url, SOFTWARE, COMPUTER) + macro.replicate(
        'data', '1', 'data-export', 'data-import'), encoding='utf-8')

  def process(self):
    """Process the root instance; return whether it succeeded."""
    return subprocess.run(
      [os.path.join(BIN, 'buildout'), '-q'], cwd=self.path('root'), timeout=120,
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, check=False).returncode == 0

  def leader(self):
    """Return the leader at the master."""
    return self.slap.registerComputerPartition(COMPUTER, 'slappart1')

  def test_it_is_allocated_once_and_found_ever_after(self):
    # It publishes nothing yet.
    self.assertFalse(self.process())
    self.assertEqual(self.proxy.titled('data0'), ['slappart1'])
    self.leader().setConnectionDict(dict.fromkeys(_RETURNED, 'x'))
    for _ in range(3):
      self.assertTrue(self.process())
    self.assertEqual(self.proxy.titled('data0'), ['slappart1'])
    before = self.proxy.instances()
    # Nobody has its name: the moment between the two renames of a takeover.
    self.leader().rename('broken')
    for _ in range(3):
      self.assertFalse(self.process())
    self.assertEqual(self.proxy.instances().keys(), before.keys())
    self.leader().rename('data0')
    self.assertTrue(self.process())
    self.assertEqual(self.proxy.instances(), before)
