"""Run other programs: with a deadline, with a log, and never left behind."""
import ctypes
import logging
import os
import signal
import subprocess
import threading
import time

_PR_SET_PDEATHSIG = 1
_OUTPUT_LIMIT = 64 << 10
# What one run may write into the log; its end is kept, whatever its length.
_LOG_LIMIT = 256 << 10
_GRACE = 10

log = logging.getLogger('resilient.process')


class Failed(Exception):
  """A program failed.

  status: its exit status, negative for a signal, None if it has none.
  """

  def __init__(self, message, status=None):
    super().__init__(message)
    self.status = status


class Inconclusive(Failed):
  """A program did not begin, or not come to an end by itself: that says nothing
  of what it was to read."""


class TimeOver(Inconclusive):
  """A program did not end before its deadline."""


class Result:
  """status: exit status.  output: the last 64 KiB of what it printed."""

  def __init__(self, status, output):
    self.status = status
    self.output = output


def _die_with_parent():
  # The parent may be killed by SIGKILL, and then cannot end its children.
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Output(threading.Thread):
  """Reads what a program prints, so that it never blocks on a full pipe: logs
  it line by line, and keeps the end of it."""

  def __init__(self, stream, name):
    super().__init__(daemon=True)
    self.stream = stream
    self.program = name
    self.tail = b''
    self.start()

  def run(self):
    logged = 0
    with self.stream:
      # A line may have no end.
      while line := self.stream.readline(_OUTPUT_LIMIT):
        self.tail = (self.tail + line)[-_OUTPUT_LIMIT:]
        if logged > _LOG_LIMIT:
          continue
        text = line.decode('utf-8', 'replace').rstrip()[:1000]
        # With the length of what stands before each line.
        logged += len(text) + 80
        log.info('%s: %s', self.program, text if logged <= _LOG_LIMIT else (
          'what it prints from here on is not logged'))


def kill_group(process):
  """End `process` and all it started: politely, then surely."""
  for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
    try:
      os.killpg(process.pid, number)
    except ProcessLookupError:
      pass
    try:
      process.wait(patience)
      break
    except subprocess.TimeoutExpired:
      continue
  # What ignored SIGTERM while its leader obeyed it.
  try:
    os.killpg(process.pid, signal.SIGKILL)
  except ProcessLookupError:
    pass


def run(command, deadline, accepted=(0,), environment=None, lock=None,
        capture=False, largest=None):
  """Run `command`, a list, and return its Result.

  deadline: seconds after which it is ended, with all that it started.
  accepted: the exit statuses that are a success.
  environment: variables to add.
  lock: descriptor of a lock that it holds, too.
  capture: its standard output is data for the caller: `output` is that alone
    and whole, while its standard error is logged.
  largest: how many bytes of that there may be; a program that prints more is
    ended, and failed.

  Raises Failed, also as Inconclusive.
  """
  name = os.path.basename(command[0])
  started = time.monotonic()
  try:
    process = subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE if capture else subprocess.STDOUT,
      env=None if environment is None else dict(os.environ, **environment),
      pass_fds=() if lock is None else (lock,),
      start_new_session=True, preexec_fn=_die_with_parent)
  except OSError as error:
    raise Inconclusive(
      '%s cannot be started: %s' % (command[0], error)) from error
  reader = _Output(process.stderr if capture else process.stdout, name)
  try:
    if capture:
      timer = threading.Timer(deadline, kill_group, (process,))
      timer.start()
      try:
        with process.stdout:
          data = process.stdout.read(-1 if largest is None else largest + 1)
        if largest is not None and len(data) > largest:
          raise Failed('%s answers with more than %d bytes' % (name, largest))
        status = process.wait()
      finally:
        timer.cancel()
    else:
      status = process.wait(deadline)
  except subprocess.TimeoutExpired:
    kill_group(process)
    status = None
  except BaseException:
    kill_group(process)
    raise
  if capture and time.monotonic() - started >= deadline:
    status = None
  reader.join(_GRACE)
  tail = reader.tail.decode('utf-8', 'replace')
  if status is None:
    raise TimeOver(
      '%s did not end within %s s and was ended' % (name, deadline))
  if status not in accepted:
    kind, how = (
      (Inconclusive, 'was ended by signal %d' % -status) if status < 0
      else (Failed, 'failed with status %d' % status))
    reason = ' '.join(tail.split())[-300:]
    raise kind('%s %s%s' % (name, how, ': ' + reason if reason else ''), status)
  return Result(status, data if capture else tail)
