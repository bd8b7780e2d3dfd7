"""MariaDB: what is particular to it.

A clone's server has InnoDB read-only: nobody can write, administrators
included, and the same data directory takes writes when it is served without.

Who is the partition's user is an administrator on the server's socket; there is
no password for it, and no way to it over the network.
"""
import logging
import os
import pwd
import re
import signal

from database import command
from database.contents import DATABASE, SETTINGS
from database.programs import query, run
from database.server import check_socket, ServerError

log = logging.getLogger('lamp.engine')

_PROGRAMS = {
  'mariadb': '/usr/bin', 'mariadb-dump': '/usr/bin',
  'mariadb-install-db': '/usr/bin', 'mariadbd': '/usr/sbin'}
_DUMP_DEADLINE = 6 * 3600
_DEADLINE = 600
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


class Engine:
  """The server of the partition with Configuration `configuration`."""

  NAME = 'MariaDB'
  # Ends transactions, then itself.
  STOP = signal.SIGTERM
  NOISE = None
  # Modes of files and folders.
  ENVIRONMENT = {'UMASK': '0600', 'UMASK_DIR': '0700'}
  # Settings that are the stack's, or have a parameter of their own.
  RESERVED = {
    'basedir', 'bind_address', 'datadir', 'init_file',
    'innodb_buffer_pool_size', 'innodb_data_home_dir', 'innodb_force_recovery',
    'innodb_log_group_home_dir', 'innodb_read_only', 'innodb_undo_directory',
    'log_error', 'max_connections', 'pid_file', 'port', 'read_only',
    'skip_grant_tables', 'skip_networking', 'socket', 'tmpdir', 'user'}

  def __init__(self, configuration):
    self._configuration = configuration
    self._run_directory = configuration.run_directory
    self._owner = pwd.getpwuid(os.getuid()).pw_name

  # Versions and programs

  def installed(self):
    """Return the versions that are installed, the newest first."""
    try:
      said = query([self._program('mariadbd'), '--version']).stdout
    except FileNotFoundError:
      return []
    return re.findall(r' Ver (\d+\.\d+)\.', said)

  def version(self):
    """Return the version that a new database is of.  Raises ServerError."""
    for version in self.installed():
      return version
    raise ServerError('MariaDB is missing: apt-get install mariadb-server')

  @staticmethod
  def _program(name):
    return os.path.join(_PROGRAMS[name], name)

  # The data directory

  def create(self, content):
    """Make an empty database in the folder for it.  Raises Failed."""
    run([self._program('mariadb-install-db'), '--no-defaults',
         '--datadir=' + os.path.join(content, DATABASE), '--skip-test-db',
         '--auth-root-authentication-method=socket',
         '--auth-root-socket-user=' + self._owner], _DEADLINE,
        dict(self.ENVIRONMENT, TMPDIR=self._temporary(content)))

  @staticmethod
  def _temporary(content):
    # Of each server alone: one that starts removes the temporary tables of
    # others from the folder.
    path = os.path.join(content, 'temporary')
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path

  def settings(self, configuration):
    """Return the text of the file of settings, from the parameters."""
    settings = {
      'max_connections': configuration.database_connections,
      'innodb_buffer_pool_size': '%dM' % configuration.database_memory,
      'character_set_server': 'utf8mb4',
      **configuration.database_settings}
    return '[mariadbd]\n' + ''.join(
      '%s = "%s"\n' % (name, str(value).replace('\\', '\\\\').replace(
        '"', '\\"')) for name, value in settings.items())

  def check_settings(self, content):
    """Raise ServerError if the server does not take its settings."""
    done = query([self._program('mariadbd'),
                  '--defaults-file=' + os.path.join(content, SETTINGS),
                  '--datadir=' + os.path.join(content, DATABASE),
                  '--help', '--verbose'], check=False)
    if done.returncode:
      raise ServerError('MariaDB does not take the settings: '
                        + self.reason(done.stderr.splitlines()))

  def set_role(self, content):
    """Let the server, when it starts, be what the partition is."""

  # The server

  def _socket(self, private):
    return os.path.join(
      self._run_directory, 'private.sock' if private else 'mariadb.sock')

  def command(self, content, private=False):
    """Return the command line of the server."""
    check_socket(self._socket(private))
    settings = {
      'datadir': os.path.join(content, DATABASE),
      'bind-address': self._configuration.host,
      'port': self._configuration.port,
      'socket': self._socket(private),
      'pid-file': self._socket(private) + '.pid',
      'tmpdir': self._temporary(content),
      'skip-name-resolve': 'on'}
    if private or not self._configuration.is_leader:
      # Events are the leader's to run.
      settings['event-scheduler'] = 'off'
    if private:
      # Made durable when it is complete.  In a dump a blob has twice its size.
      settings.update({'skip-networking': 'on', 'innodb-doublewrite': 'off',
                       'innodb-flush-log-at-trx-commit': '0',
                       'max-allowed-packet': '1G',
                       # Rows of a history have the time that they had.
                       'secure-timestamp': 'no'})
    elif not self._configuration.is_leader:
      settings.update({'read-only': 'on', 'innodb-read-only': 'on'})
    command = [self._program('mariadbd'),
               '--defaults-file=' + os.path.join(content, SETTINGS)]
    for name, value in settings.items():
      command.append('--%s=%s' % (name, value))
    return command

  @staticmethod
  def reason(lines):
    """Return, in one line, why the server failed, from what it printed."""
    found = [line for line in lines if '[ERROR]' in line] or lines[-3:]
    return ' '.join(' '.join(found).split())

  def _client(self, name, private=False):
    return [self._program(name), '--no-defaults',
            '--socket=' + self._socket(private), '--user=' + self._owner,
            '--default-character-set=utf8mb4']

  def sql(self, text, private=False, check=True):
    """Run SQL as the administrator; return what came, a row a line.

    Raises Failed.
    """
    return query([*self._client('mariadb', private), '--batch',
                  '--skip-column-names'], text, check=check).stdout

  def answers(self, content, private=False):
    """Whether the server answers, and on this content."""
    return self.sql('SELECT @@datadir', private=private, check=False
                    ).rstrip('\n') == os.path.join(content, DATABASE, '')

  def provision(self, credentials):
    """See to it that the application's user and database exist."""
    self.sql('''
CREATE DATABASE IF NOT EXISTS `%(database)s`;
CREATE USER IF NOT EXISTS '%(user)s'@'%%' IDENTIFIED BY '%(password)s';
GRANT ALL PRIVILEGES ON `%(database)s`.* TO '%(user)s'@'%%';
''' % credentials)

  # Dumps

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
    # One moment for all tables, in the order of their keys, and no date: what
    # did not change is the same.  The views are last, after all that they name.
    run([*self._client('mariadb-dump'), '--single-transaction', '--quick',
         '--routines', '--events', '--triggers', '--hex-blob',
         # "loose": ignored by a version that does not have it.
         *([] if precise else ['--loose-dump-history']),
         # A table with a sequence in it cannot be loaded while it is locked.
         '--skip-add-locks',
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
               '--max-allowed-packet=1G', 'mysql'], source=file,
              deadline=_DUMP_DEADLINE)
      if name == _ROLES:
        self.sql('FLUSH PRIVILEGES', private=True)
    # Administrators of other partitions, who need no password.
    self.sql(_LOCK_STRANGERS % self._owner, private=True)


def main(argv=None):
  """Run the command ``lamp`` with `argv`.  Returns the exit status."""
  return command.main('lamp', Engine, argv)
