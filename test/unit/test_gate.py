"""The gate: what the key of a PBS can do, and all that it cannot."""
import contextlib
import io
import os
import socket
import subprocess
from unittest import mock

from resilient import exporter, gate, push
from resilient.archive import Archive
from resilient.durable import is_locked
from resilient.process import Failed
from resilient.ssh import Remote

from .partition import RDIFF_BACKUP
from .support import TestCase, wait_until
from .tree import TreeCase

_RECEIVE = ['rsync', '--server', '-lHtprSe.iLsfxCIvu', '--specials',
            '--delete', '--partial', '--numeric-ids', '--fsync', '.']


class TestRequests(TestCase):
  """Requests, without ssh."""

  def refused(self, role, request):
    """Return why the gate of `role` refuses `request`."""
    answer = {'export': gate.leader_gate, 'import': gate.clone_gate}[role]
    with self.assertRaises((gate.Denied, ValueError)) as caught:
      answer(self.partition(role).configuration, request)
    return str(caught.exception)

  def test_a_leader_answers_two_requests_and_no_other(self):
    for request in (
        'sh', 'bash -i', 'id; generation', 'generation; id',
        'generation\nid', ' generation', 'GENERATION', 'status', 'accept {}',
        'rdiff-backup server --restrict-mode read-write',
        'rdiff-backup', 'rdiff-backup --server', 'scp -t /tmp', 'scp -f /etc',
        '/usr/lib/openssh/sftp-server', 'internal-sftp', *map(' '.join, (
          _RECEIVE + ['/tmp'], ['rsync', '--server', '--sender', '.', '/']))):
      with self.subTest(request):
        self.assertIn('can be pulled from, and nothing else',
                      self.refused('export', request))

  def test_a_frozen_leader_answers_nothing(self):
    frozen = self.partition('frozen').configuration
    for request in ('', 'generation', 'rdiff-backup server', 'status'):
      with mock.patch.dict(os.environ, SSH_ORIGINAL_COMMAND=request), \
           self.assertLogs('resilient.gate') as logs, \
           contextlib.redirect_stderr(io.StringIO()):
        self.assertEqual(gate.main(frozen), 1)
      self.assertIn('it is frozen', logs.output[0])

  def test_a_clone_answers_no_other_program(self):
    for request in (
        'sh', 'bash -i', 'generation', 'rdiff-backup', 'scp -t x',
        '/usr/lib/openssh/sftp-server', 'rsync --daemon .', 'rsync',
        'rsync --server', 'status; id', 'x ' + ' '.join(_RECEIVE), "rsync '",
        'rsync --server -e.x id x', '/tmp/rsync --server . x'):
      with self.subTest(request):
        self.assertRegex(self.refused('import', request),
                         'and nothing else|cannot be read')

  def test_a_clone_allows_no_option_that_a_push_does_not_have(self):
    for option in (
        '--sender', '--daemon', '--rsh=id', '-e', '--config=/tmp/x',
        '--log-file=/tmp/x', '--files-from=/etc/passwd', '--temp-dir=/tmp',
        '--backup-dir=/tmp', '--partial-dir=/tmp', '--link-dest=/etc',
        '--copy-dest=/etc', '--write-devices', '--copy-devices',
        '--remove-source-files', '-L', '--copy-unsafe-links', '--keep-dirlinks',
        '-K', '-lHtprSKe.iLs', '--munge-links', '--super', '--usermap=*:root',
        '--chmod=a+s', '--rsync-path=id', '.', '/tmp', '--delete=1'):
      with self.subTest(option):
        words = _RECEIVE[:3] + [option] + _RECEIVE[3:] + ['/']
        self.assertIn('option %s of rsync is not allowed' % option,
                      self.refused('import', ' '.join(words)))

  def test_what_is_accepted_must_be_a_generation(self):
    for value in ('', '{', '[]', '1', '{"epoch": 1}', '"x"'):
      with self.subTest(value):
        self.refused('import', 'accept ' + value)


