"""Whom a PBS pulls from and pushes to: its shared instances, checked."""
import re
import typing

from . import parameter


class Peer(typing.NamedTuple):
  """The other side of a PBS's transfer.

  name: the archive's name.  kind: ``pull``, ``push`` or ``sibling-<number>``.
  user, host, port, path: from its ``resilient-ssh-url``.
  server_key: its ssh host key.
  older_than: retention, as rdiff-backup takes it (``2W``); '' keeps all.
  siblings: Peers, the other PBS of a service that is pulled.
  readers: the public keys, in base64, of those that may read its archive.
  """
  name: str
  kind: str
  user: str
  host: str
  port: int
  path: str
  server_key: str
  older_than: str
  siblings: tuple = ()
  readers: frozenset = frozenset()

  @property
  def task(self):
    """The name of the task that serves it."""
    return '%s-%s' % (self.kind, self.name)


_SSH_URL = re.compile(
  r'ssh://(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@'
  r'(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*))'
  r':(?P<port>\d{1,5})/*(?P<path>/[^\0\n]*)')
_SIBLING = re.compile(r'sibling-[0-9]{1,9}')
_SSH_KEY = re.compile(r'[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: [^\n]*)?\n?')


class _InvalidPeer(Exception):
  """A shared instance is wrong; the message is one line on it."""


def _wrong(shared, key, allowed):
  return 'shared instance %r: parameter %s is %r, and must be %s' % (
    shared.get('slave_reference') or shared.get('title'), key, shared.get(key),
    allowed)


def _older_than(shared, default):
  """Return (retention, '' or what is wrong with it).  A wrong one removes
  nothing, and stops no backup."""
  try:
    return parameter.retention(
      shared.get('remove-backup-older-than') or default), ''
  except ValueError as error:
    return '', _wrong(shared, 'remove-backup-older-than', error)


def _peer(shared, older_than):
  """Return the Peer in `shared`, the parameters of a shared instance.

  older_than: its retention, checked.
  Raises _InvalidPeer.
  """
  def check(key, matches, allowed):
    value = shared.get(key)
    if not (isinstance(value, str) and matches(value)):
      raise _InvalidPeer(_wrong(shared, key, allowed))
    return value

  kind = check('type', ('pull', 'push').__contains__, '"pull" or "push"')
  url = _SSH_URL.fullmatch(check(
    'url', _SSH_URL.fullmatch, 'like ssh://user@[address]:port/path'))
  # Two slashes before the path make rdiff-backup refuse it, hence "/*".
  return Peer(
    check('name', re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*').fullmatch,
          'letters, digits, "_", "." and "-" alone'),
    kind, url['user'], url['v6'] or url['host'], int(url['port']), url['path'],
    check('server-key', _SSH_KEY.fullmatch, 'an ssh public key').strip(),
    older_than)


def _with_siblings(found, shared):
  """Return (Peer `found` with the siblings in `shared`, sentences on those that
  are wrong)."""
  siblings, wrong = [], []
  for key in sorted(shared):
    words = str(shared[key] or '').split()
    # One that is not deployed yet, or is of the former stack, says nothing.
    if not _SIBLING.fullmatch(key) or len(words) < 3:
      continue
    url, server_key = _SSH_URL.fullmatch(words[0]), ' '.join(words[1:])
    if not url or not _SSH_KEY.fullmatch(server_key):
      wrong.append(_wrong(
        shared, key, 'ssh://user@[address]:port/path and an ssh public key'))
      continue
    siblings.append(Peer(
      found.name, key, url['user'], url['v6'] or url['host'], int(url['port']),
      url['path'], server_key, ''))
  keys = str(shared.get('authorized-key') or '').split()
  return found._replace(siblings=tuple(siblings), readers=frozenset(
    key for key in keys if key.startswith('AAAA'))), wrong


def peers(shared_instances, default):
  """Return (Peers, sentences on shared instances that are wrong).

  default: retention of those that say nothing.
  """
  by_task, wrong = {}, []
  for shared in shared_instances:
    if not shared.get('url'):
      # The master knows of it before its other side is deployed.
      continue
    older_than, sentence = _older_than(shared, default)
    if sentence:
      wrong.append(sentence)
    try:
      found = _peer(shared, older_than)
    except _InvalidPeer as error:
      wrong.append(str(error))
      continue
    if found.task in by_task:
      wrong.append(
        'two shared instances of type %s are named %s: give each service its'
        ' own name' % (found.kind, found.name))
      continue
    if found.kind == 'pull':
      found, sentences = _with_siblings(found, shared)
      wrong += sentences
    by_task[found.task] = found
  return list(by_task.values()), wrong
