"""The manifest: what a sealed dump consists of, entry by entry.

The format is in docs/design.rst.  It is written by the leader and checked by
each PBS, by each clone and at each restore.
"""
import contextlib
import hashlib
import json
import os
import re
import stat
import typing

from .durable import fsync_directory, MISFITS, write_bytes
from .entries import (
  decode_path,
  encode_path,
  Entry,
  KINDS,
  RESERVED,
  RESERVED_DIRECTORY,
  scan,
)
from .generation import from_json, Generation

FORMAT = 'resilient-manifest-1'
MANIFEST = RESERVED_DIRECTORY + '/manifest'
# The problem of a Difference.
EXTRA = 'is not in the manifest'


class InvalidManifest(Exception):
  """There is no manifest, or it is damaged."""


class Manifest(typing.NamedTuple):
  """A generation and its entries, in the order of `scan`.
  links: whether it says which files have several names; old ones do not."""
  generation: Generation
  entries: list
  links: bool = True


def _entry_line(entry):
  record = {'path': encode_path(entry.path), 'type': entry.type,
            'mode': '%04o' % entry.mode}
  if entry.type == 'file':
    record.update(size=entry.size, mtime=entry.mtime, sha256=entry.sha256)
  if entry.type == 'symlink':
    record['target'] = encode_path(entry.target)
  if entry.link is not None:
    record['link'] = encode_path(entry.link)
  return json.dumps(record, sort_keys=True).encode() + b'\n'


def _path(text):
  path = decode_path(text)
  # A manifest comes from another machine: it must not name what is outside.
  if not {b'', b'.', b'..'}.isdisjoint(path.split(b'/')) or b'\0' in path:
    raise ValueError('%s is no path in a dump' % text)
  return path


def _checked(record, field, kind):
  value = record[field]
  if not isinstance(value, kind) or isinstance(value, bool):
    raise ValueError('%s of %s is %r' % (field, record['path'], value))
  return value


def _entry(record):
  path, kind = _path(record['path']), record['type']
  if not re.fullmatch('[0-7]{4}', record['mode']):
    raise ValueError('the mode of %s is %r' % (record['path'], record['mode']))
  entry = Entry(path, kind, int(record['mode'], 8))
  if kind == 'file':
    digest, link = _checked(record, 'sha256', str), record.get('link')
    if not re.fullmatch('[0-9a-f]{64}', digest):
      raise ValueError('sha256 of %s is %r' % (record['path'], digest))
    return entry._replace(
      size=_checked(record, 'size', int), mtime=_checked(record, 'mtime', int),
      sha256=digest, link=None if link is None else _path(link))
  if kind == 'symlink':
    target = decode_path(record['target'])
    if not target or b'\0' in target:
      raise ValueError('the target of %s is empty' % record['path'])
    return entry._replace(target=target)
  if kind not in KINDS:
    raise ValueError('%s is of type %r' % (record['path'], kind))
  return entry


def _require_order(entries):
  """Raise ValueError unless each entry is in a directory that is an entry
  before it, and each link names a file before it: else a path leads outside."""
  kinds = {b'': 'directory'}
  for entry in entries:
    name = encode_path(entry.path)
    if kinds.get(os.path.dirname(entry.path)) != 'directory':
      raise ValueError('%s is in no directory of it' % name)
    if entry.path in kinds or entry.path in RESERVED:
      raise ValueError('%s is there twice, or reserved' % name)
    if entry.link is not None and kinds.get(entry.link) != 'file':
      raise ValueError('%s is a link to no file of it' % name)
    kinds[entry.path] = entry.type if entry.link is None else 'link'


def _trailer(digest, count):
  trailer = {'entries': count, 'sha256': digest}
  return json.dumps(trailer, sort_keys=True).encode() + b'\n'


def serialise(generation, entries):
  """Return (bytes of the manifest, the generation with its digest)."""
  header = dict(generation.to_json(), format=FORMAT, links=True)
  del header['digest']
  lines = [json.dumps(header, sort_keys=True).encode() + b'\n']
  lines.extend(map(_entry_line, entries))
  body = b''.join(lines)
  digest = hashlib.sha256(body).hexdigest()
  return (body + _trailer(digest, len(lines) - 1),
          generation._replace(digest=digest))


