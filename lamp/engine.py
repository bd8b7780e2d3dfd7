"""MariaDB: what is particular to it.

A clone's server has InnoDB read-only: nobody can write, administrators
included, and the same data directory takes writes when it is served without.

Who is the partition's user is an administrator on the server's socket; there is
no password for it, and no way to it over the network.
"""
import os
import pwd
import re
import signal

from database import command
from database.contents import DATABASE, SETTINGS
from database.programs import query, run
from database.server import check_socket, ServerError

from .dump import Dumps

_PROGRAMS = {
  'mariadb': '/usr/bin', 'mariadb-dump': '/usr/bin',
  'mariadb-install-db': '/usr/bin', 'mariadbd': '/usr/sbin'}
_DEADLINE = 600


class Engine(Dumps):
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
                       # Nothing is left to repair, which a clone cannot do.
                       'innodb-fast-shutdown': '1',
                       'max-allowed-packet': '1G',
                       'max-statement-time': '0',
                       # What the leader has is taken, though none makes it now.
                       'innodb-strict-mode': 'off',
                       'innodb-force-primary-key': 'off',
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
                  # That of the settings is for users.
                  '--init-command=SET max_statement_time = 0',
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


def main(argv=None):
  """Run the command ``lamp`` with `argv`.  Returns the exit status."""
  return command.main('lamp', Engine, argv)
