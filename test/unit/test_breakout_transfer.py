"""Break out of the gates by what rsync and rdiff-backup can do."""
import contextlib
import os
import pathlib
import pickle
import shlex
import shutil
import subprocess

from rdiff_backup.connection import ConnectionRequest

from resilient import (
  exporter,
  gate,
  importer,
  launch_rdiff_backup,
  manifest,
  plain_pickle,
  push,
)
from resilient.archive import Archive, Damaged
from resilient.process import Failed
from resilient.ssh import Remote

from .breakout import BreakOutCase
from .partition import RDIFF_BACKUP, write_tree


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

  def steal(self, sshd, name):
    """Pull ``etc`` of the partition of `sshd` through the link `name` in its
    dump; return what came of its host key."""
    peer = self.pbs.configuration.peers()[0][sshd is self.clone_sshd]
    archive = Archive(self.pbs.configuration, 'stolen-' + name)
    with contextlib.suppress(Failed, Damaged, manifest.InvalidManifest):
      archive.pull(Remote(self.pbs.configuration, peer._replace(
        path=os.path.join(sshd.partition.dump, name, 'etc'))))
    path = os.path.join(archive.path, 'host_key')
    return pathlib.Path(path).read_bytes() if os.path.exists(path) else b''

  def test_a_link_in_the_dump_leads_nowhere(self):
    self.leader.serve({'marker': 'one'})
    places = {'leader': self.leader_sshd, 'clone': self.clone_sshd}
    for name, sshd in places.items():
      os.symlink(sshd.partition.path, self.leader.at('srv/live/' + name))
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    for kind in ('pull', 'push'):
      self.assertTrue(self.run_task(kind), self.message(kind + '-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    for name, sshd in places.items():
      with self.subTest(name):
        self.assertTrue(os.path.islink(os.path.join(sshd.partition.dump, name)))
        self.assertEqual(self.steal(sshd, name), b'')
    self.assertTrue(self.run_task('pull'), self.message())

  def test_nor_where_the_kernel_has_no_landlock(self):
    self.leader.serve({'marker': 'one'})
    os.symlink(self.leader.path, self.leader.at('srv/live/leader'))
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.pbs.configure(ssh=self.script('ssh', 'exec %s\n' % shlex.join([
      *launch_rdiff_backup.command(RDIFF_BACKUP), '--api-version', '201',
      'server', '--restrict-mode', 'read-only', '--restrict-path',
      self.leader.dump])))
    self.assertEqual(self.steal(self.leader_sshd, 'leader'), b'')
    # What it is for, it does.
    Archive(self.pbs.configuration, 'data').pull(Remote(
      self.pbs.configuration, self.pbs.configuration.peers()[0][0]))

  def test_what_transfers_need_is_loaded(self):
    for value in ((b'a', 1, 'x', None), [{}], OSError(2, 'x'), True):
      loaded = plain_pickle.loads(pickle.dumps(value))
      self.assertEqual(repr(loaded), repr(value))
