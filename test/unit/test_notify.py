"""Hints: sent to all at once, each with a limit; received without harm."""
import http.server
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import waitress

from resilient import notifier, notify
from resilient.configuration import Watched
from resilient.durable import read_json

from .support import generation, TestCase


class TestSend(TestCase):
  """notify.notify_all, to real servers."""

  def setUp(self):
    super().setUp()
    self.leader = self.partition('export', **{'notification-deadline': 1})
    self.received = []

  def server(self, status=204):
    """Start a PBS that answers with `status`; return its URL."""
    received = self.received

    class Handler(http.server.BaseHTTPRequestHandler):
      """Notes what it is told."""

      def do_POST(self):
        """Answer a hint."""
        received.append(json.loads(self.rfile.read(
          int(self.headers['Content-Length']))))
        self.send_response(status)
        self.end_headers()

      def log_message(self, *_):
        """Stay silent."""

    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()
    self.addCleanup(server.server_close)
    self.addCleanup(server.shutdown)
    return 'http://127.0.0.1:%d/notify' % server.server_address[1]

  def silent(self):
    """Return the URL of a server that accepts and never answers."""
    server = socket.create_server(('127.0.0.1', 0))
    self.addCleanup(server.close)
    return 'http://127.0.0.1:%d/notify' % server.getsockname()[1]

  def dripping(self):
    """Return the URL of a server that never comes to the end of its answer."""
    server = socket.create_server(('127.0.0.1', 0))
    ended = threading.Event()

    def drip():
      connection, _ = server.accept()
      with connection:
        connection.sendall(b'HTTP/1.1 200 OK\r\n')
        while not ended.wait(0.1):
          try:
            connection.sendall(b'X: y\r\n')
          except OSError:
            return

    thread = threading.Thread(target=drip)
    thread.start()
    self.addCleanup(server.close)
    self.addCleanup(thread.join)
    self.addCleanup(ended.set)
    return 'http://127.0.0.1:%d/notify' % server.getsockname()[1]

  def notify(self, *urls):
    """Notify `urls` of a generation; return what failed."""
    self.leader.configure(notify=' '.join(urls))
    return notify.notify_all(self.leader.configuration, generation(7))

  def test_every_pbs_is_told_which_generation_there_is(self):
    self.assertEqual(self.notify(self.server(), self.server()), {})
    self.assertEqual([body['generation']['sequence']
                      for body in self.received], [7, 7])

  def test_a_dead_a_silent_and_a_broken_pbs_do_not_hide_the_others(self):
    closed = socket.create_server(('127.0.0.1', 0))
    dead = 'http://127.0.0.1:%d/notify' % closed.getsockname()[1]
    closed.close()
    silent, broken, nonsense = self.silent(), self.server(500), 'no-url'
    started = time.monotonic()
    failures = self.notify(
      dead, nonsense, silent, broken, self.server(), self.server())
    self.assertLess(time.monotonic() - started, 3)
    self.assertEqual(failures.keys(), {dead, silent, broken, nonsense})
    self.assertIn('unknown url type', failures[nonsense])
    self.assertEqual(len(self.received), 3)

  def test_two_silent_ones_together_take_no_longer_than_one(self):
    started = time.monotonic()
    self.assertEqual(len(self.notify(*(self.silent() for _ in range(5)))), 5)
    self.assertLess(time.monotonic() - started, 2.5)

  def test_those_that_drip_are_left_at_the_limit(self):
    urls = [self.dripping() for _ in range(4)]
    started = time.monotonic()
    self.assertEqual(self.notify(*urls).keys(), set(urls))
    self.assertLess(time.monotonic() - started, 3)

  def test_the_outcome_is_kept_for_the_promise(self):
    silent = self.silent()
    self.notify(silent)
    kept = read_json(self.leader.configuration.state('notified.json'))
    self.assertEqual((kept['generation'], list(kept['failures'])),
                     ('1.7', [silent]))
    self.notify(self.server())
    kept = read_json(self.leader.configuration.state('notified.json'))
    self.assertEqual(kept['failures'], {})


class TestReceive(TestCase):
  """The notifier of a clone, over HTTP."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.store = self.clone.configuration.store
    watched = Watched(self.clone.configuration)
    server = waitress.create_server(
      notifier.application(watched.current), host='127.0.0.1', port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    self.addCleanup(thread.join)
    self.addCleanup(server.close)
    self.url = 'http://127.0.0.1:%s' % server.effective_port

  def ask(self, path, data=None):
    """Return (status, body) of a request."""
    try:
      with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:
        return answer.status, answer.read()
    except urllib.error.HTTPError as error:
      with error:
        return error.code, error.read()

  def test_a_hint_is_durable_when_it_is_answered(self):
    notify.post(self.url + '/notify', generation(), 10)
    self.assertEqual(self.store.pending(), {'import': 1})

  def test_whatever_a_hint_says_it_only_has_the_tasks_look(self):
    for body in (b'', b'{', b'{"generation": {"epoch": 99}}', b'\xff' * 1000):
      self.assertEqual(self.ask('/notify', body)[0], 204)
    self.assertEqual(self.store.pending().keys(), {'import'})
    self.assertIsNone(self.store.last_run('import'))

  def test_a_flood_of_hints_is_one_pending_task(self):
    for _ in range(50):
      self.ask('/notify', b'')
    self.assertEqual(self.store.pending(), {'import': 50})

  def test_a_huge_hint_is_refused(self):
    self.assertEqual(self.ask('/notify', b'x' * (5 << 20))[0], 413)
    self.assertEqual(self.store.pending(), {})

  def test_only_a_post_is_a_hint(self):
    self.assertEqual(self.ask('/notify')[0], 405)
    self.assertEqual(self.store.pending(), {})

  def test_the_status_is_served(self):
    status = json.loads(self.ask('/status')[1])
    self.assertEqual((status['role'], status['verified']), ('import', None))
