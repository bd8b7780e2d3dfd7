"""How far a transfer has come, while it goes on and when it was cut."""
import contextlib
import logging
import os
import threading
import time

from .durable import read_note, remove, write_json
from .process import Failed

log = logging.getLogger('resilient.progress')

_LOOK = 0.5   # seconds
_TELL = 60    # seconds between two lines in the log
_OLD = 30     # seconds: it was killed


def _path(configuration, task):
  return configuration.state('progress-%s.json' % task)


def current(configuration, task):
  """Return what is known of the transfer that ``task`` runs now, or None:
  {bytes, seconds, size}."""
  path = _path(configuration, task)
  with contextlib.suppress(OSError):
    if abs(time.time() - os.stat(path).st_mtime) < _OLD:
      return read_note(path, lambda note: {
        key: note[key] for key in ('bytes', 'seconds', 'size')})
  return None


def _processes(word):
  """Return the process identifiers of the programs that have `word` as an
  argument."""
  found = []
  for name in os.listdir('/proc'):
    if name.isdigit():
      with contextlib.suppress(OSError), open(
          '/proc/%s/cmdline' % name, 'rb') as source:
        if word in source.read().split(b'\0'):
          found.append(int(name))
  return found


def _transferred(pid):
  """Return how many bytes process `pid` has written, that is: has passed on in
  either direction.  Raises OSError if it has ended."""
  with open('/proc/%d/io' % pid, encoding='ascii') as source:
    return int(dict(line.split(': ') for line in source)['wchar'])


class Progress:
  """Of one run of the task of ssh.Remote `remote`, whose ssh is looked at.

  size: bytes of the whole dump, of which an increment may need a part; or None.
  """

  def __init__(self, configuration, remote, size=None):
    self._configuration = configuration
    self._task = remote.alias
    self._word = os.fsencode(remote.path)
    self._size = size
    self._seen = {}
    self._started = time.monotonic()

  @property
  def bytes(self):
    """What has been transferred so far, encrypted, in both directions."""
    return sum(self._seen.values())

  @property
  def seconds(self):
    """How long it has been going on."""
    return time.monotonic() - self._started

  def look(self):
    """See what the ssh processes have done, until this moment."""
    for pid in _processes(self._word):
      with contextlib.suppress(OSError, ValueError, KeyError):
        self._seen[pid] = _transferred(pid)

  def note(self):
    """Keep it for bin/status."""
    write_json(_path(self._configuration, self._task), {
      'bytes': self.bytes, 'seconds': round(self.seconds), 'size': self._size},
      durable=False)

  def forget(self):
    """It has ended."""
    remove(_path(self._configuration, self._task))

  def sentence(self):
    """Return how far it came, and what that means."""
    seconds = max(self.seconds, 0.1)
    rate = self.bytes / seconds
    text = '%s%s had come in %d s, %s/s' % (
      amount(self.bytes), ' of at most ' + amount(self._size)
      if self._size else '', seconds, amount(rate))
    if not self._size or not self.bytes:
      return text
    whole, limit = self._size / rate, self._configuration.transfer_deadline
    text += '; without a break it takes at most %d s' % whole
    if whole > limit:
      text += (', and resiliency-transfer-deadline allows %d s: give it more,'
               ' or a faster link' % limit)
    return text


def amount(number):
  """Return a number of bytes for people."""
  for unit in 'B kB MB'.split():
    if number < 1000:
      return '%.*f %s' % (unit != 'B' and number < 100, number, unit)
    number /= 1000
  return '%.1f GB' % number


@contextlib.contextmanager
def measured(configuration, remote, size=None):
  """Measure what is transferred inside, and tell it: every minute in the log,
  all the time in bin/status, and with a Failed that passes."""
  progress, ended = Progress(configuration, remote, size), threading.Event()

  def watch():
    told = 0
    while not ended.wait(_LOOK):
      progress.look()
      # On a full disk the transfer itself says what is wrong.
      with contextlib.suppress(OSError):
        progress.note()
      if progress.seconds - told >= _TELL:
        told = progress.seconds
        log.info('%s: %s', remote.alias, progress.sentence())

  watcher = threading.Thread(target=watch, daemon=True)
  watcher.start()
  try:
    yield progress
  except Failed as error:
    raise type(error)('%s; %s' % (error, progress.sentence()),
                      error.status) from error
  finally:
    ended.set()
    watcher.join()
    progress.forget()
