"""A moment that a wrong clock wrote must not put off an alarm: what has
happened cannot lie in the future.
"""

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
