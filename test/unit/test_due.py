"""When the next generation is late."""
import datetime
import os
import time
import unittest.mock

from resilient import exporter, manifest

from .test_exporter import ExporterCase


class TestDue(ExporterCase):
  """Each test is one claim."""

  def test_a_generation_is_late_after_its_period_and_margin(self):
    self.leader.configure(periodicity='0 3 * * *', **{'lateness-margin': 60})
    self.export()
    sealed = manifest.read(self.leader.dump).generation
    self.assertGreater(sealed.due, sealed.sealed + 60)
    self.assertLessEqual(sealed.due, sealed.sealed + 86400 + 60)
    self.assertEqual(time.localtime(sealed.due)[3:6], (3, 1, 0))

  def test_a_period_is_that_of_the_clock_on_the_wall(self):
    # "TZ" as POSIX.1 defines it: west of Greenwich, with the rules of New York.
    with unittest.mock.patch.dict(
        os.environ, TZ='EST5EDT,M3.2.0,M11.1.0'):
      self.addCleanup(time.tzset)
      time.tzset()
      for periodicity, now, expected in (
          ('0 3 * * *', '2026-07-01T16:00Z', '2026-07-02T07:00Z'),
          # The clock was put back, or forward, in between.
          ('0 3 * * *', '2026-10-31T16:00Z', '2026-11-01T08:00Z'),
          ('0 3 * * *', '2026-03-07T17:00Z', '2026-03-08T07:00Z'),
          # The time comes twice; there is none.
          ('30 1 * * *', '2026-11-01T06:10Z', '2026-11-01T06:30Z'),
          ('30 2 * * *', '2026-03-08T06:50Z', '2026-03-08T07:30Z')):
        self.leader.configure(
          periodicity=periodicity, **{'lateness-margin': 60})
        with self.subTest(periodicity + now):
          now, expected = (
            datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
            .timestamp() for text in (now, expected))
          self.assertEqual(
            exporter.due(self.leader.configuration, now), expected + 60)

  def test_a_maximum_age_counts_from_the_seal(self):
    self.leader.configure(**{'maximum-age': '7200'})
    sealed = exporter.export(self.leader.configuration)
    self.assertEqual(sealed.due, sealed.sealed + 7200)
