"""``bin/gate``: all that an ssh key of a PBS can do in a partition.

sshd runs it as the forced command of every key, with what the PBS asked for in
``SSH_ORIGINAL_COMMAND``.  A leader lets the dump be read; a clone lets its
staging area be written, and its current copy be read, for the repair of an
archive; a PBS lets its archive be read by the siblings.  Nothing else is
answered.
"""
import contextlib
import json
import logging
import os
import re
import shlex
import signal
import sys
import time

from . import clone, exporter, former, launch_rdiff_backup, leadership
from .archive import Archive
from .confine import confine
from .durable import lock, LockTimeout
from .generation import from_json, Refused

log = logging.getLogger('resilient.gate')

RDIFF_BACKUP = 'rdiff-backup server'
_SHORT_OPTIONS = re.compile(r'-[lHtprS]+e\.[A-Za-z]*')
_LONG_OPTIONS = frozenset((
  '--specials', '--delete', '--partial', '--numeric-ids', '--fsync'))
_READING_OPTIONS = frozenset(('--specials', '--numeric-ids'))
# Seconds for which a sibling may hold an archive.
_HELD = 600


class Denied(Exception):
  """The request is not one that this partition answers."""


def _say(value):
  sys.stdout.write(json.dumps(value, sort_keys=True) + '\n')
  sys.stdout.flush()


def _become(command, inherited, *writable, **reading):
  """Replace this process, which keeps holding the lock `inherited`, if any, by
  one that changes no file outside of the directories `writable`.

  reading: what it may read, as in confine.
  """
  if inherited is not None:
    os.set_inheritable(inherited, True)
  if not confine(*writable, **reading):
    log.info('this kernel has no Landlock: %s is not confined',
             os.path.basename(command[0]))
  os.execv(command[0], command)


def _partition(configuration):
  return os.path.dirname(os.path.dirname(configuration.state_directory))


def _become_rsync(configuration, arguments, inherited, writable=(),
                  readable=()):
  """Become ``rsync --server`` with `arguments`, which reads nothing else of
  this partition: its client can name files as lists of names to leave out."""
  _become([configuration.rsync, '--server', *arguments], inherited, *writable,
          hidden=_partition(configuration), readable=readable)


def _serve_dump(configuration, held):
  """Become an rdiff-backup that can read the dump, and nothing else of this
  partition: a link in the dump leads its client anywhere."""
  _become([
    *launch_rdiff_backup.command(configuration.rdiff_backup),
    '--api-version', '201', 'server', '--restrict-mode', 'read-only',
    '--restrict-path', configuration.dump_directory], held,
    hidden=_partition(configuration),
    readable=[configuration.dump_directory])


def leader_gate(configuration, request):
  """Answer a PBS that pulls.  Raises Denied, LockTimeout."""
  if request not in ('generation', RDIFF_BACKUP, former.REQUEST):
    raise Denied('this is a leader: it can be pulled from, and nothing else')
  if request == former.REQUEST:
    log.info('a PBS of the former stack reads the dump; it checks nothing:'
             ' upgrade it')
  # An export may take hours, and the PBS has a timer: no waiting here.
  try:
    with lock(configuration.state('dump.lock'), shared=True) as descriptor:
      generation, size, problem = exporter.sealed_dump(configuration)
      if request == 'generation':
        _say({'generation': generation and generation.to_json(), 'size': size,
              'epoch': leadership.own_epoch(configuration),
              'now': time.time(), 'problem': problem, 'busy': False})
        return
      if problem:
        raise Denied(problem)
      _serve_dump(configuration, descriptor)
  except LockTimeout:
    if request != 'generation':
      raise Denied('an export is running: try again later') from None
    _say({'generation': None, 'problem': '', 'busy': True})


def _rsync_request(request, begin, allowed, refusal):
  """Return (options, path) of what an rsync on the other side asks for.

  Both sides are this code, so that only what ``push.RSYNC_OPTIONS`` or
  ``sibling.RSYNC_OPTIONS`` gives can be asked for.  The short options come as
  one word; after its "e" it lists what the other is capable of.

  Raises Denied, with `refusal` for what does not begin with the words `begin`.
  """
  try:
    words = shlex.split(request)
  except ValueError as error:
    raise Denied('this command cannot be read: %s' % error) from error
  if words[:len(begin)] != begin or words[-2:-1] != ['.']:
    raise Denied(refusal)
  options = words[len(begin):-2]
  for option in options:
    short = _SHORT_OPTIONS.fullmatch(option)
    if not short and option not in allowed:
      raise Denied('option %s of rsync is not allowed' % option)
  return options, words[-1]


