"""The benchmarks still run: of a small table."""
import unittest

from bench import transfers


class TestTransfers(unittest.TestCase):
  """What is measured is for ``bench``; how long it took is not asserted."""

  def test_backups_of_lapp_by_the_stack_and_by_hand(self):
    rows = transfers.measure('lapp', 1, changes=transfers.CHANGES[-1:])
    self.assertEqual(
      [(by, changed) for changed in ('first', '1 % scattered')
       for by in ('the stack', 'pg_dump, directory')],
      [row[:2] for row in rows])
    for by, changed, numbers in rows:
      with self.subTest(by=by, changed=changed):
        dump, pulled, _, pushed, _ = numbers[5:10]
        self.assertGreater(dump, 0.5)
        if changed == 'first':
          # All of it crosses.
          self.assertGreater(pulled, dump * 0.99)
          self.assertGreater(pushed, dump * 0.99)
          self.assertEqual(len(numbers), 10)
        else:
          self.assertLess(pulled, dump)
          self.assertGreater(numbers[10], 0)
    text = transfers.summary([rows, rows])
    self.assertEqual(len(text.splitlines()), 6, text)


if __name__ == '__main__':
  unittest.main()