class TestSsh(TreeCase):
  """The same door, knocked at from outside."""

  def setUp(self):
    super().setUp()
    self.source, self.remote = (
      Remote(self.pbs.configuration, peer)
      for peer in self.pbs.configuration.peers()[0])

  def test_no_key_of_a_pbs_opens_a_shell(self):
    for sshd in (self.leader_sshd, self.clone_sshd):
      result = self.ssh(sshd, 'touch %s' % self.path('shell'))
      self.assertEqual(result.returncode, 1)
      self.assertIn('and nothing else', result.stdout)
      # Without a request: rdiff-backup's server, or nothing.
      result = subprocess.run(
        self.ssh_command(sshd), input='touch %s\n' % self.path('shell'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
        timeout=60)
      self.assertEqual(result.returncode, 1)
      self.assertRegex(result.stdout, 'ConnectionReadError|upgrade this PBS')
    self.assertFalse(os.path.exists(self.path('shell')))

  def test_no_key_of_a_pbs_copies_files(self):
    for option in ('-O', '-s'):
      result = subprocess.run(
        ['scp', option, '-F', self.remote.path, self.pbs.at('etc/key'),
         'push-data:' + self.path('copied')], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
      self.assertNotEqual(result.returncode, 0)
    self.assertFalse(os.path.exists(self.path('copied')))

  def test_no_port_is_forwarded(self):
    with socket.create_server(('::1', 0), family=socket.AF_INET6) as inside:
      inside.settimeout(0)
      self.ssh(self.leader_sshd, '-W', '[::1]:%d' % inside.getsockname()[1])
      with self.assertRaises(BlockingIOError):
        inside.accept()

  def test_another_key_is_not_let_in(self):
    os.unlink(self.pbs.at('etc/key'))
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f',
                    self.pbs.at('etc/key')], check=True)
    self.export({'marker': 'one'})
    result = self.ssh(self.leader_sshd, 'generation')
    self.assertEqual(result.returncode, 255)
    self.assertIn('Permission denied', result.stdout)

  def remote_rdiff_backup(self, *arguments):
    """Run rdiff-backup through the gate of the leader; what it is to find
    there comes last."""
    *arguments, path = arguments
    return subprocess.run(
      [RDIFF_BACKUP, '--api-version', '201', '--remote-schema',
       ' '.join(self.source.command) + ' {h} rdiff-backup server',
       *arguments, '%s::%s' % (self.source.alias, path)],
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, encoding='utf-8', timeout=60)

  def test_rdiff_backup_may_not_write(self):
    self.export({'marker': 'one'})
    os.mkdir(self.path('evil'))
    with open(self.path('evil', 'marker'), 'w', encoding='ascii') as output:
      output.write('evil')
    for target in (self.leader.dump, self.leader.dump + '/new'):
      result = self.remote_rdiff_backup(
        '--force', 'backup', self.path('evil'), target)
      self.assertNotEqual(result.returncode, 0, result.stdout)
      self.assertRegex(result.stdout, 'iolat|restrict')
    self.assertSame(self.leader.dump, {'marker': 'one'})

  def test_rdiff_backup_reads_nothing_but_the_dump(self):
    self.archived({'marker': 'one'})
    for outside in (self.leader.at('etc'), self.leader.dump + '/../../../etc'):
      with self.subTest(outside):
        peer = self.source.peer._replace(path=outside)
        with self.assertRaises(Failed):
          Archive(self.pbs.configuration, 'stolen').pull(
            Remote(self.pbs.configuration, peer))
        self.assertFalse(os.path.exists(
          self.pbs.at('srv/backup/pbs/stolen/host_key')))

  def test_rsync_writes_into_the_staging_area_whatever_it_asks_for(self):
    os.mkdir(self.path('evil'))
    with open(self.path('evil', 'key'), 'w', encoding='ascii') as output:
      output.write('evil')
    before = self.clone.read('etc/authorized_keys')
    for target in (self.clone.at('etc') + '/', '../../etc/', '/'):
      result = subprocess.run(
        [self.clone.options['rsync'], '--rsh', ' '.join(self.remote.command),
         *(option for option in push.RSYNC_OPTIONS if option != '--delete'),
         self.path('evil') + '/', 'push-data:' + target],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=60)
      self.assertEqual(result.returncode, 0, result.stdout)
    self.assertFalse(os.path.exists(self.clone.at('etc/key')))
    self.assertEqual(self.clone.read('etc/authorized_keys'), before)
    self.assertEqual(
      os.listdir(self.clone.configuration.state('staging')), ['key'])

  def test_rsync_reads_nothing(self):
    for target in ('etc/host_key', self.clone.at('etc/host_key')):
      subprocess.run(
        [self.clone.options['rsync'], '--rsh', ' '.join(self.remote.command),
         'push-data:' + target, self.path('stolen')],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=60)
    self.assertFalse(os.path.exists(self.path('stolen')))

  def test_no_export_begins_while_the_dump_is_read(self):
    self.export({'marker': 'one'})
    reader = self.start(
      self.ssh_command(self.leader_sshd) + [gate.RDIFF_BACKUP],
      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL)
    self.addCleanup(reader.stdin.close)
    dump_lock = self.leader.configuration.state('dump.lock')
    wait_until(lambda: is_locked(dump_lock), 'the dump is being read')
    self.assertEqual(exporter.main(self.leader.configuration), 1)
    reader.stdin.close()
    wait_until(lambda: not is_locked(dump_lock), 'the dump is free again')
    self.assertEqual(exporter.main(self.leader.configuration), 0)
