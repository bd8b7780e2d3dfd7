"""Break out of the gates: a key of a PBS that is not used by our PBS.

test_gate.py says what a key can do; here somebody who has it tries the rest,
with a real sshd and real programs.
"""
import os
import pathlib
import pickle
import shutil
import socket
import subprocess

from rdiff_backup.connection import ConnectionRequest

from resilient import gate, push, safe_rdiff_backup
from resilient.archive import Archive
from resilient.confine import confine
from resilient.process import Failed
from resilient.ssh import Remote

from .partition import write_tree
from .support import TestCase, wait_until
from .tree import SSHD, TreeCase


class _Program:
  """Runs a program where it is unpickled."""

  def __init__(self, *command):
    self._command = command

  def __reduce__(self):
    return subprocess.call, (self._command,)


def message(value, number=0):
  """Return what one side of rdiff-backup sends the other to say `value`, or a
  pickle, in its exchange `number`."""
  data = value if isinstance(value, bytes) else pickle.dumps(value)
  return b'o' + bytes([number]) + len(data).to_bytes(7, 'big') + data


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


class TestRsync(BreakOutCase):
  """A PBS that pushes what it should not."""

  def setUp(self):
    super().setUp()
    self.remote = Remote(
      self.pbs.configuration, self.pbs.configuration.peers()[0][1])
    self.staging = self.clone.configuration.state('staging')

  def push(self, *arguments, asked=None):
    """Run rsync as a PBS; `asked`, if given, changes what the gate is asked.
    Returns the CompletedProcess."""
    rsh = ' '.join(self.remote.command)
    if asked:
      rsh = self.script('rsh', (
        'host=$1; shift; exec %s "$host" "$(printf "%%s" "$*" | sed "%s")"\n'
        % (rsh, asked)))
    return subprocess.run(
      [self.clone.options['rsync'], '--rsh', rsh, *arguments, 'push-data:'],
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, timeout=60, cwd=self.path())

  def test_links_in_the_staging_area_lead_nowhere(self):
    outside = self.path('outside')
    os.mkdir(outside)
    os.mkdir(self.path('first'))
    os.symlink(outside, self.path('first', 'door'))
    self.push(*push.RSYNC_OPTIONS, self.path('first') + '/')
    self.assertTrue(os.path.islink(os.path.join(self.staging, 'door')))
    write_tree(self.path('second'), {'door/evil': 'evil'})
    # What our rsync would send; a name without the folder it is in; and as if
    # folders were to be kept where links are.
    self.push(*push.RSYNC_OPTIONS, '--relative', '--no-implied-dirs',
              self.path('second') + '/./door/evil',
              asked='s/R\\([a-zA-Z]*e\\)/\\1/; s/ --no-implied-dirs//')
    self.assertEqual(os.listdir(outside), [])
    for option in ('--keep-dirlinks', '-K'):
      result = self.push(
        *push.RSYNC_OPTIONS, option, self.path('second') + '/')
      self.assertNotEqual(result.returncode, 0, result.stdout)
      self.assertEqual(os.listdir(outside), [])
    result = self.push(*push.RSYNC_OPTIONS, self.path('second') + '/')
    self.assertEqual(result.returncode, 0, result.stdout)
    self.assertEqual(os.listdir(outside), [])
    with open(os.path.join(self.staging, 'door', 'evil'),
              encoding='ascii') as source:
      self.assertEqual(source.read(), 'evil')

  def test_options_that_name_other_places_are_refused(self):
    write_tree(self.path('source'), {'file': 'x'})
    with open(self.path('list'), 'w', encoding='ascii') as output:
      output.write('file\n')
    for option in (
        '--log-file=' + self.proof, '--temp-dir=' + self.path(),
        '--link-dest=' + self.path(), '--files-from=' + self.path('list'),
        '--write-batch=' + self.proof, '--daemon'):
      with self.subTest(option):
        result = self.push(*push.RSYNC_OPTIONS, self.path('source') + '/',
                           asked='s,--server,--server %s,' % option)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertFalse(os.path.exists(self.proof))

  def test_other_targets_are_the_staging_area(self):
    write_tree(self.path('source'), {'file': 'x'})
    for target in (self.path(), '..', '../../etc', '/', 'module::x'):
      result = self.push(*push.RSYNC_OPTIONS, self.path('source') + '/',
                         asked='s,[.] [.]$,. %s,' % target)
      if result.returncode == 0:
        self.assertEqual(os.listdir(self.staging), ['file'])
    self.assertFalse(os.path.exists(self.path('file')))
    self.assertFalse(os.path.exists(self.clone.at('etc/file')))


