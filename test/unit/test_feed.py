"""Feeds: Atom that readers understand, bounded, with stable names."""
import pathlib
import unittest

import feedparser
from hypothesis import given, settings, strategies
from lxml import etree

from resilient.feed import atom
from resilient.task_store import Run

RULES = etree.RelaxNG(etree.parse(
  str(pathlib.Path(__file__).with_name('atom.rng'))))


def run(number, success=True, message='', generation='1.1', task='pull-data'):
  """Return a Run."""
  return Run(number, task, 1e9 + number, 2.5, success, generation, message)


def text(runs, instance='SOFTINST-1', task='pull-data', feeds=()):
  """Return the feed of `runs`, which is valid, as bytes."""
  found = atom('http://[::1]/get/x', instance, runs, 1e9, task, feeds)
  RULES.assertValid(etree.fromstring(found))
  return found


def feed(runs, **keywords):
  """Return the parsed feed of `runs`."""
  found = feedparser.parse(text(runs, **keywords))
  if found.bozo:
    raise AssertionError(found.bozo_exception)
  return found


def facts(entry):
  """Return {kind: value} of what a program can read in `entry`."""
  return {tag.scheme.rpartition(':')[2]: tag.term for tag in entry.tags}


class TestFeed(unittest.TestCase):
  """feed.atom"""

  def test_a_person_sees_what_happened(self):
    found = feed([run(2), run(1, False, 'no <space> & more')])
    self.assertEqual(found.feed.author, 'SOFTINST-1')
    good, bad = found.entries
    self.assertEqual(good.title, 'OK: pull-data of generation 1.1')
    self.assertEqual(bad.title, 'FAILURE: pull-data of generation 1.1')
    self.assertEqual(good.summary, 'OK (2.5 s)')
    self.assertEqual(bad.summary, 'FAILURE (2.5 s): no <space> & more')
    self.assertEqual(bad.content[0].type, 'text/plain')

  def test_a_program_reads_outcome_generation_and_duration(self):
    good, bad = feed([run(2), run(1, False, generation='')]).entries
    self.assertEqual(facts(good), {
      'outcome': 'OK', 'task': 'pull-data', 'generation': '1.1',
      'duration': '2.500'})
    self.assertEqual(facts(bad), {
      'outcome': 'FAILURE', 'task': 'pull-data', 'duration': '2.500'})

  def test_a_name_with_ok_in_it_makes_nothing_good(self):
    bad, = feed([run(1, False, 'no')], instance='BOOKING OK').entries
    self.assertNotIn('OK', bad.title)
    self.assertEqual('FAILURE', facts(bad)['outcome'])

  def test_entries_have_ids_that_are_unique_and_stay(self):
    def ids(runs, **keywords):
      return [entry.id for entry in feed(runs, **keywords).entries]
    first = ids([run(2), run(1)])
    self.assertEqual(len(set(first)), 2)
    self.assertEqual(ids([run(3), run(2), run(1)])[1:], first)
    # In the feed of all tasks it is the same entry.
    self.assertEqual(ids([run(2), run(1)], task=None), first)

  def test_no_id_is_shared_with_another_instance_task_or_queue(self):
    found = [
      feed([run(1)]), feed([run(1)], instance='SOFTINST-2'),
      feed([run(1, task='push-data')], task='push-data'),
      feed([run(1)._replace(started=5.0)])]
    self.assertEqual(len({item.entries[0].id for item in found}), 4)
    self.assertEqual(len({item.feed.id for item in found}), 3)

  def test_it_is_bounded_and_the_newest_come_first(self):
    entries = feed([run(number) for number in range(300, 0, -1)]).entries
    self.assertEqual(len(entries), 50)
    self.assertEqual(
      entries[0].updated, '2001-09-09T01:51:42+00:00')

  def test_it_is_bounded_in_bytes_whatever_is_in_it(self):
    for character in ('&', '\U0001f600', '\0', 'x'):
      found = text([run(number, False, character * 4000)
                    for number in range(300, 0, -1)])
      self.assertLess(len(found), 256 << 10)
      entries = feedparser.parse(found).entries
      self.assertGreater(len(entries), 30)
      self.assertIn('the log has all of it', entries[0].summary)

  def test_the_date_of_an_entry_is_when_the_run_ended_in_utc(self):
    found = feed([run(0)])
    entry, = found.entries
    self.assertEqual(entry.updated, '2001-09-09T01:46:42+00:00')
    self.assertEqual(entry.published, entry.updated)
    self.assertEqual(found.feed.updated, entry.updated)

  def test_without_runs_it_is_a_feed_without_entries(self):
    found = feed([])
    self.assertEqual(found.entries, [])
    self.assertEqual(found.feed.title, 'pull-data on SOFTINST-1')
    self.assertEqual(found.feed.updated, '2001-09-09T01:46:40+00:00')

  def test_the_feed_of_all_tasks_links_to_each_of_them(self):
    found = feed(
      [run(2, task='push-data'), run(1)], task=None, feeds={
        'pull-data': 'http://[::1]/get/pull-data',
        'push-data': 'http://[::1]/get/push-data'})
    self.assertEqual(found.feed.title, 'all tasks on SOFTINST-1')
    self.assertEqual(
      [(link.title, link.href) for link in found.feed.links
       if link.rel == 'related'],
      [('pull-data', 'http://[::1]/get/pull-data'),
       ('push-data', 'http://[::1]/get/push-data')])
    self.assertEqual(
      [entry.link for entry in found.entries],
      ['http://[::1]/get/push-data', 'http://[::1]/get/pull-data'])

  def test_the_rules_of_these_tests_can_be_broken(self):
    for wrong, right in (
        (b'<published>', b'<x>'), (b'urn:x-resilient:', b''),
        (b'rel="alternate"', b''), (b'+00:00', b''),
        (b'type="text"', b'type="html"')):
      broken = text([run(1)]).replace(wrong, right).replace(
        b'</published>', b'</x>' if right == b'<x>' else b'</published>')
      self.assertFalse(RULES.validate(etree.fromstring(broken)), wrong)

  def test_text_that_no_file_can_hold_gives_a_feed_that_can_be_parsed(self):
    entry, = feed([run(1, False, 'they say \ud800', generation='\udfff')],
                  feeds={'pull-data': 'http://[::1]/\ud800'}).entries
    self.assertIn('they say \ufffd', entry.summary)

  @settings(deadline=None, database=None, max_examples=80)
  @given(strategies.text(alphabet=strategies.characters(
    exclude_categories=['Cs'])))
  def test_any_message_gives_a_feed_that_can_be_parsed(self, message):
    entry, = feed([run(1, False, message)], instance='i' + message).entries
    self.assertTrue(entry.summary.startswith('FAILURE'))
