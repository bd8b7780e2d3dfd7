"""What the unit tests share: places, waits, faults."""
import contextlib
import errno
import logging
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

from resilient import entries, manifest
from resilient.durable import make_directories_writable
from resilient.generation import Generation

from .partition import Partition, write_tree

# A slow machine sets this, for all waits at once.
PATIENCE = float(os.environ.get('RESILIENT_TEST_PATIENCE', 1))

for _name in ('resilient', 'crond', 'tornado', 'waitress'):
  logging.getLogger(_name).addHandler(logging.NullHandler())
  logging.getLogger(_name).propagate = False


def wait_until(condition, why, timeout=15):
  """Return the first true value of condition().

  why: what is expected, or a function that returns it, for the diagnosis.
  """
  end = time.monotonic() + timeout * PATIENCE
  while True:
    value = condition()
    if value:
      return value
    if time.monotonic() > end:
      raise AssertionError('after %d s still not: %s' % (
        timeout * PATIENCE, why() if callable(why) else why))
    time.sleep(0.02)


def alive(pid):
  """Whether process `pid` runs; a zombie does not."""
  try:
    with open('/proc/%d/stat' % pid, encoding='ascii') as source:
      return source.read().rpartition(')')[2].split()[0] not in 'ZX'
  except (FileNotFoundError, ProcessLookupError):
    return False


def generation(sequence=1, epoch=1, **changes):
  """Return a Generation of service ``data``."""
  return Generation(**{**{
    'name': 'data', 'epoch': epoch, 'sequence': sequence,
    'digest': '%064x' % sequence, 'leader': 'data0', 'sealed': time.time(),
    'due': 0.0}, **changes})


def sealed(root, content, **changes):
  """Make `root` a sealed dump of `content`; return its Generation."""
  write_tree(root, content)
  return manifest.write(
    root, generation(**changes), list(manifest.scan(root)))


def same_mtime(path, data):
  """Replace the content of `path` behind its mtime."""
  status = os.stat(path)
  with open(path, 'wb') as output:
    output.write(data)
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


_CHANGES = frozenset((
  'os.rename', 'os.remove', 'os.rmdir', 'os.mkdir', 'os.chmod', 'open',
  'ctypes.dlsym'))


@contextlib.contextmanager
def unreadable(path):
  """Let this process meet a bad sector in file `path`, under any name."""
  bad, read = os.stat(path).st_ino, entries._digest

  def digest(path, durable):
    if os.stat(path).st_ino == bad:
      raise OSError(errno.EIO, os.strerror(errno.EIO))
    return read(path, durable)

  with unittest.mock.patch.object(entries, '_digest', digest):
    yield


def _died(prepare, function, number):
  """Run `function`, after `prepare`, in a process.  Returns whether it died by
  signal `number`."""
  pid = os.fork()
  if pid:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -number):
      raise AssertionError('the function failed by itself: %d' % status)
    return status != 0
  try:
    prepare()
    function()
    os._exit(0)
  except BaseException:
    sys.excepthook(*sys.exc_info())
    os._exit(1)


def killed_before(number, function, also=()):
  """Run `function` in a process that dies, as by SIGKILL, before its system
  call number `number` that changes files, or is one of the audit events `also`.
  Returns whether it died: False means that it had no more to do.
  """
  left = number

  def count(event, _):
    nonlocal left
    if event in _CHANGES or event in also:
      left -= 1
      if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

  return _died(lambda: sys.addaudithook(count), function, signal.SIGKILL)


def killed_at_byte(number, function):
  """Run `function` in a process that the kernel ends, as by SIGKILL, where it
  would write byte `number` of a file, or one behind it: also in the middle of a
  library's write.  Returns whether it died.
  """
  def prepare():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    # Python would have it be an error of the write.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

  return _died(prepare, function, signal.SIGXFSZ)


class TestCase(unittest.TestCase):
  """A test with a directory of its own, whose programs end with it."""

  def setUp(self):
    super().setUp()
    self.directory = tempfile.mkdtemp(prefix='resilient-')
    self.addCleanup(self._remove)

  def _remove(self):
    def is_gone():
      with contextlib.suppress(OSError):
        make_directories_writable(self.directory)
        shutil.rmtree(self.directory)
      return not os.path.exists(self.directory)
    # The far end of a connection that was cut may still end its work.
    wait_until(is_gone, 'the directory of the test is removed')

  def path(self, *names):
    """Return a path below the test's directory."""
    return os.path.join(self.directory, *names)

  def read(self, *names):
    """Return the text of a file below the test's directory."""
    return pathlib.Path(self.path(*names)).read_text(encoding='utf-8')

  def script(self, name, text):
    """Return the path of an executable shell script."""
    path = self.path(name)
    pathlib.Path(path).write_text('#!/bin/sh\n' + text, encoding='utf-8')
    os.chmod(path, 0o700)
    return path

  def start(self, command, **keywords):
    """Start `command`; it ends with the test, with all that it started."""
    process = subprocess.Popen(
      command, start_new_session=True,
      **{'stdin': subprocess.DEVNULL, **keywords})
    self.addCleanup(end, process)
    return process

  def partition(self, role, **options):
    """Return a new Partition of `role`."""
    return Partition(self.path(role), role, options)

  @contextlib.contextmanager
  def thread(self, function):
    """Run `function` beside the block."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    yield thread
    thread.join(30)
    self.assertFalse(thread.is_alive(), '%r does not end' % function)


def end(process):
  """End `process` and its session."""
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, signal.SIGKILL)
  process.wait()
  for stream in (process.stdout, process.stderr):
    if stream:
      stream.close()
