"""Words of the tests on real databases: clients, and the load they make."""
import os
import pathlib
import subprocess
import threading
import time
import urllib.parse

_HERE = pathlib.Path(__file__).resolve().parent
_DEADLINE = 120
ACCOUNTS = 50
TOTAL = ACCOUNTS * 1000 * 2


class SqlError(Exception):
  """What a client said when it failed."""


class Client:
  """A client of one database, as a user over the network.

  url: as the root instance publishes it.
  """
  # What can survive a dump, and does it?
  SAMPLES = None

  def __init__(self, url):
    self.url = urllib.parse.urlsplit(url)
    self.database = self.url.path.lstrip('/')

  def command(self):
    """Return the command line, which has no password."""
    raise NotImplementedError

  def administrator(self, run_directory):
    """Return the client of the administrator, the partition's user, on the
    socket in the partition's `run_directory`."""
    return type('Administrator', (type(self),), {
      'command': lambda client: client.administration(str(run_directory)),
    })(self.url.geturl())

  def administration(self, run_directory):
    """Return the command line of the administrator."""
    raise NotImplementedError

  def environment(self):
    """Return the environment, which has it."""
    raise NotImplementedError

  def open(self):
    """Start a client that reads statements and prints rows."""
    return subprocess.Popen(
      self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, encoding='utf-8', env=self.environment())

  def sql(self, text):
    """Run statements; return the rows, lines of text.  Raises SqlError."""
    done = subprocess.run(
      self.command(), input=text, timeout=_DEADLINE, check=False,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
      env=self.environment())
    if done.returncode:
      raise SqlError(done.stderr.strip())
    return done.stdout.splitlines()

  def file(self, name):
    """Return the text of a file of statements for this kind of database."""
    return (_HERE / ('%s.%s' % (self.SAMPLES, name))).read_text('utf-8')

  def make_samples(self, administrator):
    """Store one of each kind of thing that a dump must carry."""
    administrator.sql(self.ROLES % {
      'database': self.database, 'user': self.url.username})
    self.sql(self.file('make.sql'))

  def samples(self):
    """Return what there is of each kind of thing, lines of text."""
    return self.sql(self.file('show.sql'))

  def make_accounts(self):
    """Make two tables of accounts, and a journal of transfers."""
    self.sql(self.ACCOUNTS + '''
      INSERT INTO savings VALUES %(rows)s;
      INSERT INTO checking VALUES %(rows)s;
    ''' % {'rows': ', '.join('(%d, 1000)' % number
                             for number in range(ACCOUNTS))})

  def ledger(self):
    """Return (sum of all accounts, number of transfers, number of the last),
    all of one moment."""
    row, = self.sql(
      'SELECT CONCAT((SELECT SUM(balance) FROM savings)'
      ' + (SELECT SUM(balance) FROM checking), %s,'
      ' (SELECT COUNT(*) FROM transfers), %s,'
      ' (SELECT COALESCE(MAX(number), 0) FROM transfers));' % (
        ("' '",) * 2))
    return tuple(int(float(word)) for word in row.split())


class PostgreSQL(Client):
  """A client of PostgreSQL."""

  SAMPLES = 'postgresql'
  # What an administrator makes.
  ROLES = '''
    CREATE ROLE reader CONNECTION LIMIT 7;
    ALTER ROLE reader SET work_mem = '5MB';
    CREATE ROLE "rüdiger" LOGIN PASSWORD 'his own' IN ROLE reader;
    ALTER DATABASE %(database)s SET statement_timeout = '12345s';
    GRANT reader TO %(user)s;
  '''
  # Keeps a dump from going on, as long as the client is there.
  LOCK = 'BEGIN; LOCK TABLE transfers IN ACCESS EXCLUSIVE MODE;'
  ACCOUNTS = '''
    CREATE TABLE savings (id int PRIMARY KEY, balance numeric NOT NULL);
    CREATE TABLE checking (id int PRIMARY KEY, balance numeric NOT NULL);
    CREATE TABLE transfers (number bigint PRIMARY KEY, text text NOT NULL);
  '''

  def command(self):
    return ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', self.url.hostname,
            '-p', str(self.url.port), '-U', self.url.username,
            '-d', self.database]

  def administration(self, run_directory):
    return ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', run_directory,
            '-p', str(self.url.port), '-U', 'postgres', '-d', self.database]

  def environment(self):
    return dict(os.environ, PGPASSWORD=self.url.password, LC_ALL='C.UTF-8')


