"""HTTP and HTTPS for the services: clients that are slow, many, or broken
neither stop the others nor grow the process.

A client has a few seconds to send its request, which is small; one connection
is one request; and where there are too many connections, those go first that
have been there for longest without a request.
"""
import asyncio
import concurrent.futures
import logging
import os
import signal
import ssl

from tornado import httpserver, netutil, wsgi

log = logging.getLogger('resilient.web')

_LARGEST_HEADER = 16 << 10
_LARGEST_BODY = 64 << 10
# Seconds for a whole request to arrive, and so for a TLS handshake, too.
_PATIENCE = 10
# Tornado accepts 128 at once before it reads from any of them, so that less
# than that would refuse clients that are quick.
_CONNECTIONS = 256
_CONNECTIONS_OF_ONE = 160
_THREADS = 4
# Seconds between two looks whether all is answered.
_TURN = 0.05
# Seconds between two looks whether another release is installed, or another
# certificate.
_LOOK = 5


class _Container(wsgi.WSGIContainer):
  """Runs a WSGI application in threads, and knows for which connections."""

  def __init__(self, application, executor):
    super().__init__(application, executor)
    self.busy = set()
    self.closing = False

  async def handle_request(self, request):
    """Answer `request`, or send it away when this ends: the client asks again.
    """
    stream = request.connection.stream
    if self.closing:
      stream.close()
      return
    self.busy.add(stream)
    try:
      await super().handle_request(request)
    finally:
      self.busy.discard(stream)

  def _log(self, status_code, request):
    """Log nothing: an URL may have a password or a token in it."""


class _HTTPServer(httpserver.HTTPServer):

  def initialize(self, container, tls):  # pylint: disable=arguments-differ
    """Tornado's constructor."""
    super().initialize(
      container, no_keep_alive=True, ssl_options=tls,
      idle_connection_timeout=_PATIENCE, body_timeout=_PATIENCE,
      max_header_size=_LARGEST_HEADER, max_body_size=_LARGEST_BODY,
      max_buffer_size=2 * _LARGEST_BODY)
    self._container = container
    # {stream: address}, the oldest first.
    self._clients = {}

  def handle_stream(self, stream, address):
    """Serve one more connection, if there is or can be made a place for it."""
    self._clients = {
      client: where for client, where in self._clients.items()
      if not client.closed()}
    own = [client for client, where in self._clients.items()
           if where == address[0]]
    if len(own) >= _CONNECTIONS_OF_ONE:
      candidates = own
    elif len(self._clients) >= _CONNECTIONS:
      candidates = self._clients
    else:
      candidates = None
    if candidates is not None:
      oldest = next((client for client in candidates
                     if client not in self._container.busy), stream)
      oldest.close()
      if oldest is stream:
        return
    self._clients[stream] = address[0]
    super().handle_stream(stream, address)


class Tls:
  """The certificate and the key in file `path`, for new connections also after
  the file changed."""

  def __init__(self, path):
    self.path = path
    self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    self.context.minimum_version = ssl.TLSVersion.TLSv1_2
    self._seen = None
    self.refresh()

  def refresh(self):
    """Load the file, if it changed."""
    status = os.stat(self.path)
    seen = status.st_ino, status.st_mtime_ns
    if seen != self._seen:
      self.context.load_cert_chain(self.path)
      self._seen = seen


class Server:
  """A server of WSGI `application`, to be used inside an event loop of asyncio.

  tls: a Tls, for HTTPS.
  """

  def __init__(self, application, address, port, tls=None):
    self._executor = concurrent.futures.ThreadPoolExecutor(_THREADS)
    self._container = _Container(application, self._executor)
    self._server = _HTTPServer(self._container, tls and tls.context)
    sockets = netutil.bind_sockets(port, address)
    self._server.add_sockets(sockets)
    self.port = sockets[0].getsockname()[1]

  async def close(self):
    """Take no more requests, and wait for the answers of those that run."""
    self._server.stop()
    self._container.closing = True
    # An answer takes several turns of the threads: they go last.  All that an
    # application waits for has a deadline, and so has this.
    while self._container.busy:
      await asyncio.sleep(_TURN)
    await self._server.close_all_connections()
    self._executor.shutdown()


async def _serve(application, address, port, is_outdated, tls):
  ended = asyncio.Event()
  loop = asyncio.get_running_loop()
  for number in (signal.SIGTERM, signal.SIGINT):
    loop.add_signal_handler(number, ended.set)
  server = Server(application, address, port, tls)
  log.info('serving at [%s]:%d', address, port)
  while not ended.is_set() and not is_outdated():
    try:
      await asyncio.wait_for(ended.wait(), _LOOK)
    except asyncio.TimeoutError:
      if tls:
        tls.refresh()
  await server.close()
  return not ended.is_set()


def serve(application, address, port, is_outdated, certificate=None):
  """Serve WSGI `application` until SIGTERM, or until is_outdated(); return
  whether that was why it ended.

  certificate: file with a key and a certificate, for HTTPS.

  Raises OSError, when the port is not free.
  """
  tls = Tls(certificate) if certificate else None
  return asyncio.run(_serve(application, address, port, is_outdated, tls))
