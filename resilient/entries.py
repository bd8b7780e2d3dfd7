"""The entries of a dump: what is there, name by name."""
import errno
import hashlib
import os
import stat
import typing
import urllib.parse

from .durable import fsync_directory

RESERVED_DIRECTORY = '.resilient'
ARCHIVE_DATA = 'rdiff-backup-data'
RESERVED = frozenset(map(os.fsencode, (RESERVED_DIRECTORY, ARCHIVE_DATA)))
# Bytes of a path below the dump.  An archive and a clone put their own folders
# before it, and the system's limit is 4096 for all of it.
LONGEST_PATH = 3000
# Folders in folders; rdiff-backup's own limit is not much larger.
DEEPEST = 900
_BLOCK = 1 << 20
# What is wrong with one entry, and not with this process or machine.
_UNREADABLE = frozenset((
  errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.EBADMSG,
  errno.EUCLEAN))
_KINDS = {
  stat.S_IFREG: 'file',
  stat.S_IFDIR: 'directory',
  stat.S_IFLNK: 'symlink',
  stat.S_IFIFO: 'fifo',
  stat.S_IFSOCK: 'socket',
}
KINDS = frozenset(_KINDS.values())


class Unkeepable(Exception):
  """The dump has entries that the stack cannot carry; names them all."""


class Entry(typing.NamedTuple):
  """One name in a dump.  `path`, `target` and `link` are bytes, relative to
  its root; `size` is in bytes and `mtime` in whole seconds, for files alone.
  link: of a file with several names, the first of them; of that one, None."""
  path: bytes
  type: str
  mode: int
  size: int = None
  mtime: int = None
  sha256: str = None
  target: bytes = None
  link: bytes = None

  def matches(self, other):
    """Whether both describe the same content.  The mtime is left out: not
    each transport keeps it, and it is no data."""
    return self._replace(mtime=None) == other._replace(mtime=None)


def encode_path(path):
  """Return bytes `path` as ASCII text, lossless and without line ends."""
  return urllib.parse.quote_from_bytes(path, safe='/')


def decode_path(text):
  """Return the bytes that `encode_path` made `text` of."""
  return urllib.parse.unquote_to_bytes(text)


def _digest(path, durable):
  """Return the SHA-256 of file `path`; with `durable`, fsync it too."""
  digest = hashlib.sha256()
  with open(path, 'rb', buffering=0) as source:
    if durable:
      # First: who writes into the file by mmap(2) changes its times then.
      os.fsync(source.fileno())
    while block := source.read(_BLOCK):
      digest.update(block)
  return digest.hexdigest()


def describe(root, path, durable=False):
  """Return the Entry of `path` below directory `root`, both bytes, or None if
  there is none; of a hard link it says nothing.

  durable: fsync a file.  Raises OSError, Unkeepable.
  """
  full = os.path.join(root, path)
  try:
    status = os.lstat(full)
  except (FileNotFoundError, NotADirectoryError):
    return None
  kind = _KINDS.get(stat.S_IFMT(status.st_mode))
  mode = stat.S_IMODE(status.st_mode)
  if kind is None:
    raise Unkeepable('%s is a device' % encode_path(path))
  if kind == 'file':
    return Entry(path, kind, mode, status.st_size, int(status.st_mtime),
                 _digest(full, durable))
  if kind == 'symlink':
    return Entry(path, kind, 0o777, target=os.readlink(full))
  return Entry(path, kind, mode)


def _names(directory):
  with os.scandir(directory) as listing:
    return sorted(item.name for item in listing)


def scan(root, durable=False, unkeepable=None):
  """Yield the entries below directory `root`, each directory before what it
  holds, names in the order of their bytes.

  durable: fsync each file and directory on the way.
  unkeepable: a list that receives a sentence for each entry that the stack
    cannot carry; without it the first such entry raises Unkeepable.

  Reserved names at the top are left out.  Raises OSError.
  """
  root = os.fsencode(root)
  # Of a file with several names: {(device, inode): its entry}.
  first = {}

  def refuse(sentence):
    if unkeepable is None:
      raise Unkeepable(sentence)
    unkeepable.append(sentence)

  def entry_of(path):
    status = os.lstat(os.path.join(root, path))
    identity = status.st_dev, status.st_ino
    if identity in first:
      return first[identity]._replace(path=path, link=first[identity].path)
    entry = describe(root, path, durable)
    if entry and entry.type == 'file' and status.st_nlink > 1:
      first[identity] = entry
    return entry

  def walk(prefix):
    directory = os.path.join(root, prefix)
    for name in _names(directory):
      if not prefix and name in RESERVED:
        continue
      path = prefix + name
      if len(path) > LONGEST_PATH:
        refuse('%s… is longer than %d bytes' % (
          encode_path(path[:100]), LONGEST_PATH))
        continue
      if path.count(b'/') > DEEPEST:
        refuse('%s… is more than %d folders deep' % (
          encode_path(path[:100]), DEEPEST))
        continue
      try:
        entry = entry_of(path)
        if entry is None:
          raise FileNotFoundError(errno.ENOENT, 'it vanished')
        yield entry
        if entry.type == 'directory':
          yield from walk(path + b'/')
      except Unkeepable as error:
        refuse(str(error))
      except OSError as error:
        if error.errno not in _UNREADABLE:
          raise
        refuse('%s cannot be read (%s)' % (encode_path(path), error.strerror))
    if durable:
      fsync_directory(directory)

  return walk(b'')


def stamps(root):
  """Return {path: what changes when an entry is changed} of all entries below
  directory `root`, without reading any.  Raises OSError."""
  root = os.fsencode(root)
  found = {}
  for directory, names, files in os.walk(root):
    prefix = os.path.relpath(directory, root)
    names[:] = [name for name in names
                if prefix != b'.' or name not in RESERVED]
    for name in (*names, *files):
      try:
        status = os.lstat(os.path.join(directory, name))
      except FileNotFoundError:
        # Gone in between, which the next look tells from having been there.
        continue
      found[os.path.normpath(os.path.join(prefix, name))] = (
        status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns,
        status.st_ctime_ns)
  return found
