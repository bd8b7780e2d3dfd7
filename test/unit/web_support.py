"""A service's application behind its real server, in a thread."""
import asyncio
import contextlib
import http.client
import http.server
import json
import socket
import socketserver
import ssl
import threading
import urllib.parse

from resilient import authentication, web

from .support import wait_until


class Served:
  """WSGI `application` at ``127.0.0.1``, `port`, while `test` runs.

  certificate: file for HTTPS.
  """

  host = '127.0.0.1'

  def __init__(self, test, application, certificate=None):
    self.certificate = certificate
    self.tls = web.Tls(certificate) if certificate else None
    self._application = application
    self._loop = asyncio.new_event_loop()
    self._ended = asyncio.Event()
    self.port = None
    thread = threading.Thread(
      target=self._loop.run_until_complete, args=(self._run(),))
    thread.start()
    test.addCleanup(self._loop.close)
    test.addCleanup(thread.join)
    test.addCleanup(self.close)
    wait_until(lambda: self.port, 'the server listens')

  async def _run(self):
    self.server = web.Server(self._application, self.host, 0, self.tls)
    self.port = self.server.port
    await self._ended.wait()
    await self.server.close()

  def close(self):
    """Let it end."""
    self._loop.call_soon_threadsafe(self._ended.set)

  @property
  def netloc(self):
    """Where it is, as in an URL."""
    return '%s:%d' % (self.host, self.port)

  def connection(self):
    """Return a new http.client connection, which trusts the certificate."""
    if not self.certificate:
      return http.client.HTTPConnection(self.host, self.port, timeout=15)
    context = ssl.create_default_context(cafile=self.certificate)
    return http.client.HTTPSConnection(
      self.host, self.port, timeout=15, context=context)

  def ask(self, method, path, body=None, headers=()):
    """Return (status, body, headers) of the answer.  Raises OSError,
    http.client.HTTPException."""
    connection = self.connection()
    try:
      connection.request(method, path, body, dict(headers))
      answer = connection.getresponse()
      return answer.status, answer.read(), answer.headers
    finally:
      connection.close()

  def raw(self, data, patience=15):
    """Send bytes, and return all bytes of the answer."""
    with socket.create_connection((self.host, self.port), patience) as client:
      found = b''
      try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
      except OSError:
        # It was sent away before it had said all.
        pass
      try:
        while part := client.recv(65536):
          found += part
      except ConnectionResetError:
        pass
      return found


def serve(test, handler):
  """Return the URL of a server of class `handler`, while `test` runs."""
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  test.addCleanup(server.server_close)
  test.addCleanup(server.shutdown)
  return 'http://127.0.0.1:%d/' % server.server_port


def serve_bytes(test, data, drop=b''):
  """Return the URL of what answers each connection by `data`, HTTP or not, and
  then by `drop`, again and again, as long as somebody listens."""
  class Handler(socketserver.StreamRequestHandler):
    """Answers."""

    def handle(self):
      """Say it."""
      self.request.recv(1 << 16)
      with contextlib.suppress(OSError):
        self.wfile.write(data)
        while drop and not ended.wait(0.1):
          self.wfile.write(drop)

  ended = threading.Event()
  url = serve(test, Handler)
  test.addCleanup(ended.set)
  return url


def serve_status(test, status, secret):
  """Return the URL of a partition that says `status`, for JSON or as bytes, in
  the name of the tree whose secret is in file `secret`."""
  class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /status."""

    def do_GET(self):
      """Say it, signed."""
      where = urllib.parse.urlsplit(self.path)
      known = where.path == '/status/' + authentication.token(
        secret, authentication.STATUS)
      body = (status if isinstance(status, bytes)
              else json.dumps(status).encode())
      self.send_response(200 if known else 404)
      self.send_header(
        authentication.ANSWER_SIGNATURE, authentication.answer_signature(
          secret, urllib.parse.parse_qs(where.query)['question'][0], body))
      self.end_headers()
      self.wfile.write(body)

    def log_message(self, *_):
      """Say nothing."""

  return serve(test, Handler)
