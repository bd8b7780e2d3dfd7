"""Files that survive a crash, and locks that do not.

A reader of these files sees the old content or the new one, never a part.
"""
import contextlib
import ctypes
import errno
import fcntl
import json
import logging
import os
import shutil
import stat
import struct
import time

log = logging.getLogger('resilient.durable')

# What code that reads a value of JSON raises when it is of another shape.
MISFITS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class LockTimeout(Exception):
  """The lock was still held by somebody else at the deadline."""


def encodable(text):
  """Return `text` as a file, a database or a terminal can hold it: JSON of a
  peer may have half of a surrogate pair in it, which is not to be encoded."""
  return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def fsync(path, flags=0):
  """Make the content of file `path` durable."""
  descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def fsync_directory(path):
  """Make the names inside directory `path` durable."""
  fsync(path, os.O_DIRECTORY)


def write_bytes(path, data, mode=0o600, durable=True):
  """Replace file `path` by `data`, atomically and, if `durable`, for good.

  Raises OSError; the old content is then untouched.
  """
  temporary = '%s.%d.tmp' % (path, os.getpid())
  descriptor = os.open(
    temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
  try:
    with os.fdopen(descriptor, 'wb') as output:
      output.write(data)
      output.flush()
      os.fchmod(output.fileno(), mode)
      if durable:
        os.fsync(output.fileno())
    os.rename(temporary, path)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(temporary)
    raise
  if durable:
    fsync_directory(os.path.dirname(path) or '.')


def write_json(path, value, mode=0o600, durable=True):
  """Like `write_bytes`, of `value` as JSON."""
  text = json.dumps(value, indent=2, sort_keys=True) + '\n'
  write_bytes(path, text.encode(), mode, durable)


def write_if_changed(path, data, mode=0o600):
  """Like `write_bytes`, but leaves a file that holds `data` already as it is:
  its modification time then says since when."""
  try:
    with open(path, 'rb') as source:
      if source.read() == data:
        return
  except FileNotFoundError:
    pass
  write_bytes(path, data, mode)


def read_json(path, default=None):
  """Return the value in JSON file `path`, or `default` if there is no file.

  Raises ValueError, with the path in it, if the file is not JSON: our own
  files are written atomically, so that is damage and not to be guessed at.
  """
  try:
    with open(path, 'rb') as source:
      data = source.read()
  except FileNotFoundError:
    return default
  try:
    return json.loads(data)
  except ValueError as error:
    raise ValueError('%s is damaged: %s' % (path, error)) from error


def read_note(path, understand, default=None):
  """Return understand(the value in JSON file `path`), of what can be found out
  again: `default` if there is no file, or if it is damaged.

  understand: raises one of MISFITS for what is of another shape.
  """
  try:
    if not os.path.exists(path):
      return default
    return understand(read_json(path))
  except MISFITS as error:
    log.warning('%s is damaged, and counts as absent: %s: %s', path,
                type(error).__name__, error)
    return default


def remove(path):
  """Remove file `path` durably; one that is already gone is fine."""
  with contextlib.suppress(FileNotFoundError):
    os.unlink(path)
    fsync_directory(os.path.dirname(path) or '.')


def remove_tree(path):
  """Remove directory `path`, if it is there, also where directories in it are
  read-only."""
  def make_writable(function, name, _):
    os.chmod(os.path.dirname(name), 0o700)
    if os.path.isdir(name) and not os.path.islink(name):
      os.chmod(name, 0o700)
    function(name)

  if os.path.lexists(path):
    shutil.rmtree(path, onerror=make_writable)


def copy_sparse(source, target):
  """Copy file `source` to `target`; what is sparse stays so."""
  with open(source, 'rb') as reading, open(target, 'wb') as writing:
    while block := reading.read(1 << 16):
      if block.count(0) == len(block):
        writing.seek(len(block), os.SEEK_CUR)
      else:
        writing.write(block)
    writing.truncate()


def make_directories_writable(root):
  """Let the owner change what is in directory `root` and in all that are below.

  For rsync, which cannot put a link, a pipe or a socket in the place of a
  read-only directory that is not empty, and gives each its mode at the end.
  """
  pending = [root]
  while pending:
    directory = pending.pop()
    mode = stat.S_IMODE(os.lstat(directory).st_mode)
    if mode & 0o700 != 0o700:
      os.chmod(directory, mode | 0o700)
    with os.scandir(directory) as entries:
      pending.extend(
        entry.path for entry in entries if entry.is_dir(follow_symlinks=False))


def _lock_request(shared):
  """Return struct flock of fcntl(2) for a lock on a whole file."""
  # l_type, l_whence, l_start, l_len, l_pid; "0q" pads as the compiler does.
  return struct.pack('@hhqqi0q', fcntl.F_RDLCK if shared else fcntl.F_WRLCK,
                     os.SEEK_SET, 0, 0, 0)


@contextlib.contextmanager
def lock(path, shared=False, deadline=0, inherit=False):
  """Hold a lock on file `path`, and yield its file descriptor.

  shared: several may hold it together, as long as nobody holds it alone.
  deadline: seconds to wait for it.
  inherit: child processes hold it too, until the last of them ends.

  It is an open file description lock of fcntl(2), Linux 3.15: one of flock(2)
  cannot be asked for without being taken.

  Raises LockTimeout.
  """
  descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
  try:
    request = _lock_request(shared)
    end = time.monotonic() + deadline
    pause = 0.01
    while True:
      try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
        break
      except BlockingIOError:
        if time.monotonic() >= end:
          raise LockTimeout(
            '%s is still locked after %s s' % (path, deadline)) from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    if inherit:
      os.set_inheritable(descriptor, True)
    yield descriptor
  finally:
    os.close(descriptor)


def is_locked(path, shared=False):
  """Whether somebody holds the lock on file `path` at this moment.

  shared: whether somebody holds it alone.

  It only looks: whoever wants the lock meanwhile gets it.
  """
  try:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
  except FileNotFoundError:
    return False
  try:
    held = fcntl.fcntl(
      descriptor, fcntl.F_OFD_GETLK, _lock_request(shared))
  finally:
    os.close(descriptor)
  return struct.unpack_from('@h', held)[0] != fcntl.F_UNLCK


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(first, second):
  """Let the names `first` and `second` change places, in one step.

  renameat2(2) with RENAME_EXCHANGE: Linux 3.15, glibc 2.28, and a local
  filesystem (ext4, XFS, Btrfs, tmpfs...).

  Raises OSError; both names are then as they were.
  """
  libc = ctypes.CDLL(None, use_errno=True)
  if libc.renameat2(
      _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second),
      _RENAME_EXCHANGE):
    code = ctypes.get_errno()
    message = os.strerror(code)
    if code in (errno.EINVAL, errno.ENOSYS):
      message += (': this filesystem cannot exchange two directories;'
                  ' put the partition on a local one (ext4, XFS, Btrfs)')
    raise OSError(code, message, first, None, second)
  for path in {os.path.dirname(first), os.path.dirname(second)}:
    fsync_directory(path or '.')
