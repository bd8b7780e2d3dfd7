"""HTTP and HTTPS for the services: clients that are slow, many, or broken
neither stop the others nor grow the process.

A client has a few seconds to send its request, which is small; one connection
is one request; clients take turns to be answered; and where there are too many
connections, one of the client that has most of them goes, that has
been there for longest without a request.
"""
import asyncio
import collections
import concurrent.futures
import contextlib
import ipaddress
import logging
import os
import signal
import ssl

from tornado import httpserver, netutil, wsgi

from .limits import Seldom

log = logging.getLogger('resilient.web')

_LARGEST_HEADER = 16 << 10
_LARGEST_BODY = 64 << 10
# Seconds for a whole request to arrive, and so for a TLS handshake, too.
_PATIENCE = 10
# Tornado accepts 128 at once before it reads from any of them, so that less
# than that would refuse clients that are quick.
_CONNECTIONS = 256
_CONNECTIONS_OF_ONE = 160
# So many requests of one client may wait for the threads, or be there; those
# that wait for that may be sent away for another client's.
_REQUESTS_OF_ONE = 16
_THREADS = 4
# Seconds between two looks whether all is answered.
_TURN = 0.05
# Seconds between two looks whether another release is installed, or another
# certificate.
_LOOK = 5


def _client(address):
  """Return what stands for who is at IP `address`: who has one of IPv6 has a
  whole network of them."""
  found = ipaddress.ip_address(address.partition('%')[0])
  return found if found.version == 4 else int(found) >> 64


class _Container(wsgi.WSGIContainer):
  """Runs a WSGI application in threads, and knows for which connections."""

  def __init__(self, application, executor):
    super().__init__(application, executor)
    self.busy = set()
    self.closing = False
    # {client: [its turns, how many requests have or want one]}
    self._turns = {}

  @contextlib.asynccontextmanager
  async def _turn(self, client):
    """Wait until `client` may have one more request for the threads: another
    one, who has few, does not wait for all of its."""
    turns = self._turns.setdefault(
      client, [asyncio.Semaphore(_REQUESTS_OF_ONE), 0])
    turns[1] += 1
    try:
      async with turns[0]:
        yield
    finally:
      turns[1] -= 1
      if not turns[1]:
        del self._turns[client]

  async def handle_request(self, request):
    """Answer `request`, or send it away when this ends: the client asks again.
    """
    stream = request.connection.stream
    async with self._turn(_client(request.remote_ip)):
      if self.closing:
        stream.close()
      # Else it went while it waited.
      if stream.closed():
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
    # {stream: client}, the oldest first.
    self._clients = {}

  def handle_stream(self, stream, address):
    """Serve one more connection, if there is or can be made a place for it."""
    self._clients = {
      other: client for other, client in self._clients.items()
      if not other.closed()}
    self._clients[stream] = own = _client(address[0])
    numbers = collections.Counter(self._clients.values())
    if numbers[own] > _CONNECTIONS_OF_ONE:
      self._close_one_of([own])
    elif numbers.total() > _CONNECTIONS:
      self._close_one_of([client for client, _ in numbers.most_common()])
    if not stream.closed():
      super().handle_stream(stream, address)

  def _close_one_of(self, clients):
    """Close the oldest connection that is not being answered, of the first of
    `clients` that has such; the one that has just come is one of them."""
    idle = {}
    for stream, client in self._clients.items():
      if stream not in self._container.busy:
        idle.setdefault(client, stream)
    next(idle[client] for client in clients if client in idle).close()


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


def _tell_seldom(loop):
  """Let a stranger who breaks a handshake off fill no log."""
  tell = Seldom(log.error)

  def handle(_, context):
    tell('%s: %s', context['message'], context.get('exception'))
  loop.set_exception_handler(handle)


class Server:
  """A server of WSGI `application`, to be used inside an event loop of asyncio.

  tls: a Tls, for HTTPS.
  """

  def __init__(self, application, address, port, tls=None):
    _tell_seldom(asyncio.get_running_loop())
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
