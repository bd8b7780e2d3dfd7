"""Hints: sent to all at once, each with a limit."""
import http.server
import json
import socket
import threading
import time

from resilient import notify
from resilient.durable import read_json

from .support import generation, TestCase
from .web_support import serve_bytes


class TestSend(TestCase):
  """notify.notify_all, to real servers."""

  def setUp(self):
    super().setUp()
    self.leader = self.partition('export')
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

  def notify(self, *urls, deadline=30):
    """Notify `urls` of a generation, with so many seconds; return what failed.
    """
    self.leader.configure(**{
      'notify': ' '.join(urls), 'notification-deadline': deadline})
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
    failures = self.notify(
      dead, nonsense, silent, broken, self.server(), self.server(), deadline=5)
    self.assertEqual(failures.keys(), {dead, silent, broken, nonsense})
    self.assertIn('Unsupported url scheme', failures[nonsense])
    self.assertEqual(len(self.received), 3)

  def test_two_silent_ones_together_take_no_longer_than_one(self):
    started = time.monotonic()
    urls = [self.silent() for _ in range(8)]
    self.assertEqual(self.notify(*urls, deadline=3).keys(), set(urls))
    # One after the other takes 24 s.
    self.assertLess(time.monotonic() - started, 20)

  def test_those_that_drip_are_left_at_the_limit(self):
    urls = [serve_bytes(self, b'HTTP/1.1 200 OK\r\n', b'X: y\r\n') + 'notify'
            for _ in range(4)]
    # Else it has no end.
    self.assertEqual(self.notify(*urls, deadline=1).keys(), set(urls))

  def test_the_outcome_is_kept_for_the_promise(self):
    silent = self.silent()
    self.notify(silent, deadline=1)
    kept = read_json(self.leader.configuration.state('notified.json'))
    self.assertEqual((kept['generation'], list(kept['failures'])),
                     ('1.7', [silent]))
    self.notify(self.server())
    kept = read_json(self.leader.configuration.state('notified.json'))
    self.assertEqual(kept['failures'], {})
