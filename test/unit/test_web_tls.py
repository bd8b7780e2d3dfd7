"""The server of the services by HTTPS, and clients that are slow or broken."""
import contextlib
import os
import socket
import ssl
import struct
import subprocess

from resilient import certificate

from .support import TestCase
from .test_web import echo
from .web_support import Served


class TestTls(TestCase):
  """HTTPS, with real clients."""

  def setUp(self):
    super().setUp()
    self.pem = self.path('page.pem')
    self.fingerprint = certificate.ensure(self.pem, '127.0.0.1')
    self.served = Served(self, echo, self.pem)

  def test_a_client_that_trusts_the_certificate_is_answered(self):
    self.assertEqual(self.served.ask('GET', '/x')[:2],
                     (200, b'GET /x 0 127.0.0.1'))

  def test_curl_and_openssl_see_the_certificate_that_is_published(self):
    result = subprocess.run(
      ['openssl', 's_client', '-connect', self.served.netloc],
      stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    shown = subprocess.run(
      ['openssl', 'x509', '-noout', '-fingerprint', '-sha256'],
      input=result.stdout, capture_output=True, timeout=30, check=True)
    self.assertIn(self.fingerprint, shown.stdout.decode())

  def test_one_that_trusts_others_alone_is_warned(self):
    self.served.certificate = None
    context = ssl.create_default_context()
    with socket.create_connection(
        (self.served.host, self.served.port), 10) as client:
      with self.assertRaises(ssl.SSLCertVerificationError):
        context.wrap_socket(client, server_hostname='127.0.0.1')

  def test_a_renewed_certificate_serves_the_next_connection(self):
    os.unlink(self.pem)
    certificate.ensure(self.pem, '127.0.0.1')
    with self.assertRaises(ssl.SSLError):
      self.served.ask('GET', '/')
    self.served.tls.refresh()
    self.assertEqual(self.served.ask('GET', '/')[0], 200)

  def test_old_protocols_and_plain_text_are_refused(self):
    self.assertNotIn(b' 200 ', self.served.raw(b'GET / HTTP/1.0\r\n\r\n'))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers('ALL:@SECLEVEL=0')
    with contextlib.suppress(ValueError):
      context.minimum_version = ssl.TLSVersion.TLSv1
      context.maximum_version = ssl.TLSVersion.TLSv1_1
      with socket.create_connection(
          (self.served.host, self.served.port), 10) as client:
        with self.assertRaises((ssl.SSLError, OSError)):
          context.wrap_socket(client)

  def test_handshakes_that_are_broken_off_fill_no_log(self):
    with self.assertNoLogs('asyncio'), self.assertLogs('resilient.web') as logs:
      for _ in range(300):
        client = socket.create_connection(('127.0.0.1', self.served.port), 10)
        client.sendall(b'x')
        # Close by a reset.
        client.setsockopt(
          socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        client.close()
      self.assertEqual(self.served.ask('GET', '/')[0], 200)
    self.assertLess(len(logs.records), 4)

  def test_handshakes_that_do_not_end_stop_nobody(self):
    for _ in range(50):
      client = socket.create_connection(('127.0.0.1', self.served.port), 10)
      self.addCleanup(client.close)
    self.assertEqual(self.served.ask('GET', '/')[0], 200)
