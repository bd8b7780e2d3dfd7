"""Task ``import`` of a clone: load the newest verified copy."""
import logging
import os

from . import clone, leadership, manifest, signature
from .durable import lock, LockTimeout
from .generation import Refused
from .process import Failed, run

log = logging.getLogger('resilient.importer')


def taken_over(configuration):
  """Whether a takeover has begun here: the service is no longer a clone's."""
  return (os.path.exists(configuration.takeover_triggered)
          or os.path.exists(configuration.state('takeover.json')))


def import_newest(configuration, report):
  """Swap and import, if there is anything newer than what is imported.

  Raises process.Failed, clone.Unverified, signature.Mismatch, Refused,
  LockTimeout, OSError.
  """
  with lock(configuration.state('import.lock')) as descriptor:
    if taken_over(configuration):
      report.quiet = True
      return
    clone.swap(configuration)
    generation, _ = clone.verified(configuration)
    if generation is None or generation == clone.imported(configuration)[0]:
      report.quiet = True
      return
    report.generation = generation.label
    clone.verify_current(configuration, generation)
    signature.check(configuration.dump_directory)
    for program in (configuration.post_notification_run,
                    configuration.importer):
      if program:
        run([program], configuration.import_deadline, lock=descriptor)
    clone.set_imported(configuration, generation)
  report.message = 'imported'
  log.info('generation %s is imported', generation.label)


def task(configuration):
  """One run of the task.  Returns whether it succeeded."""
  if leadership.has_taken_over(configuration):
    # It leads, until the node gives it that role, and may be replaced, too.
    return leadership.task(configuration)
  with configuration.store.recording(clone.TASK) as report:
    try:
      import_newest(configuration, report)
    except (Failed, clone.Unverified, signature.Mismatch, Refused, LockTimeout,
            OSError, manifest.InvalidManifest) as error:
      log.error('import failed: %s', error)
      report.failed(str(error))
    return report.success