@contextlib.contextmanager
def _understanding():
  try:
    yield
  except (*MISFITS, RecursionError) as error:
    raise InvalidManifest('the manifest is invalid: %s' % error) from error


def _trusted(data):
  """Return (Generation, header, lines of the entries) of bytes `data`, whose
  digest vouches for them.  Raises one of MISFITS."""
  if not data.endswith(b'\n'):
    raise ValueError('it is truncated')
  start = data.rindex(b'\n', 0, -1) + 1
  body = data[:start]
  first, *lines = body.splitlines()
  digest = hashlib.sha256(body).hexdigest()
  if data[start:] != _trailer(digest, len(lines)):
    raise ValueError('its digest does not match its content')
  header = json.loads(first)
  if header.pop('format') != FORMAT:
    raise ValueError('its format is unknown to this version')
  return from_json(dict(header, digest=digest)), header, lines


def parse(data):
  """Return the Manifest in bytes `data`.  Raises InvalidManifest."""
  with _understanding():
    generation, header, lines = _trusted(data)
    entries = list(map(_entry, map(json.loads, lines)))
    _require_order(entries)
    return Manifest(generation, entries, header.get('links') is True)


def _content(root):
  path = os.path.join(root, MANIFEST)
  try:
    # It comes from another machine: a pipe would be waited for, for ever.
    descriptor = os.open(
      path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, 'rb') as source:
      if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InvalidManifest('the manifest of %s is no file' % root)
      return source.read()
  except FileNotFoundError:
    raise InvalidManifest('%s has no manifest' % root) from None
  except OSError as error:
    raise InvalidManifest('the manifest cannot be read: %s' % error) from error


def read(root):
  """Return the Manifest inside dump `root`.  Raises InvalidManifest."""
  return parse(_content(root))


def outline(root):
  """Return (Generation, bytes of its files) of the manifest inside dump `root`,
  as `read`, but only the digest is checked: it takes less time and memory."""
  with _understanding():
    generation, _, lines = _trusted(_content(root))
    return generation, sum(
      json.loads(line).get('size', 0) for line in lines)


def side_by_side(entries):
  """Return `entries` with all names of a file side by side."""
  return sorted(entries, key=lambda entry: (
    entry.path if entry.link is None else entry.link, entry.link is not None))


def moment(generation):
  """Return the mtime of the manifest of `generation`: programs that compare
  size and mtime see each generation, even two within one second."""
  return (generation.epoch << 24) + generation.sequence


def write(root, generation, entries, keep=None):
  """Seal dump `root`: write its manifest.  Returns the sealed Generation.

  keep: called with the bytes of the manifest, before it is in the dump.
  """
  data, generation = serialise(generation, entries)
  directory = os.path.join(root, RESERVED_DIRECTORY)
  os.makedirs(directory, mode=0o700, exist_ok=True)
  path = os.path.join(root, MANIFEST)
  if keep:
    keep(data)
  write_bytes(path, data)
  os.utime(path, (moment(generation), moment(generation)))
  fsync_directory(root)
  return generation


class Difference(typing.NamedTuple):
  """One entry that is not as the manifest says.  `path` is bytes."""
  path: bytes
  problem: str

  def __str__(self):
    return '%s: %s' % (encode_path(self.path), self.problem)


def mismatch(manifest, differences):
  """Return the sentence on how a directory differs from `manifest`."""
  return 'generation %s does not match its manifest in %d entries: %s' % (
    manifest.generation.label, len(differences),
    '; '.join(map(str, differences[:5])))


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
      continue
    if not manifest.links:
      present = present._replace(link=None)
    if not entry.matches(present):
      fields = [field for field in Entry._fields if field != 'mtime'
                and getattr(entry, field) != getattr(present, field)]
      differences.append(Difference(
        entry.path, 'has another ' + ', '.join(fields)))
  differences.extend(
    Difference(path, EXTRA) for path in found)
  return differences
