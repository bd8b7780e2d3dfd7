"""The stack that this one replaces: its own code, as slapos.cookbook and
slapos.toolbox still have it, in partitions like those of its profiles."""
import contextlib
import logging
import os
import pathlib
import subprocess
import threading

import pkg_resources
from slapos.recipe.pbs import Recipe
import waitress

from resilient import keys, notifier
from resilient.configuration import Watched
from resilient.status import problems

from ..ports import free_port
from .partition import BIN, RDIFF_BACKUP, write_tree
from .support import wait_until
from .tree import listens, SSH_KEYGEN, Sshd, TreeCase

_SSHD = '''\
ListenAddress [::1]:{port}
HostKey {etc}/host_key
PidFile {etc}/sshd.pid
AuthorizedKeysFile {etc}/authorized_keys
PasswordAuthentication no
UsePAM no
StrictModes no
ForceCommand {command}
'''


def _recipe(**options):
  """Return its recipe for rdiff-backup, with the master left out."""
  recipe = Recipe.__new__(Recipe)
  recipe.name, recipe.logger = 'pbs', logging.getLogger('former')
  recipe.options = {'rdiffbackup-binary': RDIFF_BACKUP, **options}
  recipe._ws_internal = pkg_resources.WorkingSet()
  return recipe


class FormerSshd(Sshd):
  """The sshd of its leaders and clones: rdiff-backup, whatever is asked for.
  `partition` is one of ours, of which nothing else is used."""

  def __init__(self, test, partition, key):
    os.makedirs(partition.dump, exist_ok=True)
    wrapper = partition.at('bin/rdiffbackup-server')
    _recipe(client='false', wrapper=wrapper, path=partition.dump)._install()
    self.command = wrapper
    super().__init__(test, partition, key)

  def _write(self, name, text):
    etc = self.partition.at('etc')
    if name == 'etc/authorized_keys':
      text = text.partition('"')[2].partition('" ')[2]
    else:
      text = _SSHD.format(port=self.port, etc=etc, command=self.command)
    super()._write(name, text)


