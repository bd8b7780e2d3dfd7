"""What a partition was told: ``etc/resilient.json``, checked.

The file is written by the instance's profile.  Its keys are those of section
``resilient-configuration``; values may be strings, as buildout's are.
"""
import logging
import os

from . import parameter, peer
from .durable import read_json
from .task_store import TaskStore

log = logging.getLogger('resilient.configuration')


class InvalidConfiguration(Exception):
  """A parameter is wrong; the message names it, its value and the remedy."""


_REQUIRED = object()

# name: (check, default).  What a parameter of the instance says is required:
# the profile passes it on, and its default is in parameter-schema.json alone.
_COMMON = {
  'role': (parameter.text, _REQUIRED),
  # Where this package is: another release of the stack has another one.
  'code': (parameter.optional, ''),
  # Where the partition's services are, for one that goes on as that.
  'services-directory': (parameter.optional, ''),
  'instance': (parameter.text, _REQUIRED),
  'state-directory': (parameter.path, _REQUIRED),
  'ip': (parameter.text, _REQUIRED),
  'notifier-port': (parameter.port, _REQUIRED),
  # The secret of the tree, or of this instance: authentication.py.
  'secret-file': (parameter.path, _REQUIRED),
  # Seconds that a new partition may be without any backup.
  'patience': (parameter.seconds, 3 * 3600),
}
_QUEUE = {
  # Seconds between two looks of a level-triggered task.
  'check-interval': (parameter.seconds, _REQUIRED),
}
# What leads, may lead, or did.
_MEMBER = {
  'name': (parameter.name, _REQUIRED),
  'server-url': (parameter.text, _REQUIRED),
  **dict.fromkeys(('key-file', 'cert-file'), (parameter.optional, '')),
  **dict.fromkeys(('computer-id', 'partition-id'), (parameter.text, _REQUIRED)),
  'software-release-url': (parameter.text, _REQUIRED),
  # Programs of the payload: have the service take writes, or refuse them.
  **dict.fromkeys(('promoter', 'fencer'), (parameter.optional, '')),
  **dict.fromkeys(('promoter-deadline', 'fencer-deadline'),
                  (parameter.seconds, 60)),
}
_DUMP = {
  **_QUEUE,
  **_MEMBER,
  'dump-directory': (parameter.path, _REQUIRED),
  'rdiff-backup': (parameter.path, _REQUIRED),
  'rsync': (parameter.path, _REQUIRED),
}
_ROLES = {
  'export': {
    **_DUMP,
    'exporter': (parameter.path, _REQUIRED),
    'notify': (parameter.words, ''),
    # The feed of exports, as published.
    'notification-id': (parameter.optional, ''),
    'periodicity': (parameter.periodicity, _REQUIRED),
    # A generation is late this long after it was sealed; 0: as below.
    'maximum-age': (parameter.seconds_or_none, 0),
    # An export is late when it was not sealed this long after its time.
    'lateness-margin': (parameter.seconds, 1800),
    'export-deadline': (parameter.seconds, _REQUIRED),
    # How long an export waits for a pull that reads the dump.
    'lock-deadline': (parameter.seconds, 3600),
    'notification-deadline': (parameter.seconds, 10),
  },
  'import': {
    **_DUMP,
    'importer': (parameter.path, _REQUIRED),
    # What the service's owner wants to run before it.
    'post-notification-run': (parameter.optional, ''),
    'import-deadline': (parameter.seconds, _REQUIRED),
    'lock-deadline': (parameter.seconds, 3600),
    'takeover-port': (parameter.port, _REQUIRED),
    'takeover-triggered': (parameter.path, _REQUIRED),
    'takeover-password-file': (parameter.path, _REQUIRED),
    # Key and certificate of the takeover page; none is plain HTTP.
    'takeover-certificate': (parameter.optional, ''),
    # Where the feeds of its PBS are.
    'on-notification': (parameter.optional, ''),
    # A module: its main() returns more facts for the takeover's page.
    'information': (parameter.optional, ''),
  },
  # A leader that was replaced: it serves nothing.
  'frozen': {
    **_MEMBER,
    'dump-directory': (parameter.path, _REQUIRED),
    **dict.fromkeys(('ip', 'notifier-port'), (parameter.optional, '')),
  },
  'pull-backup': {
    **_QUEUE,
    'archive-directory': (parameter.path, _REQUIRED),
    'rdiff-backup': (parameter.path, _REQUIRED),
    'rsync': (parameter.path, _REQUIRED),
    'ssh': (parameter.path, _REQUIRED),
    'ssh-private-key': (parameter.path, _REQUIRED),
    'shared-instances': (parameter.objects, ''),
    # Of shared instances that say nothing.
    'remove-backup-older-than': (parameter.retention, _REQUIRED),
    'transfer-deadline': (parameter.seconds, _REQUIRED),
    # Seconds between two generations that are read again.
    'verification-interval': (parameter.seconds, _REQUIRED),
    # How long one slice of one may take, unless it is one file: a pull waits
    # for it.
    'verification-deadline': (parameter.seconds, 1800),
    # Bytes that stay free for what gives space back on a full disk.
    'archive-reserve': (parameter.size, 16 << 20),
  },
}