def clone_gate(configuration, request):
  """Answer a PBS that pushes.  Raises Denied, Refused, clone.Unverified,
  LockTimeout."""
  if request == former.REQUEST:
    raise Denied('this is a clone of a newer stack, and its only copy is not'
                 ' to be written over: upgrade this PBS')
  if request == 'status':
    _say(clone.status(configuration))
  elif request.startswith('accept '):
    generation = from_json(json.loads(request.partition(' ')[2]))
    clone.accept(configuration, generation)
    _say(clone.status(configuration))
  elif request == RDIFF_BACKUP:
    # Who reads checks what it got: a swap meanwhile does no harm.
    with lock(configuration.state('reading.lock'), shared=True) as descriptor:
      _serve_dump(configuration, descriptor)
  else:
    options, _ = _rsync_request(
      request, ['rsync', '--server'], _LONG_OPTIONS,
      'this is a clone: it can be pushed to, and nothing else')
    with clone.receiving(configuration) as descriptor:
      staging = configuration.state('staging')
      _become_rsync(
        configuration, [*options, '.', staging + '/'], descriptor, [staging])


def _own_archive(configuration, name):
  """Return Archive `name`, if it is that of who asks: sshd says with which key
  he came.  Raises Denied."""
  try:
    with open(os.environ['SSH_USER_AUTH'], encoding='ascii') as said:
      words = said.read().split()
  except (KeyError, OSError, ValueError) as error:
    raise Denied('sshd does not say who asks: %s' % error) from error
  peers, _ = configuration.peers()
  if not any(peer.kind == 'pull' and peer.name == name
             and not peer.readers.isdisjoint(words) for peer in peers):
    raise Denied('there is no archive that this key is for')
  return Archive(configuration, name)


def _size(root):
  """Return how many bytes of the disk directory `root` takes, about."""
  size = 0
  for directory, folders, names in os.walk(root):
    for name in (*folders, *names):
      # A pull may be running.
      with contextlib.suppress(FileNotFoundError):
        size += 512 * os.lstat(os.path.join(directory, name)).st_blocks
  return size


def pbs_gate(configuration, request):
  """Answer a sibling, which copies the archive.  Raises Denied, LockTimeout,
  ValueError, OSError."""
  asked, _, name = request.partition(' ')
  if asked == 'generations':
    archive = _own_archive(configuration, name)
    ledger = archive.ledger
    _say([generation.to_json() for _, generation in archive.index()
          if not ledger.is_damaged(generation)])
    return
  if asked == 'size':
    _say(_size(_own_archive(configuration, name).path))
    return
  options, path = _rsync_request(
    request, ['rsync', '--server', '--sender'], _READING_OPTIONS,
    'this is a PBS: its siblings can read an archive, and nothing else')
  kind, _, name = path.removesuffix('/').partition('/')
  archive = _own_archive(configuration, name)
  arguments = ['--sender', *options, '.', archive.path + '/']
  if kind == 'draft':
    # May be mixed, and delays nobody.
    _become_rsync(configuration, arguments, None, readable=[archive.path])
  elif kind == 'final':
    with archive.locked(shared=True) as descriptor:
      if archive.incomplete or archive.repository.cut_short:
        raise Denied('the last pull did not complete here: try again later')
      # Outlives the exec: no sibling stops our pulls for longer.
      signal.alarm(_HELD)
      _become_rsync(configuration, arguments, descriptor,
                    readable=[archive.path])
  else:
    raise Denied('there is no such copy of an archive')


def main(configuration):
  """Answer SSH_ORIGINAL_COMMAND.  Returns the exit status."""
  request = os.environ.get('SSH_ORIGINAL_COMMAND', '')
  peer = os.environ.get('SSH_CONNECTION', '?').split(' ')[0]
  try:
    if configuration.role == 'export':
      leader_gate(configuration, request)
    elif configuration.role == 'import':
      former.note_pbs(
        configuration, peer if request == former.REQUEST else None)
      clone_gate(configuration, request)
    elif configuration.role == 'pull-backup':
      pbs_gate(configuration, request)
    else:
      raise Denied('this is a leader that was replaced: it is frozen')
  except (Denied, Refused, clone.Unverified, LockTimeout, ValueError,
          OSError) as error:
    log.warning('%s asked %r: %s', peer, request[:200], error)
    sys.stderr.write('%s\n' % error)
    return 1
  return 0
