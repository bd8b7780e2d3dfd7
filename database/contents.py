"""The contents of a partition: what its database and its application hold.

A *content* is a folder ``<number>/`` of the contents' directory::

  database/         the data directory of the server
  documents/        the application: the document root
  documents.json    the archive that the document root was unpacked from
  credentials.json  name of the database; user and password of the application
  settings.conf     the settings of the server
  release.json      the server and its version
  temporary/        what the server does not keep, if it needs that

``current`` is a link to the one that is served, so that all of this changes in
one step.  Any other content is a leftover, and removed by the next that is
made.
"""
import contextlib
import ctypes
import errno
import os
import shutil
import stat
import time

from resilient.durable import fsync_directory

DATABASE, DOCUMENTS = 'database', 'documents'
CREDENTIALS, RELEASE = 'credentials.json', 'release.json'
DOCUMENTS_ORIGIN, SETTINGS = 'documents.json', 'settings.conf'
_LINK = 'current'
_ORPHANS = 60  # seconds


class Contents:
  """The contents in folder `directory`."""

  def __init__(self, directory):
    self.directory = directory
    self.link = os.path.join(directory, _LINK)

  def current(self):
    """Return the path of the content that is to be served, None if there is
    none yet."""
    try:
      return os.path.join(self.directory, os.readlink(self.link))
    except FileNotFoundError:
      return None

  def _others(self):
    current = os.path.basename(self.current() or '')
    return [name for name in os.listdir(self.directory)
            if name not in (_LINK, current) and name.split('.')[0].isdigit()]

  @contextlib.contextmanager
  def new(self):
    """Make an empty folder for a content, and yield its path; it is removed in
    the end, unless `switch` made it the current one."""
    os.makedirs(self.directory, mode=0o700, exist_ok=True)
    self.remove_others()
    number = int(os.path.basename(self.current() or '0')) + 1
    path = os.path.join(self.directory, str(number))
    os.mkdir(path, 0o700)
    try:
      yield path
    except BaseException:
      if path != self.current():
        remove_tree(path)
      raise

  def switch(self, path):
    """Make `path` the current content, durably and in one step."""
    temporary = self.link + '.new'
    with contextlib.suppress(FileNotFoundError):
      os.unlink(temporary)
    fsync_directory(path)
    os.symlink(os.path.basename(path), temporary)
    os.rename(temporary, self.link)
    fsync_directory(self.directory)

  def remove_others(self):
    """Remove all contents but the current one."""
    for name in self._others():
      remove_tree(os.path.join(self.directory, name))


def remove_tree(path):
  """Remove folder `path`, if there is one, whatever the modes in it.

  What is left of an import that was killed may still write and remove there; it
  ends by itself.
  """
  def repair(function, name, _):
    os.chmod(os.path.dirname(name), 0o700)
    function(name)

  end = time.monotonic() + _ORPHANS
  while os.path.lexists(path):
    try:
      shutil.rmtree(path, onerror=repair)
    except OSError as error:
      if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) \
         or time.monotonic() > end:
        raise
      time.sleep(0.1)


def copy_file(source, target, *, follow_symlinks=True):
  """Copy a file durably, with its mode and times; what is neither a file nor a
  link is left out, and so is what is removed meanwhile."""
  with contextlib.suppress(FileNotFoundError):
    if not stat.S_ISREG(os.lstat(source).st_mode):
      if os.path.islink(source):
        shutil.copy2(source, target, follow_symlinks=False)
      return target
    shutil.copyfile(source, target)
    shutil.copystat(source, target)
    sync_file(target)
  return target


def copy_tree(source, target):
  """Copy folder `source`, which may be in use, to a new folder `target`."""
  os.mkdir(target, 0o700)
  with os.scandir(source) as entries:
    for entry in entries:
      path = os.path.join(target, entry.name)
      if entry.is_dir(follow_symlinks=False):
        with contextlib.suppress(FileNotFoundError):
          copy_tree(entry.path, path)
      else:
        copy_file(entry.path, path)
  shutil.copystat(source, target)
  fsync_directory(target)


def sync_file(path):
  """Make the content of file `path` durable."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sync_tree(path):
  """Make all that is in folder `path` durable: its whole filesystem, which is
  faster than file by file.  Raises OSError."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
      raise OSError(ctypes.get_errno(), 'syncfs', path)
  finally:
    os.close(descriptor)
