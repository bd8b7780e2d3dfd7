"""How much strangers may ask for: rates, wrong passwords, lines in a log.

All of it is bounded in memory, and counts by the monotonic clock: a clock that
is set lets nobody in, and locks nobody out.
"""
import collections
import threading
import time

# So many addresses are known at once; the one unheard of for longest is
# forgotten first.
_NAMES = 1024


class _Recent(collections.OrderedDict):
  """A mapping that keeps the `_NAMES` entries that were set last."""

  def __setitem__(self, key, value):
    super().__setitem__(key, value)
    self.move_to_end(key)
    if len(self) > _NAMES:
      self.popitem(last=False)


class Rate:
  """A token bucket for each address, and one for all of them together.

  each, everybody: (requests a second, requests at once).
  """

  def __init__(
      self, each=(20, 100), everybody=(100, 400), clock=time.monotonic):
    self._each, self._everybody, self._clock = each, everybody, clock
    self._buckets = _Recent()
    self._common = (everybody[1], clock())
    self._lock = threading.Lock()

  def take(self, address):
    """Whether `address` may make one more request now."""
    now = self._clock()
    with self._lock:
      own = _filled(self._buckets.get(address), self._each, now)
      common = _filled(self._common, self._everybody, now)
      allowed = own >= 1 and common >= 1
      # Who is refused does not use up what is left for the others.
      self._buckets[address] = (own - allowed, now)
      self._common = (common - allowed, now)
      return allowed


def _filled(bucket, limits, now):
  rate, size = limits
  if bucket is None:
    return size
  left, since = bucket
  return min(size, left + (now - since) * rate)


class Guesses:
  """Counts wrong passwords, and says who has to wait before the next.

  Two are free, for people mistype.  From then on an address waits twice as long
  each time, at most `longest` seconds, and is forgotten after `memory` seconds
  without a wrong password.  Other addresses do not wait for it: who knows the
  password is never locked out by one who does not.
  """

  _FREE = 2

  def __init__(self, longest=300, memory=3600, clock=time.monotonic):
    self._longest, self._memory, self._clock = longest, memory, clock
    # address: (wrong passwords, when the last one was given)
    self._wrong = _Recent()
    self._lock = threading.Lock()
    # Of all addresses, since the service was started.
    self.total = 0

  def _delay(self, count):
    extra = count - self._FREE
    return 0 if extra <= 0 else min(self._longest, 2 ** min(extra, 30))

  def wait(self, address):
    """Return how many seconds `address` has to wait, 0 if it need not."""
    with self._lock:
      count, last = self._wrong.get(address, (0, 0))
      return max(0, last + self._delay(count) - self._clock())

  def wrong(self, address):
    """`address` gave a wrong password; return how many it gave by now."""
    now = self._clock()
    with self._lock:
      self.total += 1
      count, last = self._wrong.get(address, (0, now))
      count = 1 if now - last > self._memory else count + 1
      self._wrong[address] = count, now
      return count

  def right(self, address):
    """`address` knew the password."""
    with self._lock:
      self._wrong.pop(address, None)


class Seldom:
  """Writes to a log at most once in `interval` seconds, and then says how
  often it was asked to since: a flood must not fill the disk."""

  def __init__(self, write, interval=60, clock=time.monotonic):
    self._write, self._interval, self._clock = write, interval, clock
    self._next = None
    self._unsaid = 0
    self._lock = threading.Lock()

  def __call__(self, message, *values):
    now = self._clock()
    with self._lock:
      if self._next is not None and now < self._next:
        self._unsaid += 1
        return
      unsaid, self._unsaid = self._unsaid, 0
      self._next = now + self._interval
    if unsaid:
      message += ' (and %d more like it since the last line)'
      values += (unsaid,)
    self._write(message, *values)
