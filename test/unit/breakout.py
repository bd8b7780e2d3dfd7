"""Somebody has a key of a PBS, and tries what it is not for."""
import os
import subprocess

from .tree import TreeCase


class BreakOutCase(TreeCase):
  """A tree, and a file that nobody may make."""

  def setUp(self):
    super().setUp()
    self.proof = self.path('proof')
    self.addCleanup(self._nothing_was_done)

  def _nothing_was_done(self):
    self.assertFalse(os.path.lexists(self.proof))

  def both(self):
    """Yield the sshd of leader and of clone."""
    for sshd in (self.leader_sshd, self.clone_sshd):
      with self.subTest(sshd.partition.options['role']):
        yield sshd

  def attempt(self, sshd, *arguments, **keywords):
    """Run ssh with options before the host; return its CompletedProcess."""
    command = self.ssh_command(sshd, host=False)
    host, = set(self.ssh_command(sshd)) - set(command)
    options = [word for word in arguments if word is not None]
    index = options.index('--') if '--' in options else len(options)
    return subprocess.run(
      [*command, *options[:index], host, *options[index + 1:]],
      **{'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE,
         'stderr': subprocess.STDOUT, 'timeout': 60, **keywords})
