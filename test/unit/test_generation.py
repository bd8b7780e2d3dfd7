"""Which of two generations is newer, and which is refused."""
import itertools
import unittest

from resilient.generation import from_json, is_newer, Refused

from .support import generation


class TestOrder(unittest.TestCase):
  """Order is epoch, then sequence; no clock has a say."""

  def test_a_larger_sequence_is_newer(self):
    self.assertTrue(is_newer(generation(2), generation(1)))

  def test_a_larger_epoch_is_newer_whatever_the_sequence(self):
    self.assertTrue(is_newer(generation(1, epoch=2), generation(99)))

  def test_an_older_epoch_is_refused_whatever_the_sequence(self):
    with self.assertRaisesRegex(Refused, '1.99 .* is older than 2.1 ') as one:
      is_newer(generation(99), generation(1, epoch=2))
    # A leader that was replaced is not told how to be accepted.
    self.assertNotIn('leadership.json', str(one.exception))

  def test_a_clock_changes_nothing(self):
    year = 365 * 86400
    for first, second in itertools.product((-year, 0, year), repeat=2):
      old = generation(1, sealed=1e9 + first, due=1e9 + first)
      new = generation(2, sealed=1e9 + second, due=1e9 + second)
      self.assertTrue(is_newer(new, old))
      with self.assertRaises(Refused):
        is_newer(old, new)

  def test_anything_is_newer_than_nothing(self):
    self.assertTrue(is_newer(generation(), None))

  def test_nothing_is_newer_than_nothing(self):
    self.assertFalse(is_newer(None, None))
    self.assertFalse(is_newer(None, generation()))

  def test_the_same_generation_is_not_newer(self):
    present = generation(3)
    self.assertFalse(is_newer(present._replace(), present))

  def test_one_number_with_two_contents_is_a_conflict(self):
    with self.assertRaisesRegex(
        Refused, '1.3 exists twice.*data7.*data0.*{"epoch": 2}'):
      is_newer(generation(3, digest='f' * 64, leader='data7'), generation(3))


class TestJson(unittest.TestCase):
  """What comes from outside is checked."""

  def test_a_generation_survives_json(self):
    present = generation(7, epoch=3, due=1.5)
    self.assertEqual(from_json(present.to_json()), present)
    self.assertIsNone(from_json(None))

  def test_every_missing_field_is_refused_by_name(self):
    for field in generation()._fields:
      value = generation().to_json()
      del value[field]
      with self.assertRaisesRegex(ValueError, field):
        from_json(value)

  def test_every_field_of_another_type_is_refused_by_name(self):
    for field in generation()._fields:
      for wrong in (None, [], {}, True):
        with self.assertRaisesRegex(ValueError, field):
          from_json(dict(generation().to_json(), **{field: wrong}))

  def test_numbers_start_at_one(self):
    for field in ('epoch', 'sequence'):
      for wrong in (0, -1):
        with self.assertRaisesRegex(ValueError, 'start at 1'):
          from_json(dict(generation().to_json(), **{field: wrong}))

  def test_what_is_no_object_is_refused(self):
    for wrong in ([], 'x', 1, True):
      with self.assertRaises(ValueError):
        from_json(wrong)

  def test_what_a_newer_version_adds_is_ignored(self):
    present = generation()
    self.assertEqual(from_json(dict(present.to_json(), extra=1)), present)
