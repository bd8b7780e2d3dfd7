"""``bin/restore`` of a PBS: list generations, restore one of them, verified."""
import time

from .archive import Archive, Damaged
from .durable import LockTimeout
from .manifest import InvalidManifest
from .process import Failed


def main(configuration, name, label, target):
  """List the generations of archive `name`, or restore generation `label` to
  directory `target`.  Returns the exit status."""
  archive = Archive(configuration, name)
  if label is None:
    for when, generation in archive.index():
      print('%-10s %s  %s' % (generation.label, time.strftime(
        '%Y-%m-%d %H:%M:%S UTC', time.gmtime(when)), generation.leader))
    return 0
  try:
    generation = archive.restore(label, target)
  except KeyError:
    print('archive %s has no generation %s; without --generation they are'
          ' listed' % (name, label))
    return 1
  except (Failed, InvalidManifest, Damaged, LockTimeout, OSError) as error:
    print('generation %s was not restored: %s' % (label, error))
    return 1
  print('generation %s of leader %s is restored and verified in %s' % (
    generation.label, generation.leader, target))
  return 0
