"""The two services that strangers can reach, as processes."""
import http.client
import os
import pathlib
import shlex
import signal
import socket
import ssl
import urllib.error
import urllib.request

from resilient import (
  authentication,
  certificate,
  configuration,
  notify,
  service,
)

from ..ports import free_port
from .partition import ROOT
from .support import generation, TestCase, wait_until


class ServiceCase(TestCase):
  """A clone whose services can be started."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.port = free_port()
    self.log = self.clone.at('var/log/service.log')
    self.services = self.path('services')
    os.mkdir(self.services)
    pathlib.Path(self.clone.at('etc/password')).write_text('the password')

  def serve(self, name, command, *arguments):
    """Install and start service `name`; return its process once it answers."""
    self.install(
      name, *self.clone.command(command), '--log', self.log, *arguments)
    self.process = self.start([os.path.join(self.services, name)])
    wait_until(self.listens, 'it listens')
    return self.process

  def listens(self):
    """Whether something accepts connections at the port."""
    try:
      socket.create_connection(('::1', self.port), 5).close()
    except OSError:
      return False
    return True

  def ask(self, path, scheme='http', data=None, cafile=None):
    """Return (status, text) of the answer."""
    context = ssl.create_default_context(cafile=cafile) if cafile else None
    try:
      url = '%s://[::1]:%d%s' % (scheme, self.port, path)
      with urllib.request.urlopen(
          url, data, timeout=20, context=context) as answer:
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
      with error:
        return error.code, error.read().decode()

  def assertEnds(self):
    """The process ends by SIGTERM, as it should."""
    self.process.send_signal(signal.SIGTERM)
    self.assertEqual(self.process.wait(30), 0)
    self.assertFalse(self.listens())

  def install(self, name, *arguments):
    """Let service `name`, as it is installed, run `arguments`."""
    self.script('services/' + name, 'export PYTHONPATH=%s\nexec %s\n' % (
      ROOT, shlex.join(arguments)))
    self.clone.configure(**{'services-directory': self.services})

  def successor(self, name):
    """Install another release; return the file that its service makes."""
    made = self.path('successor')
    self.install(name, 'touch', made)
    self.clone.configure(code=self.path('other'))
    return made


class TestNotifier(ServiceCase):
  """resilient notifier"""

  def setUp(self):
    super().setUp()
    self.clone.configure(**{'notifier-port': self.port})

  def serve_notifier(self):
    """Start it; return its process."""
    return self.serve('notifier', 'notifier')

  def test_it_serves_and_ends_though_a_client_hangs(self):
    self.serve_notifier()
    hanging = socket.create_connection(('::1', self.port), 10)
    self.addCleanup(hanging.close)
    hanging.sendall(b'POST /notify HTTP/1.1\r\n')
    leader = self.partition('export').configuration
    notify.post(leader, 'http://[::1]:%d/notify' % self.port, generation(), 20)
    self.assertEqual(self.clone.configuration.store.pending(), {'import': 1})
    self.assertEnds()

  def test_no_secret_gets_into_its_log(self):
    self.serve_notifier()
    secret = self.clone.options['secret-file']
    token = authentication.token(secret, authentication.FEEDS)
    self.assertEqual(self.ask('/get/%s/import' % token)[0], 200)
    self.assertEqual(self.ask('/get/%s/nothing' % token)[0], 404)
    self.assertEqual(self.ask('/notify', data=b'x' * 10)[0], 403)
    with socket.create_connection(('::1', self.port), 10) as client:
      client.sendall(b'GET /get/%s/ \x00\r\n\r\n' % token.encode())
      client.recv(100)
    self.assertEnds()
    log = pathlib.Path(self.log).read_text()
    self.assertIn('a hint from ::1 is refused', log)
    self.assertNotIn(token, log)
    self.assertNotIn('Traceback', log)

  def test_told_to_end_it_does_not_go_on_as_another_release(self):
    self.serve_notifier()
    # Who answers has looked whether there is one, and looks again in 5 s.
    self.assertEqual(self.ask('/')[0], 204)
    made = self.successor('notifier')
    self.assertEnds()
    self.assertFalse(os.path.exists(made))

  def test_it_goes_on_as_the_release_that_is_installed(self):
    self.serve_notifier()
    made = self.successor('notifier')
    wait_until(lambda: os.path.exists(made), 'the successor runs', 30)
    self.assertEqual(self.process.wait(20), 0)

  def test_it_goes_on_at_another_port(self):
    process, before = self.serve_notifier(), self.port
    self.port = free_port()
    self.clone.configure(**{'notifier-port': self.port})
    wait_until(self.listens, 'it listens at the other port', 30)
    self.assertIsNone(process.poll())
    self.assertEnds()
    self.port = before
    self.assertFalse(self.listens())


class TestPage(ServiceCase):
  """resilient takeover-page"""

  def setUp(self):
    super().setUp()
    self.pem = self.clone.at('etc/page.pem')
    certificate.ensure(self.pem, '::1')
    self.clone.configure(**{
      'takeover-port': self.port, 'takeover-certificate': self.pem})

  def serve_page(self):
    """Start it."""
    self.serve('resilient-web-takeover-httpd', 'takeover-page', '--template',
               str(ROOT / 'templates/takeover.html'))

  def test_no_password_gets_into_its_log(self):
    self.serve_page()
    for password in ('the+password', 'not+this+one'):
      for path, data in (('/?password=' + password, None),
                         ('/', b'password=' + password.encode())):
        status, text = self.ask(path, 'https', data, self.pem)
        # There is no backup, so the right one is refused later.
        self.assertEqual(status, 409 if 'the' in password else 403, text)
    self.assertEnds()
    log = pathlib.Path(self.log).read_text()
    self.assertIn('::1 asked for a takeover', log)
    self.assertIn('::1 gave a wrong password', log)
    for password in ('the password', 'the+password', 'not this', 'not+this'):
      self.assertNotIn(password, log)

  def test_a_renewed_certificate_is_served_without_a_restart(self):
    self.serve_page()
    os.unlink(self.pem)
    certificate.ensure(self.pem, '::1')

    wait_until(lambda: self.answers('https', None, self.pem),
               'the new certificate is served', 30)
    self.assertEnds()

  def test_it_goes_on_as_the_release_that_is_installed(self):
    self.serve_page()
    made = self.successor('resilient-web-takeover-httpd')
    wait_until(lambda: os.path.exists(made), 'the successor runs', 30)

  def answers(self, *arguments):
    """Whether it answers in this way."""
    try:
      return self.ask('/', *arguments)[0] == 200
    except (OSError, http.client.HTTPException):
      return False

  def test_plain_http_if_that_is_wanted_and_https_again(self):
    self.clone.configure(**{'takeover-certificate': ''})
    self.serve_page()
    self.assertEqual(self.ask('/')[0], 200)
    self.clone.configure(**{'takeover-certificate': self.pem})
    wait_until(lambda: self.answers('https', None, self.pem), 'HTTPS', 30)
    self.assertFalse(self.answers())
    self.clone.configure(**{'takeover-certificate': ''})
    wait_until(self.answers, 'plain HTTP', 30)
    self.assertIsNone(self.process.poll())
    self.assertEnds()

  def test_of_an_instance_that_is_no_clone_any_more_the_node_ends_it(self):
    began = self.clone.configuration
    watched = configuration.Watched(began)
    self.clone.configure(role='export')
    self.assertEqual(watched.current().role, 'export')
    self.assertFalse(service.is_outdated(watched, began, 'takeover_port'))