class MariaDB(Client):
  """A client of MariaDB."""

  SAMPLES = 'mariadb'
  ROLES = '''
    CREATE ROLE reader;
    GRANT SELECT ON %(database)s.* TO reader;
    CREATE USER 'rüdiger'@'%%' IDENTIFIED BY 'his own'
      WITH MAX_USER_CONNECTIONS 7;
    GRANT reader TO 'rüdiger'@'%%';
    GRANT reader TO '%(user)s'@'%%';
  '''
  LOCK = 'LOCK TABLES transfers WRITE;'
  ACCOUNTS = '''
    CREATE TABLE savings (id int PRIMARY KEY, balance decimal(20) NOT NULL);
    CREATE TABLE checking (id int PRIMARY KEY, balance decimal(20) NOT NULL);
    CREATE TABLE transfers (number bigint PRIMARY KEY, text text NOT NULL);
  '''

  def command(self):
    return ['mariadb', '--no-defaults', '--batch', '--unbuffered',
            '--skip-column-names', '--default-character-set=utf8mb4',
            '-h', self.url.hostname, '-P', str(self.url.port),
            '-u', self.url.username, self.database]

  def administration(self, run_directory):
    return ['mariadb', '--no-defaults', '--batch', '--skip-column-names',
            '--default-character-set=utf8mb4',
            '--socket=%s/mariadb.sock' % run_directory, self.database]

  def environment(self):
    return dict(os.environ, MYSQL_PWD=self.url.password, LC_ALL='C.UTF-8')


class Writer(threading.Thread):
  """Moves money from one table to the other, as fast as it can, until it is
  stopped or its server is lost.

  committed: the number of the last transfer that the server confirmed.
  """

  def __init__(self, client):
    super().__init__(daemon=True)
    self.client = client
    self.committed = client.ledger()[2]
    self.refused = ''
    self._end = threading.Event()
    self.start()

  def run(self):
    number = self.committed
    with self.client.open() as process:
      while not self._end.is_set():
        number += 1
        try:
          process.stdin.write(_TRANSFER % {
            'number': number, 'amount': number % 7 + 1,
            'from': number % ACCOUNTS, 'to': number * 31 % ACCOUNTS})
          process.stdin.flush()
          answer = process.stdout.readline().strip()
        except BrokenPipeError:
          answer = ''
        if answer != 'done %d' % number:
          self.refused = answer or 'the connection was lost'
          break
        self.committed = number
      process.kill()

  def stop(self):
    """End; return the number of the last transfer."""
    self._end.set()
    self.join(_DEADLINE)
    return self.committed

  def wait_for(self, count):
    """Wait until `count` more transfers were confirmed."""
    goal = self.committed + count
    end = time.monotonic() + _DEADLINE
    while self.committed < goal:
      if not self.is_alive() or time.monotonic() > end:
        raise AssertionError('the writer ended: %s' % self.refused)
      time.sleep(0.01)


_TRANSFER = '''BEGIN;
UPDATE savings SET balance = balance - %(amount)d WHERE id = %(from)d;
UPDATE checking SET balance = balance + %(amount)d WHERE id = %(to)d;
INSERT INTO transfers VALUES (%(number)d, 'ünïcode %(number)d');
COMMIT;
SELECT 'done %(number)d';
'''
