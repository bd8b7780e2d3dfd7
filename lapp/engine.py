"""PostgreSQL: what is particular to it.

A clone's server is a standby without a primary: nobody can write, superusers
included, and the same data directory takes writes once it is no standby.

Who is the partition's user is the superuser ``postgres`` on the server's
socket; there is no password for it, and no way to it over the network.
"""
import os
import pathlib
import pwd
import re
import signal

from database import command
from database.contents import Contents, DATABASE, RELEASE, SETTINGS
from database.programs import query, run
from database.server import check_socket, ServerError
from resilient.durable import read_json, write_bytes

from .dump import Dumps

_PROGRAMS = pathlib.Path('/usr/lib/postgresql')
_DEADLINE = 600
# What users set for all, a database or a role would hinder a dump or a load.
_UNHINDERED = ('-c statement_timeout=0 -c lock_timeout=0'
               ' -c default_transaction_read_only=off -c role=none'
               ' -c array_nulls=on -c temp_file_limit=-1')
# The same, with the first version that has it.
_UNHINDERED_SINCE = {'idle_session_timeout': 14, 'transaction_timeout': 17}

# First match counts.  Nobody is the superuser over the network.
_ACCESS = '''local all,replication postgres peer map=owner
local all all scram-sha-256
host all postgres all reject
host all all all scram-sha-256
'''


def _remove_remnant(path):
  """Remove the lock file `path` of a server that is gone if PostgreSQL would
  never do so: it is empty, or its number is another program's by now.

  A server works in its data directory, so one that runs is known by that.  None
  is just starting: see the locks in database/server.py, resilient/importer.py.
  """
  try:
    number, directory = pathlib.Path(path).read_text('utf-8').splitlines()[:2]
    if os.readlink('/proc/%d/cwd' % int(number)) == os.path.realpath(directory):
      return
  except FileNotFoundError:
    return  # Of a number that nobody has, PostgreSQL asks what is left of it.
  except (PermissionError, ValueError):
    pass
  os.unlink(path)


