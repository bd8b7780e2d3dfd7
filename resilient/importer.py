"""Task ``import`` of a clone: load the newest verified copy."""
import contextlib
import logging
import os

from . import clone, essential, half_import, leadership, manifest, signature
from .durable import lock, LockTimeout
from .generation import Refused
from .process import Failed, run

log = logging.getLogger('resilient.importer')
_FAILURES = (
  Failed, clone.Unverified, signature.Mismatch, Refused, LockTimeout, OSError,
  manifest.InvalidManifest, ValueError)


def taken_over(configuration):
  """Whether a takeover has begun here: the service is no longer a clone's."""
  return (os.path.exists(configuration.takeover_triggered)
          or os.path.exists(configuration.state('takeover.json')))


def _load(configuration, generation, held):
  """Let the service hold `generation`, the current copy.

  held: descriptor of the lock on imports.  Raises as import_newest.
  """
  clone.verify_current(configuration, generation)
  signature.check(configuration.dump_directory)
  if configuration.post_notification_run:
    run([configuration.post_notification_run], configuration.import_deadline,
        lock=held)
  half_import.begin(configuration, generation)
  if configuration.importer:
    run([configuration.importer], configuration.import_deadline, lock=held)
  clone.set_imported(configuration, generation)
  half_import.end(configuration)
  clone.reuse_previous(configuration)
  log.info('generation %s is imported', generation.label)


def import_newest(configuration, report):
  """Swap and import, if there is anything newer than what is imported.

  Raises process.Failed, clone.Unverified, signature.Mismatch, Refused,
  LockTimeout, OSError, ValueError.
  """
  with lock(configuration.state('import.lock')) as descriptor:
    if taken_over(configuration):
      report.quiet = True
      return
    clone.swap(configuration)
    generation, _ = clone.verified(configuration)
    if generation is None or (
        generation == clone.imported(configuration)[0]
        and not half_import.begun(configuration)):
      report.quiet = True
      return
    report.generation = generation.label
    _load(configuration, generation, descriptor)
  report.message = 'imported'


def complete(configuration, held):
  """Before a takeover that is insisted on: where an import did not complete,
  let the service hold one generation, whole: the current copy, or, if that
  cannot be loaded, the one that was imported before.

  held: descriptor of the lock on imports.

  Returns '' or a sentence for the operator.
  """
  begun = half_import.begun(configuration)
  if not begun:
    return ''
  for prepare in (clone.swap, half_import.go_back):
    try:
      prepare(configuration)
      generation, _ = clone.verified(configuration)
      if generation:
        _load(configuration, generation, held)
        return ''
    except _FAILURES as error:
      log.error('import failed: %s', error)
  return ('The service may hold a part of generation %s, whose import did not'
          ' complete: see var/log.' % begun)


def task(configuration):
  """One run of the task.  Returns whether it succeeded."""
  # What is damaged is told by its promise.
  with contextlib.suppress(essential.DamagedState):
    if leadership.has_taken_over(configuration):
      # It leads, until the node gives it that role, and may be replaced, too.
      return leadership.task(configuration)
  with configuration.store.recording(clone.TASK) as report:
    try:
      import_newest(configuration, report)
    except _FAILURES as error:
      log.error('import failed: %s', error)
      report.failed(str(error))
    return report.success
