"""What a dump of PostgreSQL has, and how it is loaded: a part of the engine.

A dump is ``roles.sql`` and, for each database, a folder ``database-<name>`` of
pg_dump.
"""
import os
import pathlib

from database.programs import run

_DEADLINE = 6 * 3600
_ROLES = 'roles.sql'
_DATABASES = ("SELECT datname FROM pg_database"
              " WHERE datname <> 'template0' ORDER BY datname")
# As it is stored: each kind of value is quoted in a way of its own.
_FOR_ALL = '''SELECT format('INSERT INTO pg_db_role_setting VALUES (0, 0, %L);',
  setconfig) FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = 0'''
# Those that refer to none that is still unlogged.
_UNLOGGED = '''SELECT format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
  FROM pg_class c WHERE relpersistence = 'u' AND relkind IN ('r', 'S')
  AND NOT EXISTS (SELECT FROM pg_constraint JOIN pg_class o ON o.oid = confrelid
    WHERE conrelid = c.oid AND o.oid <> c.oid AND o.relpersistence = 'u')'''


class Dumps:
  """What an engine does with dumps."""

  def _run(self, name, database, *arguments, private=False):
    run([*self._client(name, database, private), *arguments], _DEADLINE,
        self._environment(private))

  def dump(self, target):
    """Dump roles, and all databases, into the empty folder `target`."""
    self._run('pg_dumpall', 'postgres', '--globals-only', '--no-tablespaces',
              '--file', os.path.join(target, _ROLES))
    with open(os.path.join(target, _ROLES), 'a', encoding='utf-8') as file:
      file.write(self.sql(_FOR_ALL))
    for name in self.sql(_DATABASES).splitlines():
      # A file a table, as text: a table that did not change is the same file,
      # and one that did differs where it did.
      self._run('pg_dump', name, '--format=directory',
                '--compress=0', '--no-tablespaces',
                '--file', os.path.join(target, 'database-' + name))

  def load(self, source):
    """Load a dump into the private server, which is empty."""
    text = pathlib.Path(source, _ROLES).read_text('utf-8').replace(
      '\nCREATE ROLE postgres;\n', '\n')
    self.sql('SET log_min_error_statement = panic;\n' + text, private=True)
    for folder in sorted(set(os.listdir(source)) - {_ROLES}):
      name = folder.removeprefix('database-')
      # Those of the server itself are made anew, for what is set for them.
      self._run('pg_restore', 'template1' if name == 'postgres' else 'postgres',
                '--create', '--clean', '--if-exists', '--jobs=2',
                '--exit-on-error', os.path.join(source, folder), private=True)
      # A standby would empty them when it starts.
      while statements := self.sql(_UNLOGGED, name, True):
        self.sql(statements, name, True, deadline=_DEADLINE)
      self.sql('ANALYZE', name, True, deadline=_DEADLINE)
