"""What a dump of MariaDB has, and how it is loaded: a part of the engine.

A dump is ``roles.sql``, with what accounts are and may, and ``databases.sql``.
"""
import logging
import os

from database.programs import query, run

log = logging.getLogger('lamp.dump')

_DEADLINE = 600
_DUMP_DEADLINE = 6 * 3600
_ROLES = 'roles.sql'
# What all accounts and roles are, and may, also PUBLIC.
_PRIVILEGES = ('global_priv', 'db', 'tables_priv', 'columns_priv', 'procs_priv',
               'proxies_priv', 'roles_mapping')
_DATABASES = 'databases.sql'
# Columns whose values mariadb-dump prints with less digits than they have.
_ROUNDED = """SELECT CONCAT_WS('.', table_schema, table_name, column_name)
  FROM information_schema.columns
  JOIN information_schema.tables USING (table_schema, table_name)
  WHERE data_type = 'float' AND numeric_scale IS NULL AND is_generated = 'NEVER'
  AND table_type NOT LIKE '%VIEW' AND table_schema NOT IN (
    'information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY 1
"""
# Views that name what is gone: they have no columns, and mariadb-dump fails.
_INVALID = """SELECT CONCAT(table_schema, '.', table_name)
  FROM information_schema.views
  LEFT JOIN information_schema.columns USING (table_schema, table_name)
  WHERE column_name IS NULL ORDER BY 1
"""
# Tables whose history mariadb-dump refuses: by transaction, not by time.
_PRECISE = """SELECT CONCAT(table_schema, '.', table_name)
  FROM information_schema.columns
  WHERE generation_expression = 'ROW START' AND data_type = 'bigint' ORDER BY 1
"""
# The socket may be one way of several, as mariadb-install-db has it.  Not
# dropped: things go on that have a locked account as their definer.
_LOCK_STRANGERS = """UPDATE mysql.global_priv
  SET priv = JSON_SET(priv, '$.account_locked', true)
  WHERE priv LIKE '%%"unix_socket"%%' AND user NOT IN ('root', '%s');
FLUSH PRIVILEGES
"""


class Dumps:
  """What an engine does with dumps."""

  def dump(self, target):
    """Dump roles, and all databases, into the empty folder `target`."""
    # The tables, for a GRANT on a table needs that, and a view of a view needs
    # the GRANT.  Who loads them keeps the accounts that it has.
    run([*self._client('mariadb-dump'), '--insert-ignore', '--complete-insert',
         '--no-create-info', '--order-by-primary', '--skip-dump-date',
         # An event may be in a time zone, and a table on a server.
         '--system=servers,timezones,udfs',
         '--result-file=' + os.path.join(target, _ROLES),
         'mysql', *_PRIVILEGES], _DEADLINE)
    self._warn('the dump has these columns rounded to 6 digits: %s', _ROUNDED)
    precise = self._warn('the dump has no history of tables, for these have it'
                         ' by transaction: %s', _PRECISE)
    invalid = self._warn('the dump does not have these views, which are'
                         ' invalid: %s', _INVALID)
    # One moment for all tables, in the order of their keys, and no date: what
    # did not change is the same.  The views are last, after all that they name.
    run([*self._client('mariadb-dump'), '--single-transaction', '--quick',
         '--routines', '--events', '--triggers', '--hex-blob',
         # "loose": ignored by a version that does not have it.
         *([] if precise else ['--loose-dump-history']),
         # A table with a sequence in it cannot be loaded while it is locked.
         '--skip-add-locks',
         *('--ignore-table=' + name for name in invalid),
         '--skip-dump-date', '--max-allowed-packet=1G',
         '--result-file=' + os.path.join(target, _DATABASES), '--all-databases',
         '--ignore-database=mysql', '--ignore-database=sys'], _DUMP_DEADLINE)

  def _warn(self, text, names):
    found = self.sql(names).splitlines()
    if found:
      log.warning(text, ', '.join(found))
    return found

  def load(self, source):
    """Load a dump into the private server, which is empty."""
    # Former ones have a file for each database.
    for name in (_ROLES, *sorted(set(os.listdir(source)) - {_ROLES})):
      with open(os.path.join(source, name), 'rb') as file:
        query([*self._client('mariadb', True), '--binary-mode',
               # Rows that were good when they came, or came without checks.
               '--init-command=SET check_constraint_checks = 0',
               '--max-allowed-packet=1G', 'mysql'], source=file,
              deadline=_DUMP_DEADLINE)
      if name == _ROLES:
        self.sql('FLUSH PRIVILEGES', private=True)
    # Administrators of other partitions, who need no password.
    self.sql(_LOCK_STRANGERS % self._owner, private=True)
