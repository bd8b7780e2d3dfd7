"""A program as a child process: its output in the log, and nothing of it left
when it ends, or when we are killed."""
import ctypes
import logging
import os
import signal
import subprocess
import threading
import time

_PR_SET_PDEATHSIG = 1
_STOP = 120     # seconds that a program has to end
_LOOK = 0.1
_LAST = 5       # seconds for the last lines of one that has ended
_AGAIN = 5      # seconds until one that ended is started again

log = logging.getLogger('database.child')


class Stopped(BaseException):
  """SIGTERM: stop what runs, and leave."""


def stop_on_sigterm():
  """From now on SIGTERM raises Stopped in the main thread, once."""
  def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
  signal.signal(signal.SIGTERM, stop)


class Child:
  """A running program.

  command: its command line.  end: the signal that ends it; it gets that when
  this process is killed, too.  death: another one for that case.
  environment: variables to add.  descriptor: of a lock that it holds, too.
  noise: a pattern of lines that nobody wants to read, or None.
  """

  def __init__(self, command, end=signal.SIGTERM, death=None, environment=(),
               descriptor=None, noise=None):
    self.lines = []
    self._end = end
    self._noise = noise
    self._name = os.path.basename(command[0])
    number = death or end

    def die_with_parent():
      ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)

    self.process = subprocess.Popen(
      command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, start_new_session=True,
      env=dict(os.environ, LC_ALL='C.UTF-8', **dict(environment)),
      pass_fds=() if descriptor is None else (descriptor,),
      preexec_fn=die_with_parent)
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def _read(self):
    with self.process.stdout as stream:
      for line in stream:
        text = line.decode('utf-8', 'replace').rstrip()
        if not (self._noise and self._noise.search(text)):
          log.info('%s', text)
          self.lines = (self.lines + [text])[-20:]

  @property
  def running(self):
    """Whether it has not ended."""
    return self.process.poll() is None

  def stop(self):
    """End it, in an orderly way if possible, and all that it started."""
    for number, patience in ((self._end, _STOP), (signal.SIGKILL, None)):
      if self.running:
        self.process.send_signal(number)
        try:
          self.process.wait(patience)
        except subprocess.TimeoutExpired:
          log.error('%s does not stop', self._name)
    try:
      os.killpg(self.process.pid, signal.SIGKILL)
    except ProcessLookupError:
      pass
    self.listen()

  def listen(self):
    """It has ended: let its last lines come, unless what it has left to others
    holds them back."""
    self._reader.join(_LAST)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.stop()


def keep(command):
  """Let `command` run until SIGTERM; start it again if it ends by itself."""
  stop_on_sigterm()
  try:
    while True:
      try:
        with Child(command) as child:
          while child.running:
            time.sleep(_LOOK)
        log.error('%s ended by itself, with status %s', os.path.basename(
          command[0]), child.process.returncode)
      except (OSError, subprocess.SubprocessError) as error:
        log.error('%s does not start: %s', command[0], error)
      time.sleep(_AGAIN)
  except Stopped:
    log.info('stopped')
