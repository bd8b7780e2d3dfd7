"""Whether the service takes writes: told when it starts, changed while it runs.

``resilient-payload promote`` and ``fence`` note the change in a file beside the
database, which the service reads at each request: it needs no restart, and does
not forget it in one.
"""
import contextlib
import json
import os
import sqlite3
import time
import urllib.request

from .payload import check, connect, PayloadError

LEADER = 'leader'
# A leader that was replaced.
FENCED = 'fenced'
# What the page says of itself, and what it answers to writes.
ABOUT = {
  LEADER: 'This is the leader: writable',
  'clone': 'This is a clone: read-only, write to the leader',
  FENCED: 'This leader has been replaced: read-only, write to its successor'}
REFUSAL = {
  'clone': 'this is a clone, read-only, write to the leader',
  FENCED: 'this leader has been replaced, read-only, write to its successor'}
_SUFFIX = '.role'
# Seconds for the service to follow.
_PATIENCE = 30


def current(database, role):
  """Return the role of the service of file `database` that was started as
  `role`."""
  try:
    with open(database + _SUFFIX, encoding='ascii') as source:
      return source.read().strip() or role
  except FileNotFoundError:
    return role


def _note(database, role):
  temporary = '%s%s.%d' % (database, _SUFFIX, os.getpid())
  with open(temporary, 'w', encoding='ascii') as output:
    output.write(role + '\n')
    output.flush()
    os.fsync(output.fileno())
  os.rename(temporary, database + _SUFFIX)


def _says(url):
  """Return the role that the service at `url` has, or None if none answers."""
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  try:
    with opener.open(url + 'state', timeout=5) as answer:
      return json.loads(answer.read())['role']
  except (OSError, ValueError, KeyError):
    return None


def promote(database, url):
  """Have the service at `url` take writes.  Raises PayloadError, OSError."""
  check(database)
  _note(database, LEADER)
  end = time.monotonic() + _PATIENCE
  while _says(url) != LEADER:
    if time.monotonic() > end:
      raise PayloadError('the service at %s does not answer as a leader' % url)
    time.sleep(0.05)


def fence(database, url):
  """Have the service at `url` refuse writes, now and after a restart.  One that
  does not run refuses them when it does.  Raises PayloadError, OSError."""
  _note(database, FENCED)
  with contextlib.suppress(sqlite3.Error), connect(database) as connection:
    # Waits for the end of a write that has begun; the next one reads the note.
    connection.execute('BEGIN IMMEDIATE')
    connection.execute('ROLLBACK')
  if _says(url) not in (FENCED, None):
    raise PayloadError('the service at %s still takes writes' % url)