class Engine(Dumps):
  """The server of the partition with Configuration `configuration`."""

  NAME = 'PostgreSQL'
  # Ends transactions, then itself.
  STOP = signal.SIGINT
  ENVIRONMENT = {}
  # What a standby without a primary says every few seconds.
  NOISE = re.compile('waiting for WAL to become available')
  # Settings that are the stack's, or have a parameter of their own.
  RESERVED = {
    'config_file', 'data_directory', 'external_pid_file', 'full_page_writes',
    'hba_file', 'hot_standby', 'ident_file', 'include', 'include_dir',
    'include_if_exists', 'listen_addresses', 'log_destination',
    'logging_collector', 'max_connections', 'port', 'primary_conninfo',
    'restore_command', 'shared_buffers', 'unix_socket_directories',
    'unix_socket_group', 'unix_socket_permissions', 'wal_level'}

  def __init__(self, configuration):
    self._configuration = configuration
    self._run_directory = configuration.run_directory

  # Versions and programs

  @staticmethod
  def installed():
    """Return the versions that are installed, the newest first."""
    versions = (path.parts[-3] for path in _PROGRAMS.glob('*/bin/postgres'))
    return sorted(versions, key=float, reverse=True)

  def version(self):
    """Return the version that a new database is of.  Raises ServerError."""
    for version in self.installed():
      return version
    raise ServerError('PostgreSQL is missing: apt-get install postgresql')

  def _program(self, name, content=None):
    version = self.version() if content is None else read_json(
      os.path.join(content, RELEASE))['version']
    return str(_PROGRAMS / version / 'bin' / name)

  # The data directory

  def create(self, content):
    """Make an empty database in the folder for it.  Raises Failed."""
    # A byte order of text that no other version of the C library changes, and
    # a small unit of the log, for a database is made for each import.
    run([self._program('initdb'), '-D', os.path.join(content, DATABASE),
         '--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8',
         '--auth=peer', '--data-checksums', '--wal-segsize=4', '--no-sync'],
        _DEADLINE)

  def settings(self, configuration):
    """Return the text of the file of settings, from the parameters."""
    settings = {
      'max_connections': configuration.database_connections,
      'shared_buffers': '%dMB' % configuration.database_memory,
      **configuration.database_settings}
    return ''.join("%s = '%s'\n" % (name, str(value).replace("'", "''"))
                   for name, value in settings.items())

  def check_settings(self, content):
    """Raise ServerError if the server does not take its settings."""
    done = query([self._program('postgres', content), '-C', 'max_connections',
                  '-D', os.path.join(content, DATABASE),
                  '-c', 'config_file=' + os.path.join(content, SETTINGS)],
                 check=False)
    if done.returncode:
      raise ServerError('PostgreSQL does not take the settings: '
                        + self.reason(done.stderr.splitlines()))

  def set_role(self, content):
    """Let the server, when it starts, be what the partition is."""
    path = os.path.join(content, DATABASE, 'standby.signal')
    if self._configuration.is_leader:
      pathlib.Path(path).unlink(missing_ok=True)
    else:
      write_bytes(path, b'')

  # The server

  def _port(self, private):
    # Of a private server, this is no port but a part of the socket's name.
    return self._configuration.port - 1 if private else self._configuration.port

  def command(self, content, private=False):
    """Return the command line of the server."""
    access, users = (os.path.join(self._run_directory, name)
                     for name in ('pg_hba.conf', 'pg_ident.conf'))
    socket = '%s/.s.PGSQL.%d' % (self._run_directory, self._port(private))
    check_socket(socket)
    _remove_remnant(os.path.join(content, DATABASE, 'postmaster.pid'))
    _remove_remnant(socket + '.lock')
    write_bytes(access, _ACCESS.encode())
    write_bytes(users, b'owner "%s" postgres\n' % os.fsencode(
      pwd.getpwuid(os.getuid()).pw_name))
    settings = {
      'config_file': os.path.join(content, SETTINGS),
      'hba_file': access, 'ident_file': users,
      'listen_addresses': '' if private else self._configuration.host,
      'port': self._port(private),
      'unix_socket_directories': self._run_directory,
      'unix_socket_permissions': '0700', 'hot_standby': 'on'}
    if private:
      # Made durable when it is complete.
      settings.update(fsync='off', full_page_writes='off',
                      synchronous_commit='off', autovacuum='off')
    elif not self._configuration.is_leader:
      # All that is stricter, a standby refuses.
      settings['default_transaction_isolation'] = 'repeatable read'
    return [self._program('postgres', content),
            '-D', os.path.join(content, DATABASE),
            *('--%s=%s' % setting for setting in settings.items())]

  @staticmethod
  def reason(lines):
    """Return, in one line, why the server failed, from what it printed."""
    found = [line for line in lines if re.search(
      r'\b(FATAL|ERROR|PANIC|LOG: +(unrecognized|invalid|parameter)|'
      r'LOG: +.* in file )', line)] or lines[-3:]
    return ' '.join(' '.join(found).split())

  def _client(self, name, database, private):
    # As old as the server, for what a newer pg_dump writes it cannot load.  A
    # private one is new.
    content = None if private else Contents(
      self._configuration.contents_directory).current()
    return [self._program(name, content), '-h', self._run_directory,
            '-p', str(self._port(private)), '-U', 'postgres',
            # In quotes: alone, "key=value" is no name but a way to connect.
            '-l' if name == 'pg_dumpall' else '-d', "dbname='%s'" % (
              database.replace('\\', '\\\\').replace("'", "\\'"))]

  def _environment(self, private):
    # Any other server than a private one may be older than that.
    return {'PGCLIENTENCODING': 'UTF8', 'PGOPTIONS': _UNHINDERED + ''.join(
      ' -c %s=0' % name for name, first in _UNHINDERED_SINCE.items()
      if private and float(self.version()) >= first)}

  def sql(self, text, database='postgres', private=False, **options):
    """Run SQL as the superuser; return the rows, lines.  Raises Failed."""
    return query(
      [*self._client('psql', database, private), '-XqAt',
       '-v', 'ON_ERROR_STOP=1'], text, **options,
      environment=self._environment(private)).stdout

  def answers(self, content, private=False):
    """Whether the server answers, and on this content."""
    return self.sql('SHOW data_directory', private=private, check=False
                    ).rstrip('\n') == os.path.join(content, DATABASE)

  def provision(self, credentials):
    """See to it that the application's user and database exist."""
    # Nothing of a statement that has the password goes to the log.
    self.sql('''\\set name '%(database)s'
\\set user '%(user)s'
\\set password '%(password)s'
SET log_min_error_statement = panic;
SELECT format('CREATE ROLE %%I LOGIN PASSWORD %%L', :'user', :'password')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \\gexec
SELECT format('CREATE DATABASE %%I OWNER %%I', :'name', :'user')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
''' % credentials)


def main(argv=None):
  """Run the command ``lapp`` with `argv`.  Returns the exit status."""
  return command.main('lapp', Engine, argv)
