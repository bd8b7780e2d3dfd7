"""Task ``push-<name>`` of a PBS: bring the archive's newest generation to the
clone.  See "Push" in docs/design.rst."""
import functools
import json
import logging
import time

from .durable import write_json
from .entries import ARCHIVE_DATA
from .generation import from_json, is_newer
from .process import run
from .progress import measured
from .ssh import Remote
from .transfer import archive_of, run_task, TransferFailed

log = logging.getLogger('resilient.push')

# gate.py lets these through, and no others.
RSYNC_OPTIONS = (
  '--recursive', '--links', '--perms', '--times', '--specials', '--hard-links',
  '--sparse', '--numeric-ids', '--delete', '--partial', '--fsync')


def _ask(configuration, peer, remote):
  """Return the newest Generation that the clone holds, or None.

  What it said is kept in ``destination-<name>.json``.  Raises Failed.
  """
  status = remote.ask('status')
  _note(configuration, peer, status)
  found = [from_json(status[key]) for key in ('staged', 'verified')]
  return max(filter(None, found), key=lambda generation: generation.order,
             default=None)


def _note(configuration, peer, status):
  write_json(configuration.state('destination-%s.json' % peer.name),
             dict(status, at=time.time()))


def _is_whole(archive):
  """Whether the mirror is the newest generation.  It goes back to that if the
  last pull was cut short: the leader may never be there again.

  Raises Failed, LockTimeout.
  """
  if not archive.incomplete:
    return True
  with archive.locked() as held:
    archive.settle(held)
    # Else the last pull came to its end, and was refused.
    if archive.repository.times()[-1:] != [archive.index()[-1][0]] or (
        archive.mend()):
      return False
    archive.forget_pull()
  return True


def push(configuration, peer, report):
  """Push if the clone's newest generation is older than the archive's.

  Raises what transfer.py expects.
  """
  archive = archive_of(configuration, peer)
  remote = Remote(configuration, peer)
  generation = archive.newest()
  if not is_newer(generation, _ask(configuration, peer, remote)):
    report.quiet = True
    return
  report.generation = generation.label
  if not _is_whole(archive):
    raise TransferFailed(
      'the last pull was refused, so the archive is mixed: nothing is pushed'
      ' until a pull succeeds')
  with measured(configuration, remote):
    run([configuration.rsync, '--rsh', ' '.join(remote.command),
         '--exclude', '/' + ARCHIVE_DATA, *RSYNC_OPTIONS,
         archive.path + '/', remote.alias + ':'],
        configuration.transfer_deadline)
  status = remote.ask('accept ' + json.dumps(generation.to_json()),
                      configuration.transfer_deadline)
  _note(configuration, peer, status)
  report.message = 'pushed, and verified by the clone'
  log.info('%s: generation %s is verified on the clone',
           peer.task, generation.label)


def task(configuration, peer):
  """One run of the task.  Returns whether it succeeded."""
  return run_task(
    configuration, peer.task, functools.partial(push, configuration, peer))
