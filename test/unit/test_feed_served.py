"""Feeds as a feed reader meets them, over HTTP."""
import concurrent.futures
import subprocess
import sys
import time
import urllib.error
import urllib.request

import feedparser

from resilient import authentication

from .former import served
from .support import TestCase


class TestServed(TestCase):
  """The notifier of a PBS."""

  def setUp(self):
    super().setUp()
    self.pbs = self.partition('pull-backup', **{'shared-instances': [
      {'type': kind, 'name': 'data', 'url': 'ssh://u@[::1]:1/dump',
       'server-key': 'ssh-ed25519 AAAA',
       # As the root instance of the former stack names them.
       'notification-id': 'COMP-1-slappart0-data-1-' + kind}
      for kind in ('pull', 'push')]})
    self.store = self.pbs.configuration.store
    context = served(self.pbs)
    self.url = '%s/get/%s/' % (context.__enter__(), authentication.token(
      self.pbs.options['secret-file'], authentication.FEEDS))
    self.addCleanup(context.__exit__, None, None, None)
    self.record('pull-data', 1e9)
    self.record('push-data', 1e9 + 60, False, 'no <space>')

  def record(self, task, started, success=True, message=''):
    """Let `task` have run."""
    self.store.record(task, started, 1.0, success, '1.2', message)

  def ask(self, name='', method='GET', **headers):
    """Return (status, headers, body)."""
    request = urllib.request.Request(self.url + name, method=method, headers={
      key.replace('_', '-'): value for key, value in headers.items()})
    try:
      with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
      with error:
        return error.code, error.headers, error.read()

  def test_a_reader_that_is_given_the_url_of_the_pbs_sees_all_runs(self):
    found = feedparser.parse(self.url)
    self.assertEqual((found.bozo, found.status), (False, 200))
    self.assertEqual([entry.title for entry in found.entries], [
      'FAILURE: push-data of generation 1.2',
      'OK: pull-data of generation 1.2'])
    # And finds the feed of each task from there.
    pull, = (link.href for link in found.feed.links
             if link.get('title') == 'pull-data')
    self.assertEqual(found.entries[1].link, pull)
    entry, = feedparser.parse(pull).entries
    self.assertEqual(entry.id, found.entries[1].id)

  def test_a_reader_that_has_it_does_not_load_it_again(self):
    for name in ('', 'pull-data'):
      with self.subTest(name):
        first = feedparser.parse(self.url + name)
        again = feedparser.parse(self.url + name, etag=first.etag)
        self.assertEqual((again.status, again.entries), (304, []))
        self.record('pull-data', time.time())
        self.assertEqual(feedparser.parse(
          self.url + name, etag=first.etag).status, 200)

  def test_without_any_run_it_stays_the_same_too(self):
    self.assertEqual(self.ask('prune-data')[1]['ETag'],
                     self.ask('prune-data')[1]['ETag'])

  def test_its_head_is_that_of_the_feed(self):
    status, headers, body = self.ask('pull-data', 'HEAD')
    self.assertEqual((status, body), (200, b''))
    self.assertEqual(
      headers['Content-Type'], 'application/atom+xml; charset=utf-8')
    _, full, body = self.ask('pull-data')
    self.assertEqual(headers['ETag'], full['ETag'])
    self.assertEqual(headers['Content-Length'], str(len(body)))

  def test_there_are_no_other_feeds(self):
    for name in ('export', 'import', '../status.json', '%2e%2e%2fx', 'pull-',
                 'pull-data/', '%00', '<x>'):
      with self.subTest(name):
        self.assertEqual(self.ask(name)[0], 404)
    self.assertEqual(self.ask('pull-data', 'DELETE')[0], 405)

  def test_the_names_of_the_former_stack_lead_to_the_same_feeds(self):
    for kind in ('pull', 'push'):
      entry, = feedparser.parse(
        self.url + 'COMP-1-slappart0-data-1-' + kind).entries
      self.assertIn(kind + '-data', entry.title)

  def test_the_former_stacks_check_of_a_feed_reads_ours(self):
    # It looks for OK or FAILURE in the title of an entry.
    def check(name):
      return subprocess.run(
        [sys.executable, '-m', 'slapos.checkfeedaspromise', '--feed-path',
         self.url + name, '--title', '--ok-pattern', 'OK:', '--ko-pattern',
         'FAILURE'], check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding='utf-8', timeout=60)
    good = check('pull-data')
    self.assertEqual(good.returncode, 0, good.stdout)
    self.assertIn('FAILURE: push-data', check('push-data').stdout)

  def test_many_read_while_it_grows(self):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      answers = [pool.submit(self.ask) for _ in range(40)]
      for number in range(20):
        self.record('pull-data', 1e9 + 100 + number)
      for answer in answers:
        status, _, body = answer.result()
        self.assertEqual(status, 200)
        self.assertFalse(feedparser.parse(body).bozo)
