"""How much strangers may ask for."""
import ipaddress

from resilient import limits

from .support import TestCase


class Clock:
  """A monotonic clock that the test moves."""

  now = 1000.0

  def __call__(self):
    return self.now


class LimitsCase(TestCase):
  """Limits by the clock `self.clock`."""

  def setUp(self):
    super().setUp()
    self.clock = Clock()


class TestRate(LimitsCase):
  """limits.Rate"""

  def rate(self, **limited):
    """Return a Rate of 2 a second, 5 at once, and many for all together."""
    return limits.Rate(**{
      'each': (2, 5), 'everybody': (1000, 1000), 'clock': self.clock,
      **limited})

  def taken(self, rate, address, number):
    """Return how many of `number` requests are allowed."""
    return sum(rate.take(address) for _ in range(number))

  def test_some_at_once_and_then_as_time_goes_by(self):
    rate = self.rate()
    self.assertEqual(self.taken(rate, 'a', 50), 5)
    self.clock.now += 1.5
    self.assertEqual(self.taken(rate, 'a', 50), 3)
    self.clock.now += 1e9
    self.assertEqual(self.taken(rate, 'a', 50), 5)

  def test_addresses_do_not_wait_for_each_other(self):
    rate = self.rate()
    self.taken(rate, 'greedy', 500)
    self.assertEqual(self.taken(rate, 'modest', 5), 5)

  def test_all_together_have_a_limit_too(self):
    rate = self.rate(everybody=(1, 20))
    addresses = map(str, range(100))
    self.assertEqual(sum(self.taken(rate, a, 3) for a in addresses), 20)
    self.clock.now += 2
    self.assertEqual(self.taken(rate, 'one more', 5), 2)

  def test_memory_is_bounded(self):
    rate = self.rate()
    for number in range(100_000):
      rate.take(str(ipaddress.IPv6Address(number)))
    self.assertLessEqual(len(rate._buckets), 1024)


class TestGuesses(LimitsCase):
  """limits.Guesses"""

  def setUp(self):
    super().setUp()
    self.guesses = limits.Guesses(clock=self.clock)

  def test_people_mistype(self):
    self.assertEqual(self.guesses.wait('a'), 0)
    for _ in range(2):
      self.guesses.wrong('a')
      self.assertEqual(self.guesses.wait('a'), 0)

  def test_who_guesses_waits_longer_each_time(self):
    waits = []
    for _ in range(12):
      self.guesses.wrong('a')
      waits.append(self.guesses.wait('a'))
      self.clock.now += waits[-1]
      self.assertEqual(self.guesses.wait('a'), 0)
    self.assertEqual(
      waits, [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    # A year of guessing by one address tries no more than so many.
    self.assertLess(365 * 86400 / 300, 110_000)

  def test_who_waits_keeps_nobody_else_waiting(self):
    for _ in range(1000):
      self.guesses.wrong('guesser')
    self.assertGreater(self.guesses.wait('guesser'), 0)
    self.assertEqual(self.guesses.wait('operator'), 0)

  def test_the_right_password_and_time_make_it_forget(self):
    for forget in (lambda: self.guesses.right('a'),
                   lambda: setattr(self.clock, 'now', self.clock.now + 4000)):
      for _ in range(5):
        self.guesses.wrong('a')
      forget()
      self.guesses.wrong('a')
      self.assertEqual(self.guesses.wait('a'), 0)

  def test_all_are_counted_in_bounded_memory(self):
    for number in range(50_000):
      self.guesses.wrong(str(number))
    self.assertEqual(self.guesses.total, 50_000)
    self.assertLessEqual(len(self.guesses._wrong), 1024)


class TestSeldom(LimitsCase):
  """limits.Seldom"""

  def test_a_flood_is_two_lines(self):
    lines = []
    say = limits.Seldom(
      lambda message, *values: lines.append(message % values),
      clock=self.clock)
    for number in range(1000):
      say('request %d', number)
    self.clock.now += 61
    say('request %d', 1000)
    self.assertEqual(lines, [
      'request 0',
      'request 1000 (and 999 more like it since the last line)'])
