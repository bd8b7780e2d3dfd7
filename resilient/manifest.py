"""The manifest: what a sealed dump consists of, entry by entry.

The format is in docs/design.rst.  It is written by the leader and checked by
each PBS, by each clone and at each restore.
"""
import hashlib
import json
import os
import stat
import typing
import urllib.parse

from .durable import fsync_directory, write_bytes
from .generation import from_json, Generation

FORMAT = 'resilient-manifest-1'
RESERVED_DIRECTORY = '.resilient'
MANIFEST = RESERVED_DIRECTORY + '/manifest'
ARCHIVE_DATA = 'rdiff-backup-data'
RESERVED = frozenset(map(os.fsencode, (RESERVED_DIRECTORY, ARCHIVE_DATA)))
_BLOCK = 1 << 20
_KINDS = {
  stat.S_IFREG: 'file',
  stat.S_IFDIR: 'directory',
  stat.S_IFLNK: 'symlink',
  stat.S_IFIFO: 'fifo',
  stat.S_IFSOCK: 'socket',
}


class InvalidManifest(Exception):
  """There is no manifest, or it is damaged."""


class Unkeepable(Exception):
  """The dump has entries that the stack cannot carry; names them all."""


class Entry(typing.NamedTuple):
  """One name in a dump.  `path` and `target` are bytes, relative to its root;
  `size` is in bytes and `mtime` in whole seconds, for files alone."""
  path: bytes
  type: str
  mode: int
  size: int = None
  mtime: int = None
  sha256: str = None
  target: bytes = None

  def matches(self, other):
    """Whether both describe the same content.  The mtime is left out: not
    each transport keeps it, and it is no data."""
    return self._replace(mtime=None) == other._replace(mtime=None)


class Manifest(typing.NamedTuple):
  """A generation and its entries, in the order of `scan`."""
  generation: Generation
  entries: list


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
    while block := source.read(_BLOCK):
      digest.update(block)
    if durable:
      os.fsync(source.fileno())
  return digest.hexdigest()


def scan(root, durable=False, unkeepable=None):
  """Yield the entries below directory `root`, each directory before what it
  holds, names in the order of their bytes.

  durable: fsync each file and directory on the way.
  unkeepable: a list that receives a sentence for each entry that the stack
    cannot carry; without it the first such entry raises Unkeepable.

  Reserved names at the top are left out.  Raises OSError.
  """
  def refuse(sentence):
    if unkeepable is None:
      raise Unkeepable(sentence)
    unkeepable.append(sentence)

  def walk(directory, prefix):
    with os.scandir(directory) as listing:
      items = list(listing)
    items.sort(key=lambda item: item.name)
    for item in items:
      if not prefix and item.name in RESERVED:
        continue
      path = prefix + item.name
      status = item.stat(follow_symlinks=False)
      kind = _KINDS.get(stat.S_IFMT(status.st_mode))
      mode = stat.S_IMODE(status.st_mode)
      try:
        if kind == 'file':
          yield Entry(
            path, kind, mode, status.st_size, int(status.st_mtime),
            _digest(item.path, durable))
        elif kind == 'directory':
          yield Entry(path, kind, mode)
          yield from walk(item.path, path + b'/')
        elif kind == 'symlink':
          yield Entry(path, kind, 0o777, target=os.readlink(item.path))
        elif kind:
          yield Entry(path, kind, mode)
        else:
          refuse('%s is a device' % encode_path(path))
      except PermissionError as error:
        refuse('%s cannot be read (%s)' % (encode_path(path), error.strerror))
    if durable:
      fsync_directory(directory)

  return walk(os.fsencode(root), b'')


def _entry_line(entry):
  record = {'path': encode_path(entry.path), 'type': entry.type,
            'mode': '%04o' % entry.mode}
  if entry.type == 'file':
    record.update(size=entry.size, mtime=entry.mtime, sha256=entry.sha256)
  if entry.type == 'symlink':
    record['target'] = encode_path(entry.target)
  return json.dumps(record, sort_keys=True).encode() + b'\n'