class TestRdiffBackup(BreakOutCase):
  """A PBS, or a leader, that talks rdiff-backup's protocol by itself."""

  def pickles(self):
    """Yield pickles that would make the file of the proof."""
    yield _Program('touch', self.proof)
    yield b'cbuiltins\neval\n(Vopen("%s", "w")\ntR.' % self.proof.encode()
    yield b'\x80\x04\x8c\x08builtins\x8c\x10OSError.__init__\x93.'
    yield b'crdiff_backup.connection\nos.system\n(Vtouch %s\ntR.' % (
      self.proof.encode())
    yield b'crdiff_backup.connection\nsubprocess\n.'

  def test_a_leader_runs_no_program_of_a_pbs(self):
    self.export({'marker': 'one'})
    for evil in self.pickles():
      result = self.attempt(self.leader_sshd, '--', gate.RDIFF_BACKUP,
                            input=message(evil), stdin=None)
      self.assertIn(b'is no data', result.stdout)
      self.assertNotIn(b'Traceback', result.stdout)
      self.assertFalse(os.path.exists(self.proof))

  def test_a_request_of_another_kind_than_reading_is_refused(self):
    self.export({'marker': 'one'})
    said = b''
    requests = (
      ('os.system', 'touch ' + self.proof), ('os.mkdir', self.proof),
      ('eval', 'open(%r, "w")' % self.proof), ('os.symlink', '/', self.proof),
      ('shutil.rmtree', self.leader.dump), ('os.listdir', '/etc'))
    for number, (function, *arguments) in enumerate(requests):
      said += b''.join(message(part, number) for part in (
        ConnectionRequest(function, len(arguments)), *arguments))
    result = self.attempt(
      self.leader_sshd, '--', gate.RDIFF_BACKUP, input=said, stdin=None)
    self.assertEqual(
      result.stdout.count(b'WARNING: Security Violation'), len(requests))
    self.assertSame(self.leader.dump, {'marker': 'one'})

  def test_a_pbs_runs_no_program_of_a_leader(self):
    for number, evil in enumerate(self.pickles()):
      with open(self.path('evil'), 'wb') as output:
        output.write(message(evil))
      self.pbs.configure(ssh=self.script(
        'ssh', 'cat %s; exec cat > /dev/null\n' % self.path('evil')))
      remote = Remote(self.pbs.configuration,
                      self.pbs.configuration.peers()[0][0])
      with self.assertRaises(Failed) as caught:
        Archive(self.pbs.configuration, 'data').pull(remote)
      self.assertFalse(os.path.exists(self.proof), number)
      self.assertNotIn('Traceback', str(caught.exception))
      shutil.rmtree(self.pbs.at('srv/backup/pbs'), ignore_errors=True)

  def test_what_transfers_need_is_loaded(self):
    for value in ((b'a', 1, 'x', None), [{}], OSError(2, 'x'), True):
      loaded = safe_rdiff_backup._Pickle.loads(pickle.dumps(value))
      self.assertEqual(repr(loaded), repr(value))


class TestConfine(TestCase):
  """confine.confine: what the kernel still forbids to a program that was
  broken into."""

  def run_confined(self, code):
    """Return the exit status of Python `code`, confined to ``inside``."""
    os.makedirs(self.path('inside'), exist_ok=True)
    pid = os.fork()
    if not pid:
      status = 99
      try:
        status = 98 if not confine(self.path('inside')) else 0
        os.chdir(self.directory)
        exec(code, {'os': os, 'socket': socket, 'subprocess': subprocess})
      except PermissionError:
        status = 13
      finally:
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

  def setUp(self):
    super().setUp()
    if self.run_confined('') == 98:
      self.skipTest('this kernel has no Landlock')

  def test_files_inside_can_be_changed(self):
    for code in ('open("inside/a", "w").write("x")',
                 'os.mkdir("inside/d"); os.rename("inside/a", "inside/d/b")',
                 'os.link("inside/d/b", "inside/c"); os.remove("inside/c")',
                 'os.symlink("/", "inside/l"); os.mkfifo("inside/f")',
                 'open("/dev/null", "w").write("x")', 'os.listdir("/")',
                 'subprocess.run(["true"], check=True)'):
      self.assertEqual(self.run_confined(code), 0, code)

  def test_files_outside_cannot(self):
    write_tree(self.directory, {'outside/a': 'kept', 'inside/x': 'x'})
    os.symlink('../outside', self.path('inside', 'door'))
    for code in (
        'open("outside/a", "w")', 'open("outside/a", "a")',
        'open("inside/door/a", "w")', 'open("inside/door/b", "w")',
        'os.remove("inside/door/a")', 'os.mkdir("outside/d")',
        'os.rename("outside/a", "inside/a")', 'os.truncate("outside/a", 0)',
        'os.rename("inside/x", "outside/x")', 'os.symlink("/", "outside/l")',
        'os.mkfifo("outside/f")'):
      self.assertIn(self.run_confined(code), (13, 18), code)
    self.assertEqual(os.listdir(self.path('outside')), ['a'])
    self.assertEqual(self.read('outside', 'a'), 'kept')

  def test_what_it_starts_is_confined_too(self):
    code = ('raise PermissionError if subprocess.call(["sh", "-c", "echo x > '
            'outside"], stderr=-3) else OSError')
    self.assertEqual(self.run_confined(code), 13)

  def test_no_new_connections(self):
    with socket.create_server(('127.0.0.1', 0)) as server:
      self.assertEqual(self.run_confined(
        'socket.create_connection(%r)' % (server.getsockname(),)), 13)


