"""A moment that a wrong clock wrote must not put off an alarm: what has
happened cannot lie in the future.
"""
import math
import time

from .durable import read_note, write_json

# Seconds by which the clocks of a tree's machines may differ unnoticed, and by
# which an alarm may be late for it.
TOLERANCE = 600


def ahead(moment, now):
  """Return by how many seconds `moment`, of something that has happened, is
  after `now`; 0 if it is not, or by no more than TOLERANCE."""
  return moment - now if moment > now + TOLERANCE else 0


def past(moment, now):
  """Return `moment`, of something that has happened, or 0 if it is after `now`:
  it was long ago, for all that is known."""
  return 0 if ahead(moment, now) else moment


def moment(value):
  """Return `value` of JSON, seconds since 1970-01-01 UTC, as a float.  Raises
  ValueError, TypeError, OverflowError if it is no time."""
  if not math.isfinite(value):
    raise ValueError('no time: %r' % value)
  return float(value)


def deployed(configuration):
  """Return when the partition was deployed, in seconds since 1970-01-01 UTC, or
  None if the queue has not noted it yet."""
  return read_note(configuration.state('deployed.json'),
                   lambda note: moment(note['at']))


def note_deployment(configuration):
  """Note that the partition is deployed now, unless there is a note already."""
  if deployed(configuration) is None:
    write_json(configuration.state('deployed.json'), {'at': time.time()})
