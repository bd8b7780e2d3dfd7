"""A database server as a child process, and the service that keeps it.

The service serves the current content, and another one as soon as it is the
current one.  So an import is a rename, whoever runs when.
"""
import logging
import math
import os
import signal
import time

from resilient.durable import lock, LockTimeout, read_json

from .child import Child, stop_on_sigterm, Stopped
from .contents import Contents, CREDENTIALS, RELEASE
from .programs import Failed

log = logging.getLogger('database.server')

_START = 300    # seconds until it answers
_SUCCESSION = 300  # until a predecessor has ended
_LOOK = 0.1
_AGAIN = 5      # seconds until a server that ended is started again
_SOCKET_LIMIT = 107


class ServerError(Exception):
  """The server does not do what it should; the message is one line."""


def check_socket(path):
  """Raise ServerError if `path` is too long for a socket."""
  if len(os.fsencode(path)) > _SOCKET_LIMIT:
    raise ServerError(
      'the path of a socket has at most %d characters, and %s has %d: put the'
      ' partitions into a folder with a shorter path' % (
        _SOCKET_LIMIT, path, len(os.fsencode(path))))


class Server(Child):
  """The server of `engine` on a content.

  private: it listens on a socket of its own alone, and takes writes.
  descriptor: of a lock that it holds, too.
  """

  def __init__(self, engine, content, private=False, descriptor=None):
    self.engine = engine
    self.content = content
    self.private = private
    log.info('%s serves %s', engine.NAME, content)
    super().__init__(
      engine.command(content, private), end=engine.STOP,
      # Of a private one nothing is to be saved: an import makes it anew.
      death=signal.SIGKILL if private else None, noise=engine.NOISE,
      environment=engine.ENVIRONMENT, descriptor=descriptor)

  def started(self, patient=False):
    """Wait until it answers; return self.  Raises ServerError.

    patient: however long it takes, as long as it runs.
    """
    end = time.monotonic() + _START
    while not self.engine.answers(self.content, self.private):
      if not self.running:
        self.listen()
        raise ServerError('%s did not start: %s' % (
          self.engine.NAME, self.engine.reason(self.lines)))
      if time.monotonic() > end:
        text = '%s does not answer after %d s' % (self.engine.NAME, _START)
        if not patient:
          raise ServerError(text)
        log.warning('%s, and still starts', text)
        end = math.inf
      time.sleep(_LOOK)
    return self

  def finish(self):
    """End it, however long its last writes take; raise ServerError unless it
    says that they are complete."""
    self.process.send_signal(self.engine.STOP)
    if status := self.process.wait():
      self.listen()
      raise ServerError('%s did not end properly, but with status %d: %s' % (
        self.engine.NAME, status, self.engine.reason(self.lines)))


def check_release(release, known, here):
  """Raise ServerError unless `release`, {server, version} or None, is of one of
  the versions `known` of the server that is `here`, (server, version)."""
  if not isinstance(release, dict):
    raise ServerError('the data does not say of which server it is: it has no '
                      + RELEASE)
  server, version = release.get('server'), str(release.get('version'))
  if server != here[0] or version not in known:
    raise ServerError(
      'the data is of %s %s, and here is %s %s: nothing was changed; leader and'
      ' clones must have the same version' % (server, version, *here))


def serve(engine, configuration):
  """Serve the current content until SIGTERM."""
  stop_on_sigterm()
  contents = Contents(configuration.contents_directory)
  try:
    while True:
      try:
        _serve_alone(engine, configuration, contents)
      except LockTimeout as error:
        log.error('%s: a former server has not ended yet', error)
  except Stopped:
    log.info('stopped')


def _serve_alone(engine, configuration, contents):
  # The server holds the lock too: a successor waits for its end.
  with lock(os.path.join(contents.directory, 'serve.lock'),
            deadline=_SUCCESSION) as descriptor:
    while True:
      try:
        _serve_one(engine, configuration, contents, descriptor)
      except (Failed, OSError, ServerError, ValueError) as error:
        # Whatever it is, a server that died at any moment or a disk that is
        # full: nobody else starts a service again that ended by itself.
        log.error('%s', ' '.join(str(error).split()))
        time.sleep(_AGAIN)


def _serve_one(engine, configuration, contents, descriptor):
  """Serve the current content as long as it is that.

  Raises Failed, OSError, ServerError, ValueError.
  """
  content = contents.current()
  if content is None:
    raise ServerError('there is no content yet')
  check_release(read_json(os.path.join(content, RELEASE)), engine.installed(),
                (engine.NAME, engine.version()))
  engine.set_role(content)
  with Server(engine, content, descriptor=descriptor) as server:
    # One that was killed repairs its data first, and would begin that again.
    server.started(patient=configuration.is_leader)
    if configuration.is_leader:
      engine.provision(read_json(os.path.join(content, CREDENTIALS)))
    log.info('ready, as %s', configuration.role)
    while contents.current() == content:
      if not server.running:
        raise ServerError('%s ended by itself: %s' % (
          engine.NAME, engine.reason(server.lines)))
      time.sleep(_LOOK)
