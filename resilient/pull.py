"""Task ``pull-<name>`` of a PBS: bring the leader's newest generation into the
archive.  See "Pull" in docs/design.rst."""
import functools
import logging
import time

from . import beginning, former, reindex
from .archive import Archive
from .durable import write_json
from .generation import from_json, is_newer
from .progress import measured
from .ssh import Remote
from .transfer import archive_of, HasToWait, run_task, TransferFailed

log = logging.getLogger('resilient.pull')


def _ask(configuration, peer, remote, newest):
  """Return (the leader's Generation, or None if there is none to pull now; the
  bytes of its dump, or None).

  newest: the newest Generation of the archive, or None.

  What it said is kept in ``source-<name>.json``.  Raises Failed, HasToWait,
  NotIntroduced, TransferFailed.
  """
  answer = remote.ask('generation')
  if answer['busy']:
    raise HasToWait('an export is running')
  write_json(configuration.state('source-%s.json' % peer.name),
             dict(answer, at=time.time()))
  if answer['problem']:
    raise TransferFailed('the leader says: ' + answer['problem'])
  generation, size = from_json(answer['generation']), answer.get('size')
  # One of an older release does not tell it.
  epoch = answer.get('epoch')
  if (generation and newest and generation.order < newest.order
      and isinstance(epoch, int) and newest.epoch < epoch):
    log.info('%s: the leader took over with generation %s, and has not exported'
             ' since; the archive has %s', peer.task, generation.label,
             newest.label)
    return None, None
  return generation, size if isinstance(size, int) and size > 0 else None


def pull(configuration, peer, report):
  """Pull if the leader has a newer generation than the archive.

  Raises what transfer.py expects.
  """
  former.inherit_archive(configuration, peer.name)
  archive = archive_of(configuration, peer)
  reindex.check_index(archive)
  beginning.note_beginning(archive)
  remote = Remote(configuration, peer)
  newest = archive.newest()
  generation, size = _ask(configuration, peer, remote, newest)
  if not is_newer(generation, newest) and not archive.incomplete:
    report.quiet = True
    return
  if generation is None:
    # No success: what failed has left the mirror mixed.
    raise HasToWait('the leader has nothing by which the mirror could be put'
                    ' right')
  report.generation = generation.label
  with measured(configuration, remote, size):
    generation = archive.pull(remote)
  report.generation = generation.label
  report.message = 'pulled and verified'
  if beginning.note_beginning(archive):
    report.message += ': the history of this archive begins here'
  log.info('%s: generation %s is in the archive and verified',
           peer.task, generation.label)
  configuration.store.request('push-' + peer.name)


def prune(configuration, peer, report):
  """Remove the increments that are older than the peer's retention.

  Raises Failed, LockTimeout, OSError.
  """
  if not peer.older_than:
    report.quiet = True
    return
  removed = Archive(configuration, peer.name).prune(peer.older_than)
  report.quiet = not removed
  report.message = 'removed %d generations older than %s' % (
    removed, peer.older_than)


def task(configuration, peer):
  """One run of the task.  Returns whether it succeeded."""
  return run_task(
    configuration, peer.task, functools.partial(pull, configuration, peer))


def prune_task(configuration, peer):
  """One run of task ``prune-<name>``: retention, which must neither delay nor
  spoil a pull.  Returns whether it succeeded."""
  return run_task(
    configuration, 'prune-' + peer.name,
    functools.partial(prune, configuration, peer))
