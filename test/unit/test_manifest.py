"""The manifest as a format: lossless, and no damage passes."""
import hashlib
import json
import math
import unittest

from hypothesis import given, settings, strategies

from resilient import manifest
from resilient.entries import KINDS

from .support import generation, sealed, TestCase

names = strategies.binary(min_size=1, max_size=255).filter(
  lambda name: b'/' not in name and b'\0' not in name
  and name not in (b'.', b'..'))
paths = strategies.lists(names, min_size=1, max_size=3).map(b'/'.join)
modes = strategies.integers(0, 0o7777)
digests = strategies.text('0123456789abcdef', min_size=64, max_size=64)
entries = strategies.one_of(
  strategies.tuples(
    paths, strategies.just('file'), modes, strategies.integers(0),
    strategies.integers(), digests),
  strategies.tuples(
    paths, strategies.sampled_from(('directory', 'fifo', 'socket')), modes),
  strategies.tuples(
    paths, strategies.just('symlink'), strategies.just(0o777),
    strategies.none(), strategies.none(), strategies.none(),
    strategies.binary(min_size=1).filter(lambda text: b'\0' not in text)),
  strategies.tuples(
    paths, strategies.just('file'), modes, strategies.integers(0),
    strategies.integers(), digests, strategies.none(), paths),
).map(lambda fields: manifest.Entry(*fields))

# Any JSON, and what might be taken for one of our values.
values = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats() | strategies.text(max_size=8)
  | strategies.sampled_from((
    'file', 'symlink', 'directory', 'fifo', 'device', '0644', '07777', '-001',
    '../a', 'a/../b', '/a', 'a%00b', '%2e%2e', '0' * 64, 'resilient-manifest-1',
    1 << 70, -1)),
  lambda items: strategies.lists(items, max_size=2) | strategies.dictionaries(
    strategies.text(max_size=4), items, max_size=2), max_leaves=4)


def in_order(items):
  """Return Entries `items` as a manifest may have them: each once, after the
  directories that it is in and the file that it is a link to."""
  found = {}

  def add(entry):
    folders = entry.path.split(b'/')[:-1]
    for number in range(1, len(folders) + 1):
      path = b'/'.join(folders[:number])
      folder = found.setdefault(path, manifest.Entry(path, 'directory', 0o700))
      if folder.type != 'directory':
        return
    if entry.link is not None:
      add(entry._replace(path=entry.link, link=None))
      first = found.get(entry.link)
      if not first or first.type != 'file' or first.link is not None:
        return
    found.setdefault(entry.path, entry)

  for item in items:
    add(item)
  return list(found.values())


class TestFormat(unittest.TestCase):
  """Bytes out, bytes in."""

  @settings(deadline=None, database=None, max_examples=60)
  @given(strategies.lists(entries, max_size=5).map(in_order))
  def test_any_entries_come_back_as_they_were(self, items):
    data, identity = manifest.serialise(generation(4, epoch=2), items)
    self.assertEqual(
      manifest.parse(data), manifest.Manifest(identity, items))

  @settings(deadline=None, database=None, max_examples=60)
  @given(paths)
  def test_any_name_is_one_line_of_ascii(self, path):
    text = manifest.encode_path(path)
    self.assertRegex(text, r'\A[!-~]+\Z')
    self.assertEqual(manifest.decode_path(text), path)

  def test_the_header_is_as_documented(self):
    data, _ = manifest.serialise(generation(4, epoch=2), [])
    header = json.loads(data.splitlines()[0])
    self.assertEqual(set(header), {
      'format', 'name', 'epoch', 'sequence', 'leader', 'sealed', 'due',
      'links'})
    self.assertEqual(header['format'], 'resilient-manifest-1')


class TestDamage(unittest.TestCase):
  """A manifest that is not what was sealed is no manifest."""

  def setUp(self):
    self.data, _ = manifest.serialise(generation(), [
      manifest.Entry(b'a', 'file', 0o644, 1, 2, '0' * 64),
      manifest.Entry(b'b', 'symlink', 0o777, target=b'a')])

  def test_any_other_byte_anywhere_is_found(self):
    manifest.parse(self.data)
    for position in range(len(self.data)):
      for flip in (1, 2, 4, 8, 16, 32, 64, 128, 0x29, 0x2d):
        damaged = bytearray(self.data)
        damaged[position] ^= flip
        with self.assertRaises(manifest.InvalidManifest, msg=(
            self.data[position:position + 9], flip)):
          manifest.parse(bytes(damaged))

  def test_a_truncation_anywhere_is_found(self):
    for length in range(len(self.data)):
      with self.assertRaises(manifest.InvalidManifest, msg=length):
        manifest.parse(self.data[:length])

  def test_a_line_that_was_added_or_removed_is_found(self):
    lines = self.data.splitlines(keepends=True)
    for changed in (lines[:1] + lines[2:], lines[:2] + lines[1:],
                    lines + lines[-1:], lines[:1]):
      with self.assertRaises(manifest.InvalidManifest):
        manifest.parse(b''.join(changed))

  def test_another_format_is_refused_by_name(self):
    data = self.data.replace(b'resilient-manifest-1', b'resilient-manifest-2')
    with self.assertRaises(manifest.InvalidManifest):
      manifest.parse(data)

  def test_a_path_that_leaves_the_dump_is_refused(self):
    for path in (b'../x', b'/etc/x', b'a/../../x', b'..', b'.', b'', b'a//b'):
      data, _ = manifest.serialise(
        generation(), [manifest.Entry(path, 'directory', 0o755)])
      with self.assertRaises(manifest.InvalidManifest, msg=path):
        manifest.parse(data)


