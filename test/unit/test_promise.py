"""Promises: each is green when all is well, and each can be red."""
import os
import pathlib
import queue
import re
import shutil
import socket
import tempfile
import time
import unittest.mock

from resilient import (
  certificate,
  heartbeat,
  limits,
  notifier,
  promise,
  takeover_page,
)
from resilient.durable import lock, write_json

from .partition import ROOT
from .support import TestCase
from .web_support import Served


class PromiseCase(TestCase):
  """Promises, asked as slapgrid asks them."""

  def make(self, kind, **config):
    """Return the promise of class `kind`."""
    return kind({**{
      'name': 'promise.py', 'path': self.path('promise.py'),
      'partition-folder': self.directory, 'log-folder': self.path('log'),
      'queue': queue.Queue(), 'patience': '0.1'}, **config})

  def problem(self, kind, **config):
    """Return what promise `kind` says is wrong, or '' if it is green."""
    found = self.make(kind, **config)
    found.sense()
    result = found.anomaly()
    self.assertEqual(result.hasFailed(), found.test().hasFailed())
    shutil.rmtree(self.path('log'))
    for handler in found.logger.handlers:
      handler.close()
    return result.message if result.hasFailed() else ''


class TestListening(PromiseCase):
  """Something answers at a port."""

  def setUp(self):
    super().setUp()
    self.server = socket.create_server(('::1', 0), family=socket.AF_INET6)
    self.addCleanup(self.server.close)
    self.port = str(self.server.getsockname()[1])

  def look(self, **config):
    """Return what is wrong with the port."""
    return self.problem(
      promise.Listening, host='::1', port=self.port, **config)

  def test_green_while_it_listens_and_red_after(self):
    self.assertEqual(self.look(), '')
    self.server.close()
    self.assertIn('does not answer', self.look())

  def test_a_socket_in_the_partition(self):
    path = os.path.join(tempfile.mkdtemp(prefix='promise-'), 'socket')
    self.addCleanup(shutil.rmtree, os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as server:
      server.bind(path)
      server.listen()
      self.assertEqual('', self.problem(promise.Listening, socket=path))
    self.assertIn(path + ' does not answer', self.problem(
      promise.Listening, socket=path, patience='0'))

  def test_red_for_another_banner_than_expected(self):
    def talk():
      connection, _ = self.server.accept()
      with connection:
        connection.sendall(b'HTTP/1.0\r\n')

    with self.thread(talk):
      self.assertIn('does not answer as it should',
                    self.look(banner='SSH-2.0-', patience='0'))
    with self.thread(talk):
      self.assertEqual(self.look(banner='HTTP/', patience='0'), '')


class TestAnswering(PromiseCase):
  """An HTTP server answers."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')

  def look(self, url):
    """Return what is wrong with the server at `url`."""
    return self.problem(promise.Answering, url=url)

  def page(self, pem=None):
    """Return the Served takeover page."""
    return Served(self, takeover_page.application(
      lambda: self.clone.configuration,
      (ROOT / 'templates/takeover.html').read_text(encoding='utf-8')), pem)

  def test_red_for_a_server_that_accepts_and_never_answers(self):
    with socket.create_server(('::1', 0), family=socket.AF_INET6) as server:
      with unittest.mock.patch.object(promise, '_ANSWER', 0.2):
        for scheme in ('http', 'https'):
          url = '%s://[::1]:%d/' % (scheme, server.getsockname()[1])
          self.assertIn(url + ' does not answer', self.look(url))
    self.assertIn(url + ' does not answer', self.look(url))

  def test_green_for_the_services_of_the_stack(self):
    served = Served(self, notifier.application(
      lambda: self.clone.configuration))
    self.assertEqual(self.look('http://%s/' % served.netloc), '')
    pem = self.path('etc', 'page.pem')
    # It is signed by itself, and of an address that is none any more.
    certificate.ensure(pem, '2001:db8::1')
    served = self.page(pem)
    self.assertEqual(self.look('https://%s/' % served.netloc), '')

  def test_it_takes_nothing_from_what_a_person_may_ask(self):
    with unittest.mock.patch(
        'resilient.door.Rate', lambda: limits.Rate((0, 1), (0, 1))):
      served = self.page()
    pathlib.Path(self.clone.at('etc/password')).write_text('p')
    url = 'http://%s/' % served.netloc
    self.assertEqual(self.look(url), '')
    self.assertEqual(served.ask('GET', '/')[0], 200)
    # Nor is it limited when others have asked too much.
    self.assertEqual(served.ask('GET', '/')[0], 429)
    self.assertEqual(self.look(url), '')

  def test_page_and_notifier_have_to_answer(self):
    known = (ROOT / 'templates/promise.py.in').read_text()
    profiles = ''.join(path.read_text() for path in ROOT.glob('*.cfg.in'))
    for name in ('promise-takeover', 'promise-notifier-listening'):
      self.assertRegex(
        profiles, r'\[%s\]\n<= .*\nclass = Answering\n' % name)
    for name in re.findall('^class = (.+)', profiles, re.MULTILINE):
      self.assertRegex(known, r'\b%s\b' % name)


class TestAlive(PromiseCase):
  """A service holds its lock and gives signs of life."""

  def setUp(self):
    super().setUp()
    self.place = self.partition('import')
    self.configuration = self.place.configuration

  def look(self):
    """Return what is wrong with the queue."""
    return self.problem(
      promise.Alive, configuration=self.place.at('etc/resilient.json'),
      service='equeue')

  def test_red_when_nobody_holds_the_lock(self):
    heartbeat.beat(self.configuration, 'equeue')
    self.assertIn('equeue is not running', self.look())

  def test_green_when_it_beats(self):
    with lock(self.configuration.state('equeue.lock')):
      heartbeat.beat(self.configuration, 'equeue')
      self.assertEqual(self.look(), '')

  def beaten(self, ago, task=None):
    """Let the last sign of life be `ago` seconds old; return the promise."""
    write_json(self.configuration.state('equeue.heartbeat'), {
      'at': time.time() - ago, 'task': task})
    with lock(self.configuration.state('equeue.lock')):
      return self.look()

  def test_red_when_it_hangs(self):
    self.assertRegex(self.beaten(200), 'silent for 2[0-2]. s')

  def test_red_when_a_task_never_ends_but_not_when_it_is_long(self):
    self.place.configure(**{'import-deadline': 5 * 3600})
    self.assertEqual(self.beaten(5 * 3600 + 1, 'import'), '')
    self.assertIn('busy with import', self.beaten(7 * 3600, 'import'))
    # It began by a clock that has been put back since.
    self.assertIn('busy with import', self.beaten(-7 * 3600, 'import'))
    self.place.configure(**{'import-deadline': 48 * 3600})
    self.assertEqual(self.beaten(48 * 3600 + 1, 'import'), '')


class TestStamped(PromiseCase):
  """Something touches a file."""

  def test_red_when_the_stamp_is_old_and_the_partition_is_not_new(self):
    place = self.partition('export')
    stamp, told = self.path('stamp'), place.at('etc/resilient.json')

    def look():
      return self.problem(promise.Stamped, stamp=stamp, configuration=told)

    self.assertEqual(look(), '', 'it is only just deployed')
    os.utime(told, (1e9, 1e9))
    self.assertIn('was last touched', look())
    with open(stamp, 'w', encoding='ascii'):
      pass
    self.assertEqual(look(), '')
    os.utime(stamp, (time.time() - 200,) * 2)
    self.assertRegex(look(), 'was last touched 2[0-2]. s ago')
    # It was deployed by a clock that was ahead, and is touched by a right one.
    os.utime(told, (time.time() + 1e7,) * 2)
    self.assertIn('was last touched', look())
    os.utime(stamp)
    self.assertEqual(look(), '')


class TestBackup(PromiseCase):
  """The topics of the state."""

  def test_red_for_its_topics_alone(self):
    place = self.partition('export')
    path = place.at('etc/resilient.json')
    place.configuration.store.record('export', 1e9, 1.0, False, '', 'why')
    self.assertEqual(self.problem(
      promise.Backup, configuration=path, topics='export freshness'),
      'export failed: why')
    self.assertEqual(self.problem(
      promise.Backup, configuration=path, topics='freshness'), '')

  def test_red_for_a_configuration_that_is_missing(self):
    with self.assertRaisesRegex(Exception, 'deploy the instance'):
      self.problem(promise.Backup, configuration=self.path('none'),
                   topics='export')


class TestNotified(PromiseCase):
  """The PBS that could not be told."""

  def test_red_until_the_pbs_answers_again(self):
    with socket.create_server(('::1', 0), family=socket.AF_INET6) as server:
      port = server.getsockname()[1]
    url = 'http://[::1]:%d/notify' % port
    place = self.partition('export', notify=url)
    write_json(place.configuration.state('notified.json'), {
      'failures': {url: 'refused'}})
    path = place.at('etc/resilient.json')
    self.assertIn('was not notified',
                  self.problem(promise.Notified, configuration=path))
    with socket.create_server(
        ('::1', port), family=socket.AF_INET6) as server:

      def answer():
        connection, _ = server.accept()
        with connection:
          connection.recv(1000)
          connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n')

      with self.thread(answer):
        self.assertEqual(
          self.problem(promise.Notified, configuration=path), '')