class FormerPbs:
  """Its pull-backup server in directory `path`."""

  def __init__(self, test, path):
    self.test, self.path = test, path
    write_tree(path, dict.fromkeys((
      'etc', 'bin/pbs', 'srv/pbs', 'feeds', 'callbacks', 'promise', 'run')))
    self.key = keys.ensure(self.at('etc/id'), '', SSH_KEYGEN)
    ssh = self.at('bin/ssh')
    pathlib.Path(ssh).write_text(
      '#!/bin/sh\nexec ssh -F /dev/null -T -o "UserKnownHostsFile %s"'
      ' -o "BatchMode yes" -i %s "$@"\n' % (
        self.at('etc/known_hosts'), self.at('etc/id')), encoding='utf-8')
    os.chmod(ssh, 0o700)
    self.port = free_port()
    self.recipe = _recipe(**{
      'directory': self.at('srv/pbs'), 'sshclient-binary': ssh,
      'promises-directory': self.at('promise'),
      'wrappers-directory': self.at('bin/pbs'), 'feeds': self.at('feeds'),
      'callbacks-directory': self.at('callbacks'),
      'run-directory': self.at('run'),
      'notifier-binary': os.path.join(BIN, 'pubsubnotifier'),
      'notifier-url': 'http://[::1]:%d' % self.port})

  def at(self, name):
    """Return the path of `name`."""
    return os.path.join(self.path, name)

  def read(self, name):
    """Return the text of file `name`."""
    return pathlib.Path(self.at(name)).read_text(encoding='utf-8')

  @property
  def notification_url(self):
    """What it publishes."""
    return 'http://[::1]:%d/notify' % self.port

  def add(self, kind, sshd, on_notification='http://[::1]:1/get/x', notify=''):
    """Give it a shared instance of type `kind`, whose other side is `sshd`."""
    known = {}
    # It prints what it does.
    with contextlib.redirect_stdout(None):
      self.recipe.add_slave({
        'type': kind, 'url': sshd.url, 'server-key': sshd.host_key,
        'name': 'COMP-1-slappart0-data-1', 'title': kind + ' data',
        'notification-id': 'COMP-1-slappart0-data-1-' + kind,
        'on-notification': on_notification, 'notify': notify,
        'remove-backup-older-than': '2W'}, known)
    with open(self.at('etc/known_hosts'), 'a', encoding='utf-8') as output:
      output.writelines('%s %s\n' % item for item in known.items())

  def _script(self, kind, suffix=''):
    return self.at('bin/pbs/COMP-1-slappart0-data-1-' + kind + suffix)

  def transfer(self, kind):
    """Run what it transfers by; return the CompletedProcess."""
    return subprocess.run(
      [self._script(kind, '_raw')], stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
      errors='replace', timeout=120)

  def transfer_and_notify(self, kind):
    """Run that and what follows; return the CompletedProcess."""
    return subprocess.run(
      [self._script(kind)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, encoding='utf-8', errors='replace', timeout=120)

  def notifier(self, command, url):
    """Return a program that runs shell `command` and, if that succeeded, POSTs
    a feed of all its runs to `url`."""
    return self.recipe.createNotifier(
      notifier_binary=self.recipe.options['notifier-binary'],
      wrapper=self.at('bin/notify'), title='Dumping data',
      executable=self.test.script('former-command', command + '\n'),
      log=self.at('feeds/exporter'), notification_url=url,
      feed_url='http://[::1]:%d/get/exporter' % self.port)

  @property
  def archive(self):
    """The path of its archive."""
    return self.at('srv/pbs/COMP-1-slappart0-data-1')

  def serve(self):
    """Start its queue and its server."""
    self.test.start([
      os.path.join(BIN, 'equeue'), '--database', self.at('run/equeue.db'),
      '--logfile', self.at('equeue.log'), '--lockfile', self.at('run/equeue'),
      '--timeout', '1', self.at('run/equeue.sock')])
    wait_until(lambda: os.path.exists(self.at('run/equeue.sock')),
               'the queue of the former stack listens')
    log = open(self.at('server.log'), 'ab')
    self.test.addCleanup(log.close)
    self.test.start([
      os.path.join(BIN, 'pubsubserver'), '--callbacks', self.at('callbacks'),
      '--feeds', self.at('feeds'), '--equeue-socket',
      self.at('run/equeue.sock'), '--logfile', self.at('notifier.log'),
      '::1', str(self.port)], stdout=log, stderr=log)
    wait_until(lambda: listens(self.port), lambda: (
      'the server of the former stack listens: ' + self.read('server.log')))


def content(root):
  """Return {path: (text, mtime)} of all files below `root`."""
  found = {}
  for directory, _, names in os.walk(root):
    for name in names:
      path = pathlib.Path(directory, name)
      found[str(path.relative_to(root))] = (
        path.read_bytes(), path.stat().st_mtime_ns)
  return found


def texts(partition):
  """Return what the promises of `partition` say."""
  return ' '.join(problem.text for problem in problems(
    partition.configuration))


class Promise:
  """As much of a promise as its `problem` needs."""

  def __init__(self, partition):
    self.load = lambda: partition.configuration


@contextlib.contextmanager
def served(partition):
  """Serve the notifier of `partition`; yields its URL."""
  server = waitress.create_server(
    notifier.application(Watched(partition.configuration).current),
    host='::1', port=0)
  thread = threading.Thread(target=server.run)
  thread.start()
  try:
    yield 'http://[::1]:%s' % server.effective_port
  finally:
    server.close()
    thread.join()


class MigrationCase(TreeCase):
  """A tree that is partly of the former stack."""

  def key(self):
    """Return the public key of our PBS."""
    return keys.ensure(self.pbs.at('etc/key'), '', SSH_KEYGEN)
