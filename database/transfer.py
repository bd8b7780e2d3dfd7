"""``export``: dump database and application.  ``import``: load a dump.

A dump is the folder ``content`` in the directory that the stack seals; it is
replaced in one step.  The database in it is a logical dump, which an importer
loads into a second data directory, with a server of its own, while the clone's
server answers from the first.
"""
import contextlib
import filecmp
import logging
import os
import time

from resilient.durable import (
  exchange,
  fsync_directory,
  read_json,
  write_json,
)

from .contents import (
  Contents,
  copy_file,
  copy_tree,
  CREDENTIALS,
  DATABASE,
  DOCUMENTS,
  DOCUMENTS_ORIGIN,
  RELEASE,
  remove_tree,
  SETTINGS,
  sync_file,
  sync_tree,
)
from .server import check_release, Server, ServerError

log = logging.getLogger('database.transfer')

CONTENT = 'content'
_FILES = (CREDENTIALS, DOCUMENTS_ORIGIN, RELEASE, SETTINGS)
_SWITCH = 300  # seconds until the clone's server serves what was imported


def export(engine, configuration, dump):
  """Dump the leader's content, while it is in use, into directory `dump`.

  After a failure, or SIGKILL, the dump is what it was.

  Raises ServerError, resilient.process.Failed, OSError.
  """
  content = Contents(configuration.contents_directory).current()
  if content is None or not engine.answers(content):
    raise ServerError('%s does not answer: is the service running?'
                      % engine.NAME)
  target = os.path.join(dump, CONTENT)
  # Beside the dump, not inside: what a killed run leaves is no part of a dump.
  partial = os.path.abspath(dump) + '.partial'
  remove_tree(partial)
  try:
    os.mkdir(partial, 0o700)
    os.mkdir(os.path.join(partial, DATABASE), 0o700)
    engine.dump(os.path.join(partial, DATABASE))
    # After the database: what its rows name is there.
    copy_tree(os.path.join(content, DOCUMENTS),
              os.path.join(partial, DOCUMENTS))
    for name in _FILES:
      copy_file(os.path.join(content, name), os.path.join(partial, name))
    _keep_unchanged(partial, target)
    if os.path.isdir(target):
      exchange(partial, target)
    else:
      os.rename(partial, target)
      fsync_directory(dump)
  finally:
    remove_tree(partial)


def _keep_unchanged(new, old):
  """Let each file in folder `new` that is the same in folder `old` be that
  file: unchanged for whoever looks at its times.  A folder that nobody may
  write to keeps its new files."""
  for folder, _, names in os.walk(new):
    for name in names:
      path = os.path.join(folder, name)
      before = os.path.join(old, os.path.relpath(path, new))
      if os.path.islink(path):
        continue
      if (os.access(folder, os.W_OK)
          and os.path.isfile(before) and not os.path.islink(before)
          and os.stat(before).st_mode == os.stat(path).st_mode
          and filecmp.cmp(path, before, shallow=False)):
        os.unlink(path)
        os.link(before, path)
      else:
        sync_file(path)
    fsync_directory(folder)


def import_(engine, configuration, dump):
  """Load the dump in directory `dump` and let the clone's server serve it.

  Until the last step, and after a failure or SIGKILL before it, that serves
  what it served.

  Raises ServerError, resilient.process.Failed, OSError.
  """
  source = os.path.join(dump, CONTENT)
  here = engine.NAME, engine.version()
  check_release(read_json(os.path.join(source, RELEASE)), here[1:], here)
  contents = Contents(configuration.contents_directory)
  with contents.new() as content:
    copy_tree(os.path.join(source, DOCUMENTS),
              os.path.join(content, DOCUMENTS))
    for name in _FILES:
      if name != RELEASE:
        copy_file(os.path.join(source, name), os.path.join(content, name))
    make_database(engine, content)
    engine.check_settings(content)
    with Server(engine, content, private=True) as server:
      server.started()
      engine.load(os.path.join(source, DATABASE))
      # Else the clone would have to repair what it cannot write to.  How long
      # that may take is the stack's to say, as of the whole import.
      server.finish()
    sync_tree(content)
    contents.switch(content)
    _wait_until_served(engine, content)
  contents.remove_others()


def make_database(engine, content):
  """Make an empty database in `content`.  Raises resilient.process.Failed."""
  os.mkdir(os.path.join(content, DATABASE), 0o700)
  engine.create(content)
  write_json(os.path.join(content, RELEASE), {
    'server': engine.NAME, 'version': engine.version()})


def _wait_until_served(engine, content):
  end = time.monotonic() + _SWITCH
  with contextlib.suppress(FileNotFoundError):
    while not engine.answers(content):
      if time.monotonic() > end:
        raise ServerError(
          'the data was loaded, and %s does not serve it after %d s: is the'
          ' service running?' % (engine.NAME, _SWITCH))
      time.sleep(0.1)
