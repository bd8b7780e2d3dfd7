"""The server of the services, and clients that are slow, many, or broken."""
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import unittest.mock

from resilient import web

from ..ports import free_port
from .partition import ROOT
from .support import TestCase, wait_until
from .web_support import Served


def echo(environ, start_response):
  """Answer with what was asked: a WSGI application."""
  body = environ['wsgi.input'].read()
  start_response('200 OK', [('Content-Type', 'text/plain')])
  return [b'%s %s %d %s' % (
    environ['REQUEST_METHOD'].encode(), environ['PATH_INFO'].encode('latin-1'),
    len(body), environ['REMOTE_ADDR'].encode())]


class TestServer(TestCase):
  """web.Server"""

  def setUp(self):
    super().setUp()
    self.served = Served(self, echo)

  def hold(self, number, data=b'POST / HTTP/1.1\r\nHost: x\r\n'):
    """Open connections that never end their request."""
    for _ in range(number):
      client = socket.create_connection(('127.0.0.1', self.served.port), 10)
      self.addCleanup(client.close)
      with contextlib.suppress(OSError):
        client.sendall(data)

  def connect(self, address):
    """Return a new connection from 127.0.0.`address`."""
    client = socket.create_connection(
      ('127.0.0.1', self.served.port), 10, ('127.0.0.%d' % address, 0))
    self.addCleanup(client.close)
    return client

  def test_requests_of_few_that_wait_for_an_answer_stop_no_other(self):
    leave = threading.Event()
    self.addCleanup(leave.set)

    def slow(environ, start_response):
      if environ['REMOTE_ADDR'] != '127.0.0.1':
        leave.wait(20)
      return echo(environ, start_response)

    self.served = Served(self, slow)
    with unittest.mock.patch.multiple(
        web, _CONNECTIONS=12, _CONNECTIONS_OF_ONE=8, _REQUESTS_OF_ONE=1):
      for address in (2, 3) * 10:
        self.connect(address).sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      busy = self.served.server._container.busy
      wait_until(lambda: len(busy) == 2, 'one of each is being answered')
      self.assertEqual(self.served.ask('GET', '/hint')[0], 200)
      leave.set()

  def test_who_has_many_requests_gets_all_answers(self):
    answers = []
    with unittest.mock.patch.object(web, '_REQUESTS_OF_ONE', 2), \
         contextlib.ExitStack() as beside:
      for _ in range(20):
        beside.enter_context(self.thread(
          lambda: answers.append(self.served.ask('GET', '/')[0])))
    self.assertEqual(answers, [200] * 20)
    # A turn ends behind its answer.
    wait_until(lambda: not self.served.server._container._turns,
               'no turn is left')

  def test_who_has_few_connections_keeps_them(self):
    with unittest.mock.patch.multiple(
        web, _CONNECTIONS=12, _CONNECTIONS_OF_ONE=8):
      client = self.connect(1)
      client.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n')
      for address in (2, 3) * 10:
        self.connect(address)
      self.assertEqual(self.served.ask('GET', '/')[0], 200)
      client.sendall(b'\r\n')
      self.assertIn(b' 200 ', client.recv(1000))

  def test_a_network_of_addresses_is_one_client(self):
    self.assertEqual(web._client('2001:db8::1'), web._client('2001:db8::ff:2'))
    self.assertNotEqual(
      web._client('2001:db8::1'), web._client('2001:db8:0:1::1'))
    self.assertEqual(web._client('fe80::1%eth0'), web._client('fe80::2'))
    self.assertNotEqual(web._client('127.0.0.1'), web._client('127.0.0.2'))

  def test_it_answers(self):
    self.assertEqual(self.served.ask('POST', '/a', b'body')[:2],
                     (200, b'POST /a 4 127.0.0.1'))

  def test_a_connection_is_one_request(self):
    said = self.served.raw(b'GET /1 HTTP/1.1\r\nHost: x\r\n\r\n'
                           b'GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    self.assertIn(b'GET /1', said)
    self.assertNotIn(b'GET /2', said)

  def test_what_is_large_is_refused(self):
    for data in (b'GET /' + b'x' * 20_000 + b' HTTP/1.1\r\nHost: x\r\n\r\n',
                 b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 5_000 + b'\r\n',
                 b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n'
                 + b'x' * 70_000,
                 b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9%s\r\n\r\n'
                 % (b'9' * 50),
                 b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked'
                 b'\r\n\r\n' + b'4000\r\n%s\r\n' % (b'x' * 0x4000) * 5):
      self.assertNotIn(b' 200 ', self.served.raw(data)[:20])
    self.assertEqual(self.served.ask('GET', '/')[0], 200)

  def test_slow_clients_neither_stop_others_nor_stay(self):
    with unittest.mock.patch.multiple(
        web, _CONNECTIONS=40, _CONNECTIONS_OF_ONE=20):
      self.hold(60)
      for number in range(10):
        self.assertEqual(self.served.ask('GET', '/%d' % number)[0], 200)
      self.assertLessEqual(len(self.served.server._server._clients), 20)

  def test_a_slow_request_has_an_end(self):
    with unittest.mock.patch.object(web, '_PATIENCE', 0.3):
      served = Served(self, echo)
    for start in (b'', b'GET / HT', b'POST / HTTP/1.1\r\nHost: x\r\n'
                  b'Content-Length: 5\r\n\r\n12'):
      with socket.create_connection(('127.0.0.1', served.port), 10) as client:
        client.sendall(start)
        self.assertNotIn(b' 200 ', client.recv(1000))

  def test_who_is_being_answered_is_not_sent_away_for_those_who_come(self):
    entered, leave = threading.Event(), threading.Event()

    def slow(environ, start_response):
      entered.set()
      leave.wait(20)
      return echo(environ, start_response)

    self.served = Served(self, slow)
    answers = []
    with unittest.mock.patch.object(web, '_CONNECTIONS_OF_ONE', 5), self.thread(
        lambda: answers.append(self.served.ask('GET', '/takeover')[0])):
      self.assertTrue(entered.wait(10))
      self.hold(20)
      leave.set()
    self.assertEqual(answers, [200])

  def test_who_is_being_answered_when_it_ends_gets_the_whole_answer(self):
    entered, leave = threading.Event(), threading.Event()

    def slow(environ, start_response):
      entered.set()
      leave.wait(20)
      yield from echo(environ, start_response)
      yield b' and more'

    self.served = Served(self, slow)
    answers = []
    with self.thread(
        lambda: answers.append(self.served.ask('GET', '/takeover')[:2])):
      self.assertTrue(entered.wait(10))
      self.served.close()
      wait_until(lambda: not self._answers(), 'no more is taken')
      leave.set()
    self.assertEqual(answers, [(200, b'GET /takeover 0 127.0.0.1 and more')])

  def test_thousands_of_requests_leave_nothing_behind(self):
    self.served.port = free_port()
    process = self.start(
      [sys.executable, '-c', 'import sys\nsys.path.insert(0, %r)\n'
       'from test.unit import support\n'
       'from test.unit.test_web import echo\nfrom resilient import web\n'
       'web.serve(echo, "127.0.0.1", int(sys.argv[1]), lambda: False)'
       % str(ROOT), str(self.served.port)], stdout=subprocess.DEVNULL)
    wait_until(self._answers, 'the server answers')

    def memory():
      with open('/proc/%d/statm' % process.pid, encoding='ascii') as source:
        return int(source.read().split()[1]) * 4096

    def flood(number, size):
      for _ in range(number):
        with contextlib.suppress(OSError):
          self.served.raw(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d'
                          b'\r\n\r\n' % size + b'x' * size)

    flood(100, 60_000)
    before = memory()
    for _ in range(2):
      threads = [threading.Thread(target=flood, args=(125, 60_000))
                 for _ in range(8)]
      for thread in threads:
        thread.start()
      for thread in threads:
        thread.join()
    self.hold(300)
    self.assertTrue(self._answers())
    # Thousands of bodies are 120 MB, the connections' buffers a few.
    self.assertLess(memory() - before, 40 << 20)
    process.send_signal(signal.SIGTERM)
    self.assertEqual(process.wait(20), 0)

  def _answers(self):
    try:
      return self.served.ask('GET', '/')[0] == 200
    except OSError:
      return False
