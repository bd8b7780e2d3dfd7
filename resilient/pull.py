"""Task ``pull-<name>`` of a PBS: bring the leader's newest generation into the
archive.  See "Pull" in docs/design.rst."""
import logging
import time

from .archive import Archive, Damaged
from .durable import LockTimeout, write_json
from .generation import from_json, is_newer, Refused
from .manifest import InvalidManifest
from .process import Failed
from .ssh import Remote

log = logging.getLogger('resilient.pull')


class PullFailed(Exception):
  """The leader has nothing that can be pulled, and should."""


def _ask(configuration, peer, remote):
  """Return the leader's Generation, or None if there is none to pull now.

  What it said is kept in ``source-<name>.json``.  Raises Failed, PullFailed.
  """
  answer = remote.ask('generation')
  if answer['busy']:
    log.info('%s: an export is running', peer.task)
    return None
  write_json(configuration.state('source-%s.json' % peer.name),
             dict(answer, at=time.time()))
  if answer['problem']:
    raise PullFailed('the leader says: ' + answer['problem'])
  return from_json(answer['generation'])


def pull(configuration, peer, report):
  """Pull if the leader has a newer generation than the archive.

  Raises Failed, PullFailed, Refused, Damaged, InvalidManifest, OSError.
  """
  archive = Archive(configuration, peer.name)
  remote = Remote(configuration, peer)
  generation = _ask(configuration, peer, remote)
  if not is_newer(generation, archive.newest()) and not (
      archive.incomplete and generation):
    report.quiet = True
    return
  report.generation = generation.label
  generation = archive.pull(remote)
  report.generation = generation.label
  report.message = 'pulled and verified'
  log.info('%s: generation %s is in the archive and verified',
           peer.task, generation.label)
  configuration.store.request('push-' + peer.name)
  configuration.store.request('prune-' + peer.name)


def task(configuration, peer):
  """One run of the task.  Returns whether it succeeded."""
  with configuration.store.recording(peer.task) as report:
    try:
      pull(configuration, peer, report)
    except (Failed, PullFailed, Refused, Damaged, InvalidManifest, OSError,
            LockTimeout, ValueError, KeyError) as error:
      log.error('%s failed: %s', peer.task, error)
      report.failed(str(error))
    return report.success


def prune_task(configuration, peer):
  """One run of task ``prune-<name>``: retention, which must neither delay nor
  spoil a pull.  Returns whether it succeeded."""
  name = 'prune-' + peer.name
  with configuration.store.recording(name) as report:
    try:
      removed = Archive(configuration, peer.name).prune(peer.older_than)
      report.message = 'removed %d generations older than %s' % (
        removed, peer.older_than)
      report.quiet = not removed
    except (Failed, LockTimeout, OSError, ValueError) as error:
      log.error('%s failed: %s', name, error)
      report.failed(str(error))
    return report.success
