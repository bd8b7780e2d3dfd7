"""Leader, PBS and clone in one place, over a real sshd each or, where a test is
not about ssh, straight to the gate."""
import os
import pathlib
import pwd
import shlex
import shutil
import socket
import subprocess

import jinja2

from resilient import clone, exporter, importer, keys, pull, push
from resilient.archive import Archive
from resilient.manifest import compare, read
from resilient.ssh import Remote

from ..ports import free_port
from .partition import ROOT
from .support import end, TestCase, wait_until

SSHD = shutil.which('sshd', path=os.environ['PATH'] + ':/usr/sbin')
SSH_KEYGEN = shutil.which('ssh-keygen') or '/usr/bin/ssh-keygen'
USER = pwd.getpwuid(os.getuid()).pw_name


def listens(port):
  """Whether something listens at `port` of ::1."""
  try:
    socket.create_connection(('::1', port), 5).close()
  except OSError:
    return False
  return True


def render(name, **values):
  """Return the text of templates/`name`, rendered."""
  text = (ROOT / 'templates' / name).read_text(encoding='utf-8')
  return jinja2.Template(text, keep_trailing_newline=True).render(**values)


def make_gate(partition):
  """Return the path of ``bin/gate`` of `partition`."""
  return partition.program('gate', (
    'PYTHONPATH=%s exec %s --log %s\n' % (
      shlex.quote(str(ROOT)), shlex.join(partition.command('gate')),
      partition.at('var/log/gate.log'))))


class Direct:
  """Stands for the sshd of `partition` where there is none."""

  host_key = 'ssh-ed25519 AAAA'

  def __init__(self, partition):
    self.url = 'ssh://%s@[::1]:1%s' % (USER, partition.dump)
    make_gate(partition)


class Sshd:
  """An sshd of `partition`, as the profile makes it, that lets in `key`."""

  def __init__(self, test, partition, key):
    self.partition = partition
    self.host_key = keys.ensure(partition.at('etc/host_key'), '', SSH_KEYGEN)
    self.port = free_port()
    gate = make_gate(partition)
    self._write('etc/authorized_keys', render(
      'authorized_keys.in', authorized_key=key, gate=gate))
    self._write('etc/sshd.conf', render(
      'sshd.conf.in', address='::1', port=self.port,
      host_key=partition.at('etc/host_key'),
      authorized_keys=partition.at('etc/authorized_keys'),
      run_directory=partition.at('var/run')))
    if not os.getuid():
      os.makedirs('/run/sshd', exist_ok=True)
    self.test = test
    self.start()

  def _write(self, name, text):
    pathlib.Path(self.partition.at(name)).write_text(text, encoding='utf-8')

  def start(self):
    """Start it, and wait until it listens."""
    log = self.partition.at('var/log/sshd.log')
    self.process = self.test.start(
      [SSHD, '-D', '-f', self.partition.at('etc/sshd.conf'), '-E', log])
    wait_until(lambda: listens(self.port), lambda: 'sshd listens: '
               + pathlib.Path(log).read_text(encoding='utf-8'))

  def stop(self):
    """End it; connections are refused from now on."""
    end(self.process)

  @property
  def url(self):
    """The ``resilient-ssh-url`` of the partition."""
    return 'ssh://%s@[::1]:%d%s' % (USER, self.port, self.partition.dump)


class TreeCase(TestCase):
  """A leader ``self.leader``, its PBS ``self.pbs`` and ``self.clone``."""

  over_ssh = True

  def setUp(self):
    super().setUp()
    self.leader = self.partition('export')
    self.clone = self.partition('import')
    self.pbs = self.partition('pull-backup')
    if self.over_ssh:
      key = keys.ensure(self.pbs.at('etc/key'), '', SSH_KEYGEN)
      self.leader_sshd = Sshd(self, self.leader, key)
      self.clone_sshd = Sshd(self, self.clone, key)
      self.configure()
    else:
      self.leader_sshd, self.clone_sshd = map(
        Direct, (self.leader, self.clone))
      # Called with: -F, a file, an alias, and what is asked.
      self.configure(ssh=self.pbs.program('ssh', (
        'test "$3" = pull-data && gate=%s || gate=%s\n'
        'shift 3\nSSH_ORIGINAL_COMMAND="$*" exec "$gate"\n' % (
          self.leader.at('bin/gate'), self.clone.at('bin/gate')))))

  def configure(self, **options):
    """Tell the PBS who its peers are."""
    self.pbs.configure(**{'shared-instances': [
      {'type': kind, 'name': 'data', 'url': sshd.url,
       'server-key': sshd.host_key}
      for kind, sshd in (('pull', self.leader_sshd),
                         ('push', self.clone_sshd))], **options})

  def peers_are_known(self):
    """Let the PBS have known its peers for long."""
    for peer in self.pbs.configuration.peers()[0]:
      Remote(self.pbs.configuration, peer)
    directory = self.pbs.configuration.state('ssh')
    for name in os.listdir(directory):
      os.utime(os.path.join(directory, name), (1e9, 1e9))

  @property
  def archive(self):
    """The Archive of the PBS."""
    return Archive(self.pbs.configuration, 'data')

  def run_task(self, kind):
    """Run ``pull-data``, ``push-data`` or ``prune-data`` once."""
    configuration = self.pbs.configuration
    peer, = (peer for peer in configuration.peers()[0]
             if peer.kind == ('push' if kind == 'push' else 'pull'))
    return {'pull': pull.task, 'push': push.task,
            'prune': pull.prune_task}[kind](configuration, peer)

  def message(self, task='pull-data'):
    """Return what the last run of `task` of the PBS says of itself."""
    run = self.pbs.configuration.store.last_run(task)
    return run and run.message

  def export(self, content):
    """Have the service hold `content`, and seal it."""
    self.leader.serve(content)
    self.assertEqual(exporter.main(self.leader.configuration), 0)

  def export_link(self):
    """Have the service hold a link beside what it holds, and seal all."""
    os.symlink('marker', self.leader.at('srv/live/link'))
    self.assertEqual(exporter.main(self.leader.configuration), 0)

  def archived(self, content):
    """Bring `content` from the service to the archive."""
    self.export(content)
    self.assertTrue(self.run_task('pull'), self.message())

  def cycle(self, content):
    """Bring `content` from the service to the clone's service."""
    self.archived(content)
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))

  def imported(self):
    """Return the label of what the clone's service holds."""
    found = clone.imported(self.clone.configuration)[0]
    return found and found.label

  def assertSame(self, root, content):
    """Directory `root` is sealed, intact, and holds `content`, all of it."""
    self.assertEqual(compare(root, read(root)), [])
    found = {}
    for directory, _, names in os.walk(root):
      for name in names:
        path = os.path.join(directory, name)
        if not os.path.relpath(path, root).startswith(
            ('.resilient', 'rdiff-backup-data')):
          found[os.path.relpath(path, root)] = pathlib.Path(path).read_text(
            encoding='utf-8')
    self.assertEqual(found, content)

  def ssh(self, sshd, *arguments, **keywords):
    """Run ssh with the key of the PBS; return the CompletedProcess."""
    return subprocess.run(
      self.ssh_command(sshd) + list(arguments), stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
      errors='replace', timeout=60, **keywords)

  def ssh_command(self, sshd, host=True):
    """Return the ssh command line that reaches `sshd`."""
    return ['ssh', '-F', '/dev/null', '-p', str(sshd.port), '-i',
            self.pbs.at('etc/key'), '-o', 'StrictHostKeyChecking=no',
            '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR',
            '-o', 'BatchMode=yes', *(('%s@::1' % USER,) if host else ())]
