"""How a PBS reaches the gates of leaders and clones."""
import json
import os

from .durable import write_bytes
from .process import Failed, run

_ANSWER_DEADLINE = 60

_CONFIGURATION = '''\
# Written by resilient/ssh.py.
Host {alias}
  HostName {peer.host}
  Port {peer.port}
  User {peer.user}
  HostKeyAlias {alias}
  IdentityFile "{private_key}"
  UserKnownHostsFile "{known_hosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  BatchMode yes
  ForwardAgent no
  ForwardX11 no
  ConnectTimeout 10
  ServerAliveInterval 10
  ServerAliveCountMax 3
  LogLevel ERROR
'''


class Remote:
  """The gate of `peer`, as seen from the PBS of `configuration`."""

  def __init__(self, configuration, peer):
    self._configuration = configuration
    self.peer = peer
    self.alias = peer.task
    directory = configuration.state('ssh')
    self.path = os.path.join(directory, self.alias + '.conf')
    known_hosts = os.path.join(directory, self.alias + '.known_hosts')
    os.makedirs(directory, mode=0o700, exist_ok=True)
    write_bytes(known_hosts, b'%s %s\n' % (
      self.alias.encode(), peer.server_key.encode()))
    write_bytes(self.path, _CONFIGURATION.format(
      alias=self.alias, peer=peer, known_hosts=known_hosts,
      private_key=configuration.ssh_private_key).encode())

  @property
  def command(self):
    """The ssh command, to which a host and a command are to be added."""
    return [self._configuration.ssh, '-F', self.path]

  def ask(self, request, deadline=_ANSWER_DEADLINE):
    """Return the JSON that the gate answers to `request`.

    deadline: in seconds.  Raises Failed, with what the gate says.
    """
    result = run(
      [*self.command, self.alias, request], deadline, capture=True)
    try:
      return json.loads(result.output)
    except ValueError as error:
      raise Failed('%s gave no answer that can be read: %s' % (
        self.alias, error)) from error
