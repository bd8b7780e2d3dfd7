"""``bin/restore`` of a PBS: list generations, restore one of them, verified;
and the drill, which shows that this works and how long it takes."""
import json
import logging
import os
import random
import time

from .archive import Archive, Damaged
from .durable import LockTimeout, remove_tree
from .manifest import InvalidManifest
from .process import Failed

log = logging.getLogger('resilient.restore')

_FAILURES = (Failed, InvalidManifest, Damaged, LockTimeout, OSError, ValueError)


def describe_archive(archive):
  """Return what is known of each generation of `archive`, oldest first, for
  JSON: times are in seconds since 1970-01-01 UTC."""
  ledger = archive.ledger
  return [{
    'generation': generation.label, 'leader': generation.leader,
    'digest': generation.digest, 'sealed': generation.sealed, 'archived': when,
    'verified': ledger.at(generation) or None,
    'problem': ledger.problem(generation),
  } for when, generation in archive.index()]


def _moment(seconds):
  return time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(seconds))


def _list(archive, as_json):
  found = describe_archive(archive)
  if as_json:
    print(json.dumps(found, sort_keys=True))
    return
  for item in found:
    health = item['problem'] or (
      'verified ' + _moment(item['verified']) if item['verified']
      else 'not verified yet')
    print('%-10s %s  %s  %s' % (
      item['generation'], _moment(item['archived']), item['leader'], health))


def _size(root):
  return sum(
    os.lstat(os.path.join(directory, name)).st_size
    for directory, _, names in os.walk(root) for name in names)


def drill(configuration, name):
  """Restore a random generation of archive `name`, verify it, and record how
  long that took.  Returns the last Run of task ``drill-<name>``.

  Raises LockTimeout, when nothing was read: that is no outcome."""
  archive = Archive(configuration, name)
  task = 'drill-' + name
  target, busy = archive.place('drill'), None
  with configuration.store.recording(task) as report:
    try:
      index = archive.index()
      if not index:
        raise Damaged('there is no generation yet')
      _, generation = random.choice(index)
      report.generation = generation.label
      remove_tree(target)
      started = time.monotonic()
      archive.restore(generation.label, target)
      report.message = 'restored and verified %d bytes in %.1f s' % (
        _size(target), time.monotonic() - started)
    except LockTimeout as error:
      report.success, report.quiet, busy = False, True, error
    except (*_FAILURES, KeyError) as error:
      report.failed(str(error))
    finally:
      remove_tree(target)
  if busy:
    raise busy
  return configuration.store.last_run(task)


def drill_task(configuration, peer):
  """One run of task ``drill-<name>``.  Returns whether there was one, however
  it ended: who wants another drill asks for it."""
  try:
    drill(configuration, peer.name)
  except LockTimeout as error:
    log.info('drill-%s has to wait: %s', peer.name, error)
    return False
  return True


def _drill(configuration, name):
  try:
    run = drill(configuration, name)
  except LockTimeout as error:
    # The queue is what pulls: there it comes after the pull.
    configuration.store.request('drill-' + name)
    print('drill of archive %s: %s; equeue runs it later' % (name, error))
    return 1
  print('drill of archive %s, generation %s: %s' % (
    name, run.generation or '-', run.message))
  return 0 if run.success else 1


def _within(configuration, folder):
  """Return the name of the archive that `folder` is to be in, or None."""
  folder = os.path.realpath(folder)
  for name in configuration.archive_names():
    path = os.path.realpath(os.path.join(configuration.archive_directory, name))
    if os.path.commonpath((folder, path)) == path:
      return name
  return None


def main(configuration, name, label=None, target=None, *, drill=False,
         as_json=False):
  """List the generations of archive `name`, or restore generation `label` to
  directory `target`, or any for a drill.  Returns the exit status."""
  if drill:
    return _drill(configuration, name)
  if name not in configuration.archive_names():
    print('there is no archive %s: %s' % (
      name, ', '.join(configuration.archive_names()) or 'there is none'))
    return 1
  within = target and _within(configuration, target)
  if within:
    print('generation %s was not restored: %s is in archive %s, to which'
          ' nothing is to be added: name another folder' % (
            label, target, within))
    return 1
  archive = Archive(configuration, name)
  try:
    if label is None:
      _list(archive, as_json)
      return 0
    generation = archive.restore(label, os.path.abspath(target))
  except KeyError:
    print('archive %s has no generation %s; without --generation they are'
          ' listed' % (name, label))
    return 1
  except _FAILURES as error:
    print('generation %s was not restored: %s' % (label, error))
    return 1
  print('generation %s of leader %s is restored and verified in %s' % (
    generation.label, generation.leader, target))
  return 0
