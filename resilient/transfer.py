"""How the tasks of a PBS run, fail and report."""
import logging

from .archive import Archive, Damaged
from .durable import LockTimeout
from .generation import Refused
from .manifest import InvalidManifest
from .process import Failed
from .reserve import DiskFull
from .ssh import NotIntroduced, Remote

log = logging.getLogger('resilient.transfer')


class TransferFailed(Exception):
  """There is nothing that can be transferred, and there should be."""


class HasToWait(Exception):
  """Nothing can be transferred yet, and that is no failure: how the last run
  ended is still so.  To be tried again."""


_EXPECTED = (
  Damaged, DiskFull, Failed, InvalidManifest, LockTimeout, Refused,
  TransferFailed,
  # A full disk, and answers of a peer that are none.
  OSError, ValueError, KeyError)


def archive_of(configuration, peer):
  """Return the Archive of `peer`, which is repaired from its leader and from
  its clones."""
  peers, _ = configuration.peers()
  order = ('pull', 'push')
  remotes = [Remote(configuration, other) for other in sorted(
    peers, key=lambda other: order.index(other.kind))
    if other.name == peer.name]
  return Archive(configuration, peer.name, remotes)


def run_task(configuration, name, work):
  """Run work(report) as one run of task `name`, and record how it ended.

  Returns whether it succeeded.
  """
  with configuration.store.recording(name) as report:
    try:
      work(report)
    except (HasToWait, NotIntroduced) as error:
      log.info('%s has to wait: %s', name, error)
      report.success, report.quiet = False, True
    except _EXPECTED as error:
      log.error('%s failed: %s', name, error)
      report.failed(str(error))
    return report.success
