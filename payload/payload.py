"""The payload's one command: serve a database, export it, import a copy.

``resilient-payload serve`` runs the service (``web.py``), ``export`` dumps its
database while it runs, ``import`` puts a dumped one in its place.  The stack
runs the last two, never two of them at a time, and reads their exit status: 0
is done; anything else is failed, for the reason in the one line on stderr.
``promote`` and ``fence`` (``role.py``) let the running service take writes, or
refuse them, when a takeover comes.

Journal mode
============

The database is one file that is swapped by a rename, so nothing that belongs to
its content may lie beside it: SQLite would apply what it finds there to the new
file.  In mode WAL the newest records lie beside it all the time.  In mode
DELETE, used here, there is a journal during a transaction only, and one that a
killed writer left is rolled back by whoever opens the database next.
"""
import argparse
import contextlib
import filecmp
import os
import shutil
import sqlite3
import sys
import urllib.parse

DUMP_NAME = 'payload.sqlite'
# Says in the header of the file that it is a database of this program.
APPLICATION_ID = 0x52535041
# Seconds to wait while somebody else writes.
_PATIENCE = 30
# What SQLite may keep beside a database, each with a part of its content.
_COMPANIONS = ('-journal', '-wal', '-shm')


class PayloadError(Exception):
  """What was asked for cannot be done; the message is one line."""


@contextlib.contextmanager
def connect(path, read_only=False):
  """Open the database in file `path` and yield the connection, which is in
  autocommit mode.

  read_only: refuse to write records; a transaction that a killed writer left
  is rolled back all the same.

  Raises sqlite3.Error, also when there is no file: none is made.
  """
  connection = sqlite3.connect(
    'file:%s?mode=rw' % urllib.parse.quote(os.path.abspath(path)),
    uri=True, timeout=_PATIENCE, isolation_level=None)
  with contextlib.closing(connection):
    # The removal of the journal, which is what ends a transaction, is durable
    # too before a client hears of it.
    connection.execute('PRAGMA synchronous = EXTRA')
    connection.execute('PRAGMA query_only = %d' % read_only)
    yield connection


def check_owner(connection):
  """Raise PayloadError unless the database is one of this program."""
  owner = connection.execute('PRAGMA application_id').fetchone()[0]
  if owner != APPLICATION_ID:
    raise PayloadError('this is a database of another program')


def check(path):
  """Check that file `path` is a whole database of this program, complete
  without any other file.

  Raises PayloadError.
  """
  try:
    with connect(path) as connection:
      connection.execute('PRAGMA journal_mode = DELETE')
      problem = connection.execute('PRAGMA integrity_check(1)').fetchone()[0]
      if problem != 'ok':
        raise PayloadError('the database is damaged: ' + problem)
      check_owner(connection)
  except sqlite3.Error as error:
    raise PayloadError('the database cannot be read: %s' % error) from error


def export_database(database, dump):
  """Copy the database in file `database` to DUMP_NAME in directory `dump`.

  The copy is of one moment, and the service may write all the time.  After a
  failure, or SIGKILL, the dump is what it was.

  Raises PayloadError, sqlite3.Error, OSError.
  """
  if not os.path.isfile(database):
    raise PayloadError('there is no database %s: has the service ever started?'
                       % database)
  target = os.path.join(dump, DUMP_NAME)
  # Beside the dump, not inside: what a killed run leaves is no part of a dump.
  temporary = os.path.abspath(dump) + '.partial'
  with _temporary(temporary):
    _backup(database, temporary)
    # A damaged database must not replace a good dump.
    check(temporary)
    _fsync(temporary)
    # An unchanged file costs nothing in transfers, nor in the archive.
    if not (os.path.exists(target)
            and filecmp.cmp(temporary, target, shallow=False)):
      os.rename(temporary, target)
  _remove_companions(target)
  _fsync(dump)


