"""A partition on disk, and where the programs are."""
import json
import os
import pathlib
import shutil
import sys

from resilient import (
  authentication,
  configuration as configuration_module,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = os.path.dirname(sys.executable)
RDIFF_BACKUP = os.path.join(BIN, 'rdiff-backup')
RSYNC = shutil.which('rsync') or '/usr/bin/rsync'

SECRET = 'the secret of this tree'


def write_tree(root, content):
  """Fill directory `root` with {name: text, bytes, or None: a directory}."""
  for name, data in content.items():
    path = os.path.join(os.fsencode(root), os.fsencode(name))
    if data is None:
      os.makedirs(path, exist_ok=True)
      continue
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as output:
      output.write(data.encode() if isinstance(data, str) else data)


class Partition:
  """A partition on disk, as the profiles make it."""

  def __init__(self, path, role, options):
    self.path = path
    for name in ('srv/resilient', 'srv/live', 'var/log', 'var/run', 'etc',
                 'bin'):
      os.makedirs(os.path.join(path, name), exist_ok=True)
    self.dump = os.path.join(path, 'srv/backup/data')
    self.options = {**{
      'role': role, 'instance': role + '-instance', 'name': 'data',
      'ip': '::1', 'notifier-port': 1, 'check-interval': 1,
      'secret-file': self.at('etc/resilient-secret'),
      'state-directory': self.at('srv/resilient'),
      'dump-directory': self.dump,
      'rdiff-backup': RDIFF_BACKUP,
      'rsync': RSYNC, 'lock-deadline': 1, 'notification-deadline': 2,
      'exporter': self.at('bin/data-exporter'),
      'importer': self.at('bin/data-importer'),
      'takeover-port': 1, 'takeover-triggered': self.at('srv/triggered'),
      'takeover-password-file': self.at('etc/password'),
      'server-url': 'http://[::1]:1/', 'computer-id': 'computer',
      'partition-id': 'slappart1', 'software-release-url': 'http://[::1]/s',
      'archive-directory': self.at('srv/backup/pbs'),
      'ssh': shutil.which('ssh') or '/usr/bin/ssh',
      'ssh-private-key': self.at('etc/key'),
      'periodicity': '0 * * * *', 'export-deadline': 3600,
      'import-deadline': 3600, 'transfer-deadline': 3600,
      'remove-backup-older-than': '2W', 'verification-interval': 3600,
    }, **options}
    authentication.ensure_secret(self.options['secret-file'], SECRET)
    # What the service holds, and how it is dumped and loaded.
    self.program('data-exporter', (
      'exec %s -a --checksum --delete --exclude /.resilient "%s/" "%s"\n' % (
        RSYNC, self.at('srv/live'), self.dump)))
    self.program('data-importer', (
      'chmod -R u+w "{0}" && rm -rf "{0}" && exec cp -a "{1}" "{0}"\n'.format(
        self.at('srv/live'), self.dump)))
    self.configure()

  def at(self, name):
    """Return the path of `name` in the partition."""
    return os.path.join(self.path, name)

  def configure(self, **options):
    """Change options, as the profile would."""
    self.options.update(options)
    path = self.at('etc/resilient.json')
    pathlib.Path(path + '.new').write_text(json.dumps(self.options))
    os.rename(path + '.new', path)
    self.configuration = configuration_module.load(path)
    self.configuration.store.create()
    return self.configuration

  def program(self, name, text):
    """Make bin/`name` a shell script."""
    path = self.at('bin/' + name)
    pathlib.Path(path).write_text('#!/bin/sh\n' + text, encoding='utf-8')
    os.chmod(path, 0o700)
    return path

  def serve(self, content):
    """Let the service hold `content`, and nothing else."""
    shutil.rmtree(self.at('srv/live'))
    write_tree(self.at('srv/live'), {'': None, **content})

  def command(self, name):
    """Return the command line of ``bin/<name>``."""
    return [sys.executable, '-m', 'resilient.command', name,
            '--configuration', self.at('etc/resilient.json')]

  def read(self, name):
    """Return the text of file `name` of the partition."""
    return pathlib.Path(self.at(name)).read_text(encoding='utf-8')
