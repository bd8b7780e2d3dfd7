"""The notifier: hints of members, and feeds for those who know the URL."""
import collections
import contextlib
import http.server
import json
import os
import threading

import feedparser

from resilient import (
  authentication,
  http_client,
  notifier,
  notify,
  peer_status,
)
from resilient.configuration import Watched

from .partition import SECRET
from .support import generation, TestCase, wait_until
from .web_support import serve, Served


class TestNotifier(TestCase):
  """The notifier of a clone, over HTTP."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.store = self.clone.configuration.store
    # A leader and a stranger: the one has the secret of the tree.
    self.leader = self.partition('export')
    self.serve()

  def serve(self):
    """Start the notifier, or another one."""
    watched = Watched(self.clone.configuration)
    self.served = Served(self, notifier.application(watched.current))
    self.url = 'http://' + self.served.netloc
    self.feeds, self.status = (
      authentication.token(self.clone.options['secret-file'], purpose)
      for purpose in (authentication.FEEDS, authentication.STATUS))

  def hint(self, *order):
    """Have the leader hint that a generation exists.  Raises OSError."""
    notify.post(self.leader.configuration, self.url + '/notify',
                generation(*order), 10)

  def refused(self, *order):
    """The leader's hint is refused, and changes nothing."""
    before = self.store.pending()
    with self.assertRaises(http_client.Refused) as caught:
      self.hint(*order)
    self.assertEqual(caught.exception.code, 403)
    self.assertEqual(self.store.pending(), before)

  def ask(self, path, data=None, headers=()):
    """Return (status, body) of a request."""
    return self.served.ask(
      'GET' if data is None else 'POST', path, data, headers)[:2]

  def test_a_hint_is_durable_when_it_is_answered(self):
    self.hint()
    self.assertEqual(self.store.pending(), {'import': 1})

  def test_a_hint_is_heard_once_also_by_the_next_process(self):
    self.hint(5)
    self.refused(5)
    self.refused(4)
    self.serve()
    self.refused(5)
    self.hint(6)
    self.hint(1, 2)
    self.refused(7)
    self.assertEqual(self.store.pending(), {'import': 3})

  def test_who_does_not_have_the_secret_changes_nothing(self):
    authentication.ensure_secret(
      self.leader.options['secret-file'], 'the secret of another tree')
    self.refused(1)
    for body in (b'', b'{', b'{"generation": {"epoch": 99}}', b'\xff' * 1000):
      for headers in ({}, {'Authorization': 'Basic Og=='}, {
          'Authorization': authentication.sign(
            self.leader.options['secret-file'], 'x', 'POST', '/notify', body)}):
        self.assertEqual(self.ask('/notify', body, headers)[0], 403)
    self.assertEqual(self.store.pending(), {})
    self.assertNotIn(
      'hints.json', os.listdir(self.clone.at('srv/resilient')))

  def test_an_instance_without_a_secret_of_its_tree_hears_nobody(self):
    os.unlink(self.clone.options['secret-file'])
    authentication.ensure_secret(self.clone.options['secret-file'], '')
    with self.assertLogs('resilient.door', 'WARNING') as logs:
      self.serve()
    self.assertIn('given no resilient-secret', logs.output[0])
    self.refused(1)
    self.assertEqual(self.ask('/get/%s/import' % self.feeds)[0], 200)
    # Later its root instance tells it.
    authentication.ensure_secret(self.clone.options['secret-file'], SECRET)
    self.hint(1)

  def test_what_is_refused_is_logged_without_filling_the_log(self):
    with self.assertLogs('resilient.door', 'WARNING') as logs:
      for _ in range(30):
        self.ask('/notify', b'{}')
    self.assertEqual(len(logs.output), 1)
    self.assertIn('it is not signed', logs.output[0])

  def test_members_are_heard_while_strangers_ask_thousands_of_times(self):
    flooded = threading.Event()
    statuses = collections.Counter()

    def flood():
      while not flooded.is_set():
        for path, body in (('/notify', b'x' * 60_000), ('/get/x/import', None),
                           ('/status/' + self.feeds, None)):
          try:
            statuses[self.ask(path, body)[0]] += 1
          except OSError:
            statuses['broken'] += 1

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
      thread.start()
    try:
      for sequence in range(1, 11):
        wait_until(lambda: statuses[429] > 110 * sequence, 'a flood', 60)
        self.hint(sequence)
        self.assertEqual(self.ask('/status/' + self.status)[0], 200)
    finally:
      flooded.set()
      for thread in threads:
        thread.join()
    self.assertEqual(self.store.pending(), {'import': 10})
    self.assertGreater(statuses[429], 1000)
    self.assertEqual(set(statuses) - {'broken'}, {403, 404, 429})

  def test_a_huge_hint_is_refused(self):
    for size in (70_000, 10_000_000):
      with contextlib.suppress(OSError):
        self.assertIn(self.ask('/notify', b'x' * size)[0], (400, 413))
    self.assertEqual(self.store.pending(), {})

  def test_only_a_post_is_a_hint(self):
    self.assertEqual(self.ask('/notify')[0], 405)
    self.assertEqual(self.store.pending(), {})

  def test_the_runs_of_a_task_are_a_feed(self):
    self.store.record('import', 1e9, 1.0, False, '1.2', 'no <space>')
    status, body = self.ask('/get/%s/import' % self.feeds)
    self.assertEqual(status, 200)
    entry, = feedparser.parse(body).entries
    self.assertEqual(entry.title, 'FAILURE: import of generation 1.2')

  def test_there_are_no_other_feeds(self):
    self.assertEqual(self.ask('/get/%s/' % self.feeds)[0], 200)
    for path in ('export', '../status.json', '%2e%2e%2fx'):
      self.assertEqual(self.ask('/get/%s/%s' % (self.feeds, path))[0], 404)

  def test_who_does_not_know_the_url_sees_nothing(self):
    for path in ('/get/', '/get/import/', '/get//import', '/status', '/status/',
                 '/get/%s/import' % self.status, '/get/%s/' % self.feeds[:-1],
                 '/get/%s/import' % self.feeds.upper(),
                 '/get/%C3%A4/import', '/status/' + self.feeds, '/x'):
      self.assertEqual(self.ask(path)[0], 404, path)

  def test_the_status_is_served(self):
    status = json.loads(self.ask('/status/' + self.status)[1])
    self.assertEqual((status['role'], status['verified']), ('import', None))

  def test_the_status_is_signed_for_who_asked(self):
    path = self.clone.options['secret-file']
    seen = set()
    for question in ('', 'a', 'b'):
      _, body, headers = self.served.ask(
        'GET', '/status/%s?question=%s' % (self.status, question))
      seen.add(headers['Resilient-Signature'])
      self.assertEqual(headers['Resilient-Signature'],
                       authentication.answer_signature(path, question, body))
    self.assertEqual(len(seen), 3)

  def test_its_status_is_not_passed_on_as_that_of_another(self):
    served = self.served

    class Relay(http.server.BaseHTTPRequestHandler):
      """One on the way to another member, who asks this one."""

      def do_GET(self):
        """Pass on what is asked, and what is answered."""
        status, body, headers = served.ask('GET', self.path)
        self.send_response(status)
        for name, value in headers.items():
          self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

      def log_message(self, *_):
        """Say nothing."""

    self.clone.configure(**{'ip': served.host, 'notifier-port': served.port})
    asking = self.leader.configuration
    self.assertEqual(peer_status.ask(asking, self.url + '/x')['role'], 'import')
    self.assertIsNone(peer_status.ask(asking, serve(self, Relay)))

  def test_damage_is_told_and_the_token_is_not(self):
    with open(self.clone.configuration.state('imported.json'), 'w',
              encoding='ascii') as damaged:
      damaged.write('{')
    with self.assertLogs('resilient') as logs:
      status, body = self.ask('/status/' + self.status)
    said = '\n'.join(logs.output)
    self.assertEqual((status, body), (503, b'a file here is damaged\n'))
    self.assertIn('imported.json is damaged', said)
    self.assertNotIn(self.status, said)

  def test_who_is_silent_is_named_without_its_token(self):
    with self.assertLogs('resilient') as logs:
      self.assertIsNone(peer_status.ask(
        self.leader.configuration, 'http://[::1]:1/get/%s/x' % self.feeds))
    said = '\n'.join(logs.output)
    self.assertIn('http://[::1]:1 does not tell its status', said)
    self.assertNotIn(self.feeds, said)

  def test_nothing_is_kept_or_passed_on_by_a_browser(self):
    headers = self.served.ask('GET', '/get/%s/import' % self.feeds)[2]
    self.assertEqual(headers['Referrer-Policy'], 'no-referrer')
    self.assertEqual(headers['Cache-Control'], 'no-store')

  def test_it_answers_those_who_want_to_know_whether_it_runs(self):
    self.assertTrue(notify.answers(self.url + '/notify'))
    self.assertFalse(notify.answers('http://127.0.0.1:1/notify'))