def _backup(database, target):
  with connect(database) as source, contextlib.closing(
      sqlite3.connect(target, isolation_level=None)) as copy:
    # An unfinished copy is thrown away, so it needs no journal on disk.
    copy.execute('PRAGMA journal_mode = MEMORY')
    copy.execute('PRAGMA synchronous = OFF')
    # All pages in one step, while writers wait: a copy in several steps starts
    # anew whenever the service writes between two of them, and may never end.
    # And no VACUUM: a page that did not change stays where it was, so the next
    # increment is as small as the change.
    source.backup(copy, pages=-1)


def import_database(database, dump):
  """Put DUMP_NAME of directory `dump` in the place of file `database`.

  Readers find the old content or the new one.  After a failure, or SIGKILL, it
  is the old one, whole.

  Raises PayloadError, sqlite3.Error, OSError.
  """
  source = os.path.join(dump, DUMP_NAME)
  if not os.path.isfile(source):
    raise PayloadError('there is no %s in the dump' % DUMP_NAME)
  temporary = database + '.import'
  with _temporary(temporary):
    # SQLite never opens the dump itself: it stays as the stack verified it.
    shutil.copyfile(source, temporary)
    check(temporary)
    _fsync(temporary)
    with _without_journal(database):
      os.rename(temporary, database)
    _fsync(os.path.dirname(os.path.abspath(database)))


@contextlib.contextmanager
def _without_journal(database):
  """Keep any journal away from the name `database`.

  Raises sqlite3.OperationalError if somebody writes and does not end in time.
  """
  with contextlib.ExitStack() as stack:
    try:
      if os.path.exists(database):
        connection = stack.enter_context(connect(database))
        # Rolls back what a killed writer left.  To remove its journal instead
        # would damage the old content, which we have until the rename.
        connection.execute('PRAGMA journal_mode = DELETE')
        # From here to the end nobody else begins to write.
        connection.execute('BEGIN IMMEDIATE')
    except sqlite3.OperationalError:
      raise
    except sqlite3.DatabaseError:
      pass  # It is damaged: there is no old content to keep.
    _remove_companions(database)
    yield


@contextlib.contextmanager
def _temporary(path):
  """Have no file `path`, nor what SQLite puts beside it, before and after."""
  def remove():
    _remove_companions(path)
    with contextlib.suppress(FileNotFoundError):
      os.unlink(path)

  remove()
  try:
    yield
  finally:
    remove()


def _remove_companions(path):
  for suffix in _COMPANIONS:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(path + suffix)


def _fsync(path):
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _serve(arguments):
  # Only here: an export does not wait for a web framework.
  from . import web
  web.serve(arguments.database, arguments.role, arguments.host, arguments.port,
            arguments.log)


def _change_role(arguments):
  from . import role
  change = role.promote if arguments.command == 'promote' else role.fence
  change(arguments.database, arguments.url)


def _parser():
  parser = argparse.ArgumentParser(prog='resilient-payload')
  commands = parser.add_subparsers(dest='command', required=True)

  def add(name, help_text, run):
    command = commands.add_parser(name, help=help_text)
    command.add_argument('--database', required=True, metavar='FILE')
    command.set_defaults(run=run)
    return command

  serve = add('serve', 'run the service', _serve)
  serve.add_argument('--role', required=True, choices=('leader', 'clone'))
  serve.add_argument('--host', required=True)
  serve.add_argument('--port', required=True, type=int)
  serve.add_argument('--log', help='a file that logrotate may move away')
  for name, help_text, run in (
      ('export', 'dump the database while it is in use', export_database),
      ('import', 'replace the database by a dumped one', import_database)):
    command = add(name, help_text, lambda arguments, run=run: run(
      arguments.database, arguments.dump))
    command.add_argument('--dump', required=True, metavar='DIRECTORY')
  for name, help_text in (
      ('promote', 'have the service take writes'),
      ('fence', 'have the service refuse writes')):
    add(name, help_text, _change_role).add_argument(
      '--url', required=True, help='of the service')
  return parser


def main(argv=None):
  """Run the command in `argv`.  Returns the exit status."""
  arguments = _parser().parse_args(argv)
  os.umask(0o077)
  try:
    arguments.run(arguments)
  except (PayloadError, sqlite3.Error, OSError) as error:
    sys.stderr.write('%s failed: %s\n' % (
      arguments.command, ' '.join(str(error).split())))
    return 1
  return 0
