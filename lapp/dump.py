"""What a dump of PostgreSQL has, and how it is loaded: a part of the engine.

A dump is ``roles.sql`` and, for each database, a folder ``database-<name>`` of
pg_dump, with the name quoted as in a URL.
"""
import json
import logging
import os
import pathlib
import urllib.parse

from database.programs import run
from resilient.process import Failed

log = logging.getLogger('lapp.dump')

_DEADLINE = 6 * 3600
_ROLES = 'roles.sql'
# Nobody reads those that take no connections, or that are invalid (-2): what is
# left when DROP DATABASE is interrupted.
_DATABASES = '''SELECT json_agg(json_build_array(datname,
    pg_encoding_to_char(encoding), datallowconn AND datconnlimit <> -2)
  ORDER BY datname) FROM pg_database WHERE datname <> 'template0' '''
# As it is stored: each kind of value is quoted in a way of its own.
_FOR_ALL = '''SELECT format('INSERT INTO pg_db_role_setting VALUES (0, 0, %L);',
  setconfig) FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = 0'''
# Those that refer to none that is still unlogged.
_UNLOGGED = '''SELECT format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
  FROM pg_class c WHERE relpersistence = 'u' AND relkind IN ('r', 'S')
  AND NOT EXISTS (SELECT FROM pg_constraint JOIN pg_class o ON o.oid = confrelid
    WHERE conrelid = c.oid AND o.oid <> c.oid AND o.relpersistence = 'u')'''
# No event trigger is to hinder what follows.
_NO_TRIGGERS = 'SET session_replication_role = replica;\n'


class Dumps:
  """What an engine does with dumps."""

  def _run(self, name, database, *arguments, private=False):
    run([*self._client(name, database, private), *arguments], _DEADLINE,
        self._environment(private))

  def _databases(self, private=False):
    """Return [(name, encoding)] of the databases that can be read; the log
    names the others."""
    found = []
    for name, encoding, readable in json.loads(
        self.sql(_DATABASES, private=private)):
      if readable:
        found.append((name, encoding))
      else:
        log.warning('the dump does not have this database, which takes no'
                    ' connections or is invalid: %r', name)
    return found

  def dump(self, target):
    """Dump roles, and all databases, into the empty folder `target`."""
    self._run('pg_dumpall', 'postgres', '--globals-only', '--no-tablespaces',
              '--file', os.path.join(target, _ROLES))
    with open(os.path.join(target, _ROLES), 'a', encoding='utf-8') as file:
      file.write(self.sql(_FOR_ALL))
    for name, encoding in self._databases():
      # A file a table, as text: a table that did not change is the same file,
      # and one that did differs where it did.
      self._run('pg_dump', name, '--format=directory',
                '--compress=0', '--no-tablespaces', '--encoding', encoding,
                '--file', os.path.join(
                  target, 'database-' + urllib.parse.quote(name, '')))

  def load(self, source):
    """Load a dump into the private server, which is empty."""
    text = pathlib.Path(source, _ROLES).read_text('utf-8').replace(
      '\nCREATE ROLE postgres;\n', '\n')
    self.sql('SET log_min_error_statement = panic;\n' + text, private=True)
    for folder in sorted(set(os.listdir(source)) - {_ROLES}):
      # Those of the server itself are made anew, for what is set for them.
      self._run('pg_restore', 'template1' if folder == 'database-postgres'
                else 'postgres', '--create', '--clean', '--if-exists',
                '--jobs=2', '--exit-on-error', os.path.join(source, folder),
                private=True)
    # Names of folders are not read: former dumps do not quote them.
    for name, _ in self._databases(private=True):
      self._complete(name)

  def _complete(self, name):
    # A standby would empty them when it starts.
    while statements := self.sql(_UNLOGGED, name, True):
      self.sql(_NO_TRIGGERS + statements, name, True, deadline=_DEADLINE)
    try:
      self.sql('ANALYZE', name, True, deadline=_DEADLINE)
    except Failed as error:
      # As of a foreign table whose file is not here: all rows are.
      log.warning('there are no statistics on all of %r: %s', name, error)