class Configuration:
  """The checked configuration of one partition; keys are attributes."""

  def __init__(self, values, path=None):
    self.path = path
    role = values.get('role')
    if not isinstance(role, str) or role not in _ROLES:
      raise InvalidConfiguration(
        'role is %r, and must be one of: %s' % (role, ', '.join(_ROLES)))
    for key, (check, default) in {**_COMMON, **_ROLES[role]}.items():
      value = values.get(key)
      if value is None or value == '':
        if default is _REQUIRED:
          raise InvalidConfiguration('%s is missing' % key)
        value = default
      try:
        value = check(value)
      except ValueError as error:
        raise InvalidConfiguration(
          '%s is %r, and must be %s' % (key, value, error)) from error
      setattr(self, key.replace('-', '_'), value)

  def state(self, name):
    """Return the path of file `name` in the state directory."""
    return os.path.join(self.state_directory, name)

  @property
  def address(self):
    """Where the master finds this partition: ``computer/partition``."""
    return '%s/%s' % (self.computer_id, self.partition_id)

  @property
  def store(self):
    """The TaskStore of the partition."""
    return TaskStore(self.state('queue.sqlite'))

  @property
  def longest_task(self):
    """Seconds that a task of the queue may take.  A push may take its deadline
    twice: to send, and to have it verified; and so may an import, if something
    runs before the importer."""
    programs = 2 if getattr(self, 'post_notification_run', '') else 1
    return 3600 + max(
      2 * getattr(self, 'transfer_deadline', 0),
      programs * getattr(self, 'import_deadline', 0))

  def peers(self):
    """Return (Peers, sentences on shared instances that are wrong)."""
    return peer.peers(self.shared_instances, self.remove_backup_older_than)

  def abandoned(self):
    """Return sentences on archives whose leader is not told any more."""
    return [
      'archive %s is there, and the master tells no address of its leader:'
      ' process the root instance' % shared['name']
      for shared in self.shared_instances
      if shared.get('type') == 'pull' and not shared.get('url')
      and os.path.exists(self.state('archive-%s.json' % shared.get('name')))]

  def archive_names(self):
    """Return the names of the archives that are here, and of those that have a
    leader to be pulled from."""
    names = {found.name for found in self.peers()[0] if found.kind == 'pull'}
    if os.path.isdir(self.archive_directory):
      names |= {name for name in os.listdir(self.archive_directory)
                if not name.startswith('.')}
    return sorted(names)


def load(path):
  """Return the Configuration in file `path`.

  Raises InvalidConfiguration.
  """
  try:
    values = read_json(path)
  except ValueError as error:
    raise InvalidConfiguration(str(error)) from error
  if not isinstance(values, dict):
    raise InvalidConfiguration(
      '%s is missing: deploy the instance (slapos node instance)' % path)
  return Configuration(values, path)


class Watched:
  """A configuration that is read again when its file changes: a service needs
  no restart to know of a new peer."""

  def __init__(self, configuration):
    self._configuration = configuration
    self._seen = None
    self._seen = self._look()

  def _look(self):
    try:
      status = os.stat(self._configuration.path)
    except FileNotFoundError:
      # The node is about to write it anew.
      return self._seen
    return status.st_ino, status.st_mtime_ns

  @property
  def changed(self):
    """Whether the file changed since `current` was last called."""
    return self._look() != self._seen

  def current(self):
    """Return the configuration as it is now; a file that is wrong is logged,
    and what was right before stays in force.  So it does when the instance is
    frozen: that has no services, and the node is about to end this one."""
    seen = self._look()
    if seen != self._seen:
      self._seen = seen
      try:
        found = load(self._configuration.path)
        if found.role != 'frozen':
          self._configuration = found
      except InvalidConfiguration as error:
        log.error('the new configuration is not used: %s', error)
    return self._configuration
