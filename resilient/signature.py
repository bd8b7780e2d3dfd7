"""``backup.signature``: a list of digests that a payload may write.

The format is that of sha256sum(1): a digest, a space, a space or ``*``, and a
path relative to the dump; a line that begins with a backslash has ``\\n``,
``\\r`` and ``\\\\`` escaped in its path.
"""
import hashlib
import os
import re

NAME = 'backup.signature'
_LINE = re.compile(
  rb'(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<path>.+)')


class Mismatch(Exception):
  """A file is not what the payload's own list says."""


def _unescape(path):
  special = {b'n': b'\n', b'r': b'\r'}
  return re.sub(
    rb'\\(.)', lambda match: special.get(match[1], match[1]), path)


def check(root):
  """Check dump `root` against its list, if it has one.  Raises Mismatch."""
  path = os.path.join(root, NAME)
  try:
    with open(path, 'rb') as source:
      lines = source.read().split(b'\n')
  except FileNotFoundError:
    return
  for number, line in enumerate(filter(None, lines), 1):
    match = _LINE.fullmatch(line)
    if match is None:
      raise Mismatch('line %d of %s is not one of sha256sum' % (number, NAME))
    name = _unescape(match['path']) if match['escaped'] else match['path']
    try:
      with open(os.path.join(os.fsencode(root), name), 'rb') as source:
        digest = hashlib.sha256()
        while block := source.read(1 << 20):
          digest.update(block)
    except OSError as error:
      raise Mismatch('%s: %s' % (NAME, error)) from error
    if digest.hexdigest() != match['digest'].decode():
      raise Mismatch('%r does not match %s' % (os.fsdecode(name), NAME))
