"""How a PBS reaches the gates of leaders and clones."""
import json
import os
import time

from . import former
from .durable import write_if_changed
from .process import Failed, run

_ANSWER_DEADLINE = 60
# Bytes; a broken member must not fill the memory of this one.
_LARGEST_ANSWER = 4 << 20
# What ssh exits with when it could not connect, or log in.
_NO_CONNECTION = 255
# Seconds that a peer may need until it knows our key.
_INTRODUCTION = 180

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


class NotIntroduced(Exception):
  """The peer does not let us in, but was only just made known to us: it is
  being deployed.  To be tried again, and no alarm yet."""


class Remote:
  """The gate of `peer`, as seen from the PBS of `configuration`."""

  def __init__(self, configuration, peer):
    self._configuration = configuration
    self.peer = peer
    self.alias = peer.task
    directory = configuration.state('ssh')
    self.path = os.path.join(directory, self.alias + '.conf')
    self._known_hosts = os.path.join(
      directory, self.alias + '.known_hosts')
    os.makedirs(directory, mode=0o700, exist_ok=True)
    write_if_changed(self._known_hosts, b'%s %s\n' % (
      self.alias.encode(), peer.server_key.encode()))
    write_if_changed(self.path, _CONFIGURATION.format(
      alias=self.alias, peer=peer, known_hosts=self._known_hosts,
      private_key=configuration.ssh_private_key).encode())

  @property
  def command(self):
    """The ssh command, to which a host and a command are to be added."""
    return [self._configuration.ssh, '-F', self.path]

  def ask(self, request, deadline=_ANSWER_DEADLINE):
    """Return the JSON that the gate answers to `request`.

    deadline: in seconds.

    Raises Failed, with what the gate says, and NotIntroduced.
    """
    try:
      result = run(
        [*self.command, self.alias, request], deadline, capture=True,
        largest=_LARGEST_ANSWER)
    except Failed as error:
      if error.status == _NO_CONNECTION and self._is_new():
        raise NotIntroduced(str(error)) from error
      if former.describes(str(error)):
        raise Failed(former.problem(self.peer)) from error
      raise
    try:
      return json.loads(result.output)
    except ValueError as error:
      raise Failed('%s gave no answer that can be read: %s' % (
        self.alias, error)) from error

  def _is_new(self):
    known_since = max(os.stat(path).st_mtime for path in (
      self.path, self._known_hosts))
    return abs(time.time() - known_since) < _INTRODUCTION
