"""What a partition was told: ``etc/resilient.json``, checked.

The file is written by the instance's profile.  Its keys are those of section
``resilient-configuration``; values may be strings, as buildout's are.
"""
import logging
import os
import re
import typing

from . import parameter
from .durable import read_json
from .task_store import TaskStore

log = logging.getLogger('resilient.configuration')


class InvalidConfiguration(Exception):
  """A parameter is wrong; the message names it, its value and the remedy."""


_REQUIRED = object()

# name: (check, default)
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
  # Seconds between two looks of a level-triggered task.
  'check-interval': (parameter.seconds, 60),
  # Seconds that a new partition may be without any backup.
  'patience': (parameter.seconds, 3 * 3600),
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
    'periodicity': (parameter.cron, '0 * * * *'),
    # An export is late when it was not sealed this long after its time.
    'lateness-margin': (parameter.seconds, 1800),
    'export-deadline': (parameter.seconds, 6 * 3600),
    # How long an export waits for a pull that reads the dump.
    'lock-deadline': (parameter.seconds, 3600),
    'notification-deadline': (parameter.seconds, 10),
  },
  'import': {
    **_DUMP,
    'importer': (parameter.path, _REQUIRED),
    'import-deadline': (parameter.seconds, 6 * 3600),
    'lock-deadline': (parameter.seconds, 3600),
    'takeover-port': (parameter.port, _REQUIRED),
    'takeover-triggered': (parameter.path, _REQUIRED),
    'takeover-password-file': (parameter.path, _REQUIRED),
    # Where the feeds of its PBS are.
    'on-notification': (parameter.optional, ''),
    # A module: its main() returns more facts for the takeover's page.
    'information': (parameter.optional, ''),
  },
  # A leader that was replaced: it serves nothing.
  'frozen': {
    **_MEMBER,
    **dict.fromkeys(('ip', 'notifier-port'), (parameter.optional, '')),
  },
  'pull-backup': {
    'archive-directory': (parameter.path, _REQUIRED),
    'rdiff-backup': (parameter.path, _REQUIRED),
    'rsync': (parameter.path, _REQUIRED),
    'ssh': (parameter.path, _REQUIRED),
    'ssh-private-key': (parameter.path, _REQUIRED),
    'shared-instances': (parameter.objects, ''),
    'remove-backup-older-than': (parameter.text, '2W'),
    'transfer-deadline': (parameter.seconds, 24 * 3600),
  },
}


class Peer(typing.NamedTuple):
  """The other side of a PBS's transfer.

  name: the archive's name.  kind: ``pull`` or ``push``.
  user, host, port, path: from its ``resilient-ssh-url``.
  server_key: its ssh host key.
  older_than: retention, as rdiff-backup takes it (``2W``).
  """
  name: str
  kind: str
  user: str
  host: str
  port: int
  path: str
  server_key: str
  older_than: str

  @property
  def task(self):
    """The name of the task that serves it."""
    return '%s-%s' % (self.kind, self.name)


_SSH_URL = re.compile(
  r'ssh://(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@'
  r'(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*))'
  r':(?P<port>\d{1,5})/*(?P<path>/[^\0\n]*)')
_SSH_KEY = re.compile(r'[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: [^\n]*)?')
_DURATION = re.compile(r'(?:\d+[smhDWMY])+|\d+B')


def peer(shared, default_older_than):
  """Return the Peer in `shared`, the parameters of a shared instance.

  Raises InvalidConfiguration.
  """
  def check(key, matches, allowed):
    value = shared.get(key)
    if not (isinstance(value, str) and matches(value)):
      raise InvalidConfiguration(
        'shared instance %r: parameter %s is %r, and must be %s' % (
          shared.get('slave_reference') or shared.get('title'), key, value,
          allowed))
    return value

  kind = check('type', ('pull', 'push').__contains__, '"pull" or "push"')
  url = _SSH_URL.fullmatch(check(
    'url', _SSH_URL.fullmatch, 'like ssh://user@[address]:port/path'))
  # Two slashes before the path make rdiff-backup refuse it, hence "/*".
  shared = dict({'remove-backup-older-than': default_older_than}, **shared)
  return Peer(
    check('name', re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*').fullmatch,
          'letters, digits, "_", "." and "-" alone'),
    kind, url['user'], url['v6'] or url['host'], int(url['port']), url['path'],
    check('server-key', _SSH_KEY.fullmatch, 'an ssh public key').strip(),
    check('remove-backup-older-than', _DURATION.fullmatch,
          'a duration of rdiff-backup, like "2W" or "1M15D"'))


class Configuration:
  """The checked configuration of one partition; keys are attributes."""

  def __init__(self, values, path=None):
    self.path = path
    role = values.get('role')
    if role not in _ROLES:
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

  def peers(self):
    """Return (Peers, sentences on shared instances that are wrong)."""
    peers, wrong = {}, []
    for shared in self.shared_instances:
      if not shared.get('url'):
        # The master knows of it before its other side is deployed.
        continue
      try:
        found = peer(shared, self.remove_backup_older_than)
      except InvalidConfiguration as error:
        wrong.append(str(error))
        continue
      if found.task in peers:
        wrong.append(
          'two shared instances of type %s are named %s: give each service its'
          ' own name' % (found.kind, found.name))
        continue
      peers[found.task] = found
    return list(peers.values()), wrong


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
    self._seen = self._look()

  def _look(self):
    status = os.stat(self._configuration.path)
    return status.st_ino, status.st_mtime_ns

  @property
  def changed(self):
    """Whether the file changed since `current` was last called."""
    return self._look() != self._seen

  def current(self):
    """Return the configuration as it is now; a file that is wrong is logged,
    and what was right before stays in force."""
    seen = self._look()
    if seen != self._seen:
      self._seen = seen
      try:
        self._configuration = load(self._configuration.path)
      except InvalidConfiguration as error:
        log.error('the new configuration is not used: %s', error)
    return self._configuration