class TestHostile(unittest.TestCase):
  """A manifest whose digest is right, from somebody who means no good."""

  def parsed(self, header, records):
    """Parse a manifest of these lines; return it, or None if it is refused.
    Nothing else may happen."""
    body = b''.join(json.dumps(line).encode() + b'\n'
                    for line in (header, *records))
    trailer = {'entries': len(records),
               'sha256': hashlib.sha256(body).hexdigest()}
    try:
      return manifest.parse(
        body + json.dumps(trailer, sort_keys=True).encode() + b'\n')
    except manifest.InvalidManifest:
      return None

  def header(self, **changes):
    """Return a header that is right but for `changes`."""
    data, _ = manifest.serialise(generation(), [])
    return {**json.loads(data.splitlines()[0]), **changes}

  def test_the_helper_makes_a_manifest_that_is_right(self):
    self.assertIsNotNone(self.parsed(self.header(), [
      {'path': 'a', 'type': 'directory', 'mode': '0755'}]))

  @settings(deadline=None, database=None, max_examples=500)
  @given(values, strategies.lists(values, max_size=3))
  def test_no_lines_that_are_none_of_ours_are_accepted(self, header, records):
    self.assertIsNone(self.parsed(header, records))

  @settings(deadline=None, database=None, max_examples=500)
  @given(strategies.dictionaries(strategies.sampled_from((
    'path', 'type', 'mode', 'size', 'mtime', 'sha256', 'target', 'link')),
    values, max_size=8))
  def test_an_entry_that_is_accepted_is_one_that_can_be(self, record):
    record = {'path': 'a/b', 'type': 'file', 'mode': '0644', **record}
    found = self.parsed(self.header(), [record])
    if found:
      entry, = found.entries
      self.assertLessEqual(entry.mode, 0o7777)
      self.assertFalse(entry.path.startswith(b'/'))
      self.assertIn(entry.type, KINDS)
      self.assertEqual(entry.type == 'file', isinstance(entry.size, int))
      self.assertIn(type(entry.link), (bytes, type(None)))

  @settings(deadline=None, database=None, max_examples=500)
  @given(strategies.dictionaries(strategies.sampled_from((
    'name', 'epoch', 'sequence', 'leader', 'sealed', 'due', 'format')),
    values, max_size=3))
  def test_a_header_that_is_accepted_has_an_order(self, changes):
    found = self.parsed(self.header(**changes), [])
    if found:
      self.assertGreaterEqual(found.generation.order, (1, 1))
      self.assertTrue(math.isfinite(found.generation.due))

  @settings(deadline=None, database=None, max_examples=500)
  @given(strategies.binary())
  def test_no_bytes_are_accepted(self, data):
    with self.assertRaises(manifest.InvalidManifest):
      manifest.parse(data)

  def test_deep_nesting_is_no_crash(self):
    header = manifest.serialise(generation(), [])[0].splitlines(True)[0]
    deep = b'[' * 100000 + b'\n'
    for body in (deep, header + deep):
      digest = hashlib.sha256(body).hexdigest()
      with self.assertRaisesRegex(manifest.InvalidManifest, 'recursion'):
        manifest.parse(body + manifest._trailer(digest, body.count(b'\n') - 1))


class TestRead(TestCase):
  """The manifest in a dump."""

  def test_a_sealed_dump_has_the_generation_that_was_sealed(self):
    identity = sealed(self.path('dump'), {'marker': 'one'})
    found = manifest.read(self.path('dump'))
    self.assertEqual(found.generation, identity)
    self.assertEqual([entry.path for entry in found.entries], [b'marker'])

  def test_its_outline_is_of_the_same_generation_and_size(self):
    identity = sealed(self.path('dump'), {'marker': 'one', 'other': 'four'})
    self.assertEqual(manifest.outline(self.path('dump')), (identity, 7))

  def test_a_changed_byte_of_it_shows_in_its_outline(self):
    sealed(self.path('dump'), {'marker': 'one'})
    path = self.path('dump', manifest.MANIFEST)
    with open(path, 'rb') as source:
      data = source.read()
    for place in range(0, len(data), 7):
      with open(path, 'wb') as target:
        target.write(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
      with self.assertRaises(manifest.InvalidManifest):
        manifest.outline(self.path('dump'))

  def test_a_dump_without_a_manifest_says_so(self):
    with self.assertRaisesRegex(manifest.InvalidManifest, 'no manifest'):
      manifest.read(self.directory)