def _entry(record):
  path = decode_path(record['path'])
  # A manifest comes from another machine: it must not name what is outside.
  if not {b'', b'.', b'..'}.isdisjoint(path.split(b'/')):
    raise ValueError('%s is no path in a dump' % record['path'])
  target = record.get('target')
  return Entry(
    path, record['type'], int(record['mode'], 8),
    record.get('size'), record.get('mtime'), record.get('sha256'),
    None if target is None else decode_path(target))


def _trailer(body, count):
  trailer = {'entries': count, 'sha256': hashlib.sha256(body).hexdigest()}
  return json.dumps(trailer, sort_keys=True).encode() + b'\n'


def serialise(generation, entries):
  """Return (bytes of the manifest, the generation with its digest)."""
  header = dict(generation.to_json(), format=FORMAT)
  del header['digest']
  lines = [json.dumps(header, sort_keys=True).encode() + b'\n']
  lines.extend(map(_entry_line, entries))
  body = b''.join(lines)
  return (body + _trailer(body, len(lines) - 1),
          generation._replace(digest=hashlib.sha256(body).hexdigest()))


def parse(data):
  """Return the Manifest in bytes `data`.  Raises InvalidManifest."""
  try:
    if not data.endswith(b'\n'):
      raise ValueError('it is truncated')
    start = data.rindex(b'\n', 0, -1) + 1
    body = data[:start]
    header, *records = map(json.loads, body.splitlines())
    if data[start:] != _trailer(body, len(records)):
      raise ValueError('its digest does not match its content')
    if header.pop('format') != FORMAT:
      raise ValueError('its format is unknown to this version')
    digest = hashlib.sha256(body).hexdigest()
    return Manifest(
      from_json(dict(header, digest=digest)), list(map(_entry, records)))
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InvalidManifest('the manifest is invalid: %s' % error) from error


def read(root):
  """Return the Manifest inside dump `root`.  Raises InvalidManifest."""
  path = os.path.join(root, MANIFEST)
  try:
    with open(path, 'rb') as source:
      return parse(source.read())
  except FileNotFoundError:
    raise InvalidManifest('%s has no manifest' % root) from None
  except OSError as error:
    raise InvalidManifest('the manifest cannot be read: %s' % error) from error


def write(root, generation, entries):
  """Seal dump `root`: write its manifest.  Returns the sealed Generation."""
  data, generation = serialise(generation, entries)
  directory = os.path.join(root, RESERVED_DIRECTORY)
  os.makedirs(directory, mode=0o700, exist_ok=True)
  path = os.path.join(root, MANIFEST)
  write_bytes(path, data)
  # Programs that compare size and mtime see each generation, even two within
  # one second: its number is the mtime.
  moment = (generation.epoch << 24) + generation.sequence
  os.utime(path, (moment, moment))
  fsync_directory(root)
  return generation


class Difference(typing.NamedTuple):
  """One entry that is not as the manifest says.  `path` is bytes."""
  path: bytes
  problem: str

  def __str__(self):
    return '%s: %s' % (encode_path(self.path), self.problem)


def compare(root, manifest, durable=False):
  """Return the Differences between directory `root` and `manifest`.

  Reads every byte: a changed byte behind an unchanged mtime is found.
  """
  unkeepable = []
  found = {entry.path: entry for entry in scan(root, durable, unkeepable)}
  differences = [Difference(b'', sentence) for sentence in unkeepable]
  for entry in manifest.entries:
    present = found.pop(entry.path, None)
    if present is None:
      differences.append(Difference(entry.path, 'is missing'))
    elif not entry.matches(present):
      fields = [field for field in Entry._fields if field != 'mtime'
                and getattr(entry, field) != getattr(present, field)]
      differences.append(Difference(
        entry.path, 'has another ' + ', '.join(fields)))
  differences.extend(
    Difference(path, 'is not in the manifest') for path in found)
  return differences
