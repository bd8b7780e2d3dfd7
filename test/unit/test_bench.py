"""The benchmarks still run: of a small table."""
import unittest

from bench import transfers


class BenchTest(unittest.TestCase):
  """What it measures is for ``bench``; not asserted here."""

  def test_whole_backups_by_the_stack_and_by_hand(self):
    rows = transfers.measure('lapp', 1)
    self.assertEqual(
      [(by, changed) for changed in ('first', '1 % in a row', '1 % scattered')
       for by in ('the stack', 'pg_dump, directory')],
      [tuple(row[:2]) for row in rows])
    for row in rows:
      self.assertTrue(all(float(seconds) > 0 for seconds in row[2:7]), row)


if __name__ == '__main__':
  unittest.main()
