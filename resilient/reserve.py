"""Some bytes of the archives' disk that are kept free for what gives space
back: on a full disk rdiff-backup can neither prune nor go back to its last good
state, and the queue cannot note that a pull failed.
"""
import contextlib
import errno
import os


class DiskFull(Exception):
  """Nothing new is written until there is room; the message says how much."""


class Reserve:
  """The reserve of the PBS of `configuration`: file ``.reserve`` beside its
  archives."""

  def __init__(self, configuration):
    self._directory = configuration.archive_directory
    self._path = os.path.join(self._directory, '.reserve')
    self._size = configuration.archive_reserve

  def keep(self):
    """Have the reserve.  Raises DiskFull, when there is no room for it."""
    os.makedirs(self._directory, mode=0o700, exist_ok=True)
    try:
      descriptor = os.open(
        self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
      try:
        if os.fstat(descriptor).st_size < self._size:
          os.posix_fallocate(descriptor, 0, self._size)
      finally:
        os.close(descriptor)
    except OSError as error:
      self.release()
      if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise
      raise DiskFull(
        'the disk of %s is full: nothing is pulled until %d bytes are free;'
        ' make room, or keep fewer generations (remove-backup-older-than)' % (
          self._directory, self._size)) from error

  def release(self):
    """Give the reserve back to the disk."""
    with contextlib.suppress(FileNotFoundError):
      os.unlink(self._path)

  def release_if_short(self):
    """Give the reserve back if the disk has less than that left."""
    if free(self._directory) < self._size:
      self.release()

  @contextlib.contextmanager
  def lent(self):
    """Lend the reserve to what gives space back."""
    self.release()
    try:
      yield
    finally:
      with contextlib.suppress(DiskFull):
        self.keep()


def free(directory):
  """Return how many bytes an ordinary user can still write to the disk of
  `directory`."""
  status = os.statvfs(directory)
  return status.f_bavail * status.f_frsize
