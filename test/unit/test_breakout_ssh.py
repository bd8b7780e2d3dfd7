"""Break out of the gates by what ssh offers beside commands.

test_gate.py says what a key can do; here somebody who has it tries the rest,
with a real sshd.
"""
import os
import pathlib
import socket
import subprocess

from resilient.ssh import Remote

from .breakout import BreakOutCase
from .partition import write_tree
from .support import wait_until
from .tree import render, SSHD


class TestSshd(BreakOutCase):
  """What ssh offers beside commands."""

  def test_no_shell_no_terminal_no_subsystem(self):
    touch = 'touch ' + self.proof
    for sshd in self.both():
      for arguments in (
          ('--', touch), ('-tt',), ('-s', '--', 'sftp'),
          ('--', 'generation;status;' + touch), ('--', 'status\n' + touch),
          ('--', '$(%s)' % touch)):
        result = self.attempt(sshd, *arguments, input=touch.encode() + b'\n',
                              stdin=None)
        self.assertNotEqual(result.returncode, 0, arguments)
        self.assertFalse(os.path.exists(self.proof), arguments)

  def test_the_terminal_is_refused(self):
    for sshd in self.both():
      result = self.attempt(sshd, '-tt', '--', 'generation')
      self.assertIn(b'PTY allocation request failed', result.stdout)

  def test_no_environment_is_passed_on(self):
    environment = dict(
      os.environ, LD_PRELOAD=self.path('x.so'), PYTHONPATH=self.path('evil'),
      PYTHONSTARTUP=self.path('evil.py'), LC_EVIL='x', BASH_ENV=self.proof)
    write_tree(self.path('evil'), {'resilient/__init__.py': (
      'open(%r, "w").close()\n' % self.proof)})
    for sshd in self.both():
      self.attempt(sshd, '-o', 'SendEnv=*', '-o', 'SetEnv=PYTHONPATH=%s'
                   % self.path('evil'), '--', 'status', env=environment)
      self.assertFalse(os.path.exists(self.proof))

  def test_sftp_and_scp_copy_nothing(self):
    for sshd in self.both():
      options = self.ssh_command(sshd, host=False)[1:]
      options = ['-P' if word == '-p' else word for word in options]
      there = '%s@[::1]:' % self.ssh_command(sshd)[-1].partition('@')[0]
      for command in (['scp', '-O'], ['scp', '-s'], ['sftp', '-b', '-']):
        copy = [] if command[0] == 'sftp' else [
          self.pbs.at('etc/key'), there + self.proof]
        if command[0] == 'sftp':
          copy = [there]
        result = subprocess.run(
          [command[0], *options, *command[1:], *copy], timeout=60,
          input=b'put %s %s\n' % (self.pbs.at('etc/key').encode(),
                                  self.proof.encode()),
          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        for name in ('host_key', 'sshd.conf'):
          subprocess.run(
            ['scp', *options, there + sshd.partition.at('etc/' + name),
             self.proof], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60)

  def test_nothing_is_forwarded(self):
    inside = socket.create_server(('::1', 0), family=socket.AF_INET6)
    self.addCleanup(inside.close)
    inside.settimeout(0)
    port = inside.getsockname()[1]
    local = socket.socket(socket.AF_UNIX)
    self.addCleanup(local.close)
    local.bind(self.path('inside'))
    local.listen()
    local.settimeout(0)
    for sshd in self.both():
      for options in (
          ('-W', '[::1]:%d' % port),
          ('-o', 'ExitOnForwardFailure=yes', '-R', '0:[::1]:%d' % port, '-N'),
          ('-o', 'ExitOnForwardFailure=yes', '-R',
           '%s:[::1]:%d' % (self.proof, port), '-N'),
          ('-o', 'ExitOnForwardFailure=yes', '-w', 'any:any', '-N'),
          ('-o', 'Tunnel=ethernet', '-w', 'any:any', '--', 'status')):
        result = self.attempt(sshd, *options, input=b'', stdin=None)
        if '--' not in options:
          self.assertNotEqual(result.returncode, 0, options)
        for server in (inside, local):
          with self.assertRaises(BlockingIOError):
            server.accept()
      for target in ('[::1]:%d' % port, self.path('inside')):
        self._closed_at_once(sshd, target)
      for server in (inside, local):
        with self.assertRaises(BlockingIOError):
          server.accept()

  def _closed_at_once(self, sshd, target):
    """A connection that ssh forwards to `target` is closed: our end is open,
    for ssh opens it before it asks."""
    ours = self.path('ours')
    pathlib.Path(ours).unlink(missing_ok=True)
    self.start(
      [*self.ssh_command(sshd, host=False), '-N', '-L',
       '%s:%s' % (ours, target), self.ssh_command(sshd)[-1]],
      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def closed():
      with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
          client.connect(ours)
          client.sendall(b'x')
          return client.recv(1) == b''
        except FileNotFoundError:
          return False
        except OSError:
          return True

    wait_until(closed, 'the forwarded connection is closed')

  def test_no_agent_and_no_display_arrive(self):
    agent = self.path('agent')
    self.start(['ssh-agent', '-D', '-a', agent], stdout=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(agent), 'the agent listens')
    environment = dict(os.environ, SSH_AUTH_SOCK=agent, DISPLAY=':99')
    for sshd in self.both():
      seen = self.path('seen')
      # The gate itself is replaced: it tells what a program here would see.
      good = pathlib.Path(sshd.partition.at('bin/gate')).read_text()
      sshd.partition.program('gate', 'env > %s\n' % seen)
      self.attempt(sshd, '-A', '-Y', '--', 'x', env=environment)
      text = pathlib.Path(seen).read_text()
      sshd.partition.program('gate', good.partition('\n')[2])
      self.assertIn('SSH_ORIGINAL_COMMAND=x', text)
      self.assertNotIn('SSH_AUTH_SOCK', text)
      self.assertNotIn('DISPLAY', text)

  def test_only_keys_are_asked_for(self):
    for sshd in self.both():
      result = self.attempt(
        sshd, '-o', 'PubkeyAuthentication=no', '--', 'status')
      self.assertEqual(result.returncode, 255)
      self.assertIn(b'Permission denied (publickey)', result.stdout)

  def test_a_key_brings_no_options_with_it(self):
    public = subprocess.run(
      ['ssh-keygen', '-y', '-f', self.pbs.at('etc/key')], check=True,
      stdout=subprocess.PIPE, encoding='ascii').stdout.split()
    sshd = self.leader_sshd
    path = pathlib.Path(sshd.partition.at('etc/authorized_keys'))
    for evil in ('pty,command="sh"', 'restrict', 'cert-authority', '#'):
      for words in ([evil, *public[:2]], [evil, public[1]],
                    ['ssh-ed25519', evil + '\n', *public[:2]]):
        path.write_text(render(
          'authorized_keys.in', authorized_key=' '.join(words),
          gate=sshd.partition.at('bin/gate')))
        for line in path.read_text().splitlines():
          self.assertTrue(not line or line.startswith('restrict,command="'))
        result = self.attempt(sshd, '--', 'touch ' + self.proof)
        self.assertIn(result.returncode, (1, 255))

  def test_sshd_itself_says_so(self):
    for sshd in self.both():
      said = subprocess.run(
        [SSHD, '-T', '-f', sshd.partition.at('etc/sshd.conf')], timeout=60,
        stdout=subprocess.PIPE, check=True, encoding='utf-8').stdout.lower()
      for line in ('disableforwarding yes', 'permittty no', 'permittunnel no',
                   'permituserrc no', 'permituserenvironment no',
                   'passwordauthentication no', 'x11forwarding no'):
        self.assertIn(line + '\n', said)
      self.assertNotIn('subsystem', said)
      self.assertNotIn('acceptenv', said)

  def test_some_that_only_connect_keep_out_nobody_of_their_address(self):
    for _ in range(30):
      client = socket.create_connection(('::1', self.leader_sshd.port), 20)
      self.addCleanup(client.close)
      self.assertEqual(client.recv(4), b'SSH-')
    self.peers_are_known()
    configuration = self.pbs.configuration
    remote = Remote(configuration, configuration.peers()[0][0])
    for _ in range(5):
      self.assertIn('generation', remote.ask('generation'))

  def test_who_only_connects_keeps_no_pbs_out(self):
    sshd = self.leader_sshd
    sshd.stop()
    path = sshd.partition.at('etc/sshd.conf')
    with open(path, 'a', encoding='ascii') as output:
      output.write('ListenAddress 127.0.0.1:%d\n' % sshd.port)
    sshd.start()
    held = []
    for _ in range(150):
      client = socket.create_connection(('127.0.0.1', sshd.port), 20)
      self.addCleanup(client.close)
      # Others are told so at once.
      if client.recv(4) == b'SSH-':
        held.append(client)
    self.peers_are_known()
    configuration = self.pbs.configuration
    remote = Remote(configuration, configuration.peers()[0][0])
    self.assertIn('generation', remote.ask('generation'))
    self.assertLess(len(held), 100)
