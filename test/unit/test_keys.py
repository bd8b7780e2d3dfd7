"""Keys are made once, and peers can use them."""
import os
import subprocess

from resilient import keys

from .support import killed_before, TestCase
from .tree import SSH_KEYGEN


class TestKeys(TestCase):
  """keys.ensure"""

  def ensure(self):
    """Make the key, or find it; return its public half."""
    return keys.ensure(self.path('ssh', 'key'), 'comment', SSH_KEYGEN)

  def test_the_public_half_belongs_to_the_private_one(self):
    public = self.ensure()
    self.assertRegex(public, r'^ssh-ed25519 [A-Za-z0-9+/=]+$')
    found = subprocess.run(
      [SSH_KEYGEN, '-y', '-f', self.path('ssh', 'key')], check=True,
      stdout=subprocess.PIPE, encoding='ascii').stdout
    self.assertTrue(found.startswith(public))

  def test_a_key_that_is_there_is_never_replaced(self):
    self.assertEqual(self.ensure(), self.ensure())

  def test_one_that_is_empty_after_a_crash_of_the_machine_is_made_again(self):
    self.ensure()
    os.truncate(self.path('ssh', 'key'), 0)
    self.assertEqual(self.ensure(), self.ensure())

  def test_it_is_private(self):
    self.ensure()
    self.assertEqual(os.stat(self.path('ssh', 'key')).st_mode & 0o077, 0)

  def test_a_kill_at_any_moment_leaves_a_key_or_none(self):
    for number in range(1, 30):
      died = killed_before(number, self.ensure)
      self.assertTrue(self.ensure())
      if not died:
        return
      os.unlink(self.path('ssh', 'key'))
    self.fail('it never completes')
