"""What the services have in common: an end that leaves nothing half done."""
import os
import signal
import threading

_LOOK = 5


class Stopped(BaseException):
  """SIGTERM or SIGINT: end what runs, and leave.  What is due stays due."""


def _stop(*_):
  # A second signal must not interrupt the clean-up.
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
  raise Stopped


def stop_on_signal():
  """From now on a signal to end raises Stopped in the main thread."""
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, _stop)


def serve(server, watched, code):
  """Run WSGI `server` of waitress until SIGTERM, or until the configuration
  `watched` is of another release than `code`: slapgrid then starts that."""
  stop_on_signal()
  ended = threading.Event()

  def look():
    while not ended.wait(_LOOK):
      if watched.current().code != code:
        os.kill(os.getpid(), signal.SIGTERM)
        return

  threading.Thread(target=look, daemon=True).start()
  try:
    server.run()
  except Stopped:
    pass
  finally:
    ended.set()
    server.close()
