"""``bin/gate``: all that an ssh key of a PBS can do in a partition.

sshd runs it as the forced command of every key, with what the PBS asked for in
``SSH_ORIGINAL_COMMAND``.  A leader lets the dump be read; a clone lets its
staging area be written, and its current copy be read, for the repair of an
archive.  Nothing else is answered.
"""
import json
import logging
import os
import re
import shlex
import sys

from . import clone, exporter, former, launch_rdiff_backup
from .confine import confine
from .durable import lock, LockTimeout
from .generation import from_json, Refused

log = logging.getLogger('resilient.gate')

RDIFF_BACKUP = 'rdiff-backup server'
_SHORT_OPTIONS = re.compile(r'-[lHtprS]+e\.[A-Za-z]*')
_LONG_OPTIONS = frozenset((
  '--specials', '--delete', '--partial', '--numeric-ids', '--fsync'))


class Denied(Exception):
  """The request is not one that this partition answers."""


def _say(value):
  sys.stdout.write(json.dumps(value, sort_keys=True) + '\n')
  sys.stdout.flush()


def _become(command, inherited, *writable):
  """Replace this process, which keeps holding the lock `inherited`, by one that
  changes no file outside of the directories `writable`."""
  os.set_inheritable(inherited, True)
  if not confine(*writable):
    log.info('this kernel has no Landlock: %s is not confined',
             os.path.basename(command[0]))
  os.execv(command[0], command)


def _serve_dump(configuration, held):
  """Become an rdiff-backup that can read the dump, and nothing else."""
  _become([
    *launch_rdiff_backup.command(configuration.rdiff_backup),
    '--api-version', '201', 'server', '--restrict-mode', 'read-only',
    '--restrict-path', configuration.dump_directory], held)


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
      generation, problem = exporter.sealed_generation(configuration)
      if request == 'generation':
        _say({'generation': generation and generation.to_json(),
              'problem': problem, 'busy': False})
        return
      if problem:
        raise Denied(problem)
      _serve_dump(configuration, descriptor)
  except LockTimeout:
    if request != 'generation':
      raise Denied('an export is running: try again later') from None
    _say({'generation': None, 'problem': '', 'busy': True})


def _rsync_options(request):
  """Return the options for the rsync that receives.

  Both sides of a push are this code, so that only what ``push.RSYNC_OPTIONS``
  gives can be asked for, and the directory is ours.  The short options come as
  one word; after its "e" it lists what the sender is capable of.

  Raises Denied.
  """
  try:
    words = shlex.split(request)
  except ValueError as error:
    raise Denied('this command cannot be read: %s' % error) from error
  if words[:2] != ['rsync', '--server'] or words[-2:-1] != ['.']:
    raise Denied('this is a clone: it can be pushed to, and nothing else')
  options = words[2:-2]
  for option in options:
    short = _SHORT_OPTIONS.fullmatch(option)
    if not short and option not in _LONG_OPTIONS:
      raise Denied('option %s of rsync is not allowed' % option)
  return options


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
    options = _rsync_options(request)
    with clone.receiving(configuration) as descriptor:
      staging = configuration.state('staging')
      _become([configuration.rsync, '--server', *options, '.', staging + '/'],
              descriptor, staging)


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
    else:
      raise Denied('this is a leader that was replaced: it is frozen')
  except (Denied, Refused, clone.Unverified, LockTimeout, ValueError) as error:
    log.warning('%s asked %r: %s', peer, request[:200], error)
    sys.stderr.write('%s\n' % error)
    return 1
  return 0
