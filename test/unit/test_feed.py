"""Feeds: Atom that readers understand, bounded, with stable names."""
import unittest

import feedparser
from hypothesis import given, settings, strategies
from lxml import etree

from resilient.feed import atom
from resilient.task_store import Run


def run(number, success=True, message='', generation='1.1'):
  """Return a Run."""
  return Run(number, 'pull-data', 1e9 + number, 2.5, success, generation,
             message)


def feed(runs, instance='SOFTINST-1', task='pull-data'):
  """Return the parsed feed of `runs`."""
  found = feedparser.parse(atom('http://[::1]/get/x', instance, task, runs))
  if found.bozo:
    raise AssertionError(found.bozo_exception)
  return found


class TestFeed(unittest.TestCase):
  """feed.atom"""

  def test_a_success_and_a_failure_are_told_apart(self):
    good, bad = feed([run(2), run(1, False, 'no <space> & more')]).entries
    self.assertEqual(good.title, 'OK: pull-data of generation 1.1')
    self.assertEqual(bad.title, 'FAILURE: pull-data of generation 1.1')
    self.assertEqual(
      [entry.tags[0].term for entry in (good, bad)], ['OK', 'FAILURE'])
    self.assertEqual(bad.summary_detail.type, 'text/plain')
    self.assertIn('no <space> & more', bad.summary)

  def test_entries_have_ids_that_are_unique_and_stay(self):
    def ids(runs):
      return [entry.id for entry in feed(runs).entries]
    first = ids([run(2), run(1)])
    self.assertEqual(len(set(first)), 2)
    self.assertEqual(ids([run(3), run(2), run(1)])[1:], first)

  def test_no_id_is_shared_with_another_instance_or_task(self):
    ids = [entry.id for found in (
      feed([run(1)]), feed([run(1)], instance='SOFTINST-2'),
      feed([run(1)], task='push-data')) for entry in found.entries]
    self.assertEqual(len(set(ids)), 3)

  def test_it_is_bounded_and_the_newest_come_first(self):
    entries = feed([run(number) for number in range(300, 0, -1)]).entries
    self.assertEqual(len(entries), 50)
    self.assertEqual(
      entries[0].updated, '2001-09-09T01:51:42+00:00')

  def test_the_date_of_an_entry_is_when_the_run_ended_in_utc(self):
    entry, = feed([run(0)]).entries
    self.assertEqual(entry.updated, '2001-09-09T01:46:42+00:00')

  def test_without_runs_it_is_a_feed_without_entries(self):
    found = feed([])
    self.assertEqual(found.entries, [])
    self.assertEqual(found.feed.title, 'pull-data on SOFTINST-1')

  def test_it_has_what_rfc_4287_requires(self):
    root = etree.fromstring(atom('http://[::1]/x', 'i', 't', [run(1)]))
    space = {'a': 'http://www.w3.org/2005/Atom'}
    for element in (root, root.find('a:entry', space)):
      for name in ('id', 'title', 'updated'):
        self.assertEqual(len(element.findall('a:' + name, space)), 1, name)
    self.assertIsNotNone(root.find('a:author/a:name', space))

  @settings(deadline=None, database=None, max_examples=80)
  @given(strategies.text(alphabet=strategies.characters()))
  def test_any_message_gives_a_feed_that_can_be_parsed(self, message):
    entry, = feed([run(1, False, message)]).entries
    self.assertTrue(entry.summary.startswith('FAILURE'))
