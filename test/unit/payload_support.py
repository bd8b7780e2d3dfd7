"""What the tests of the payload share: its command, databases, a service.

Each runs for real: the command as a process, the service over HTTP, and
whoever is killed by SIGKILL.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import selectors
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from payload import payload, web

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 60  # seconds, for whatever is waited for
COMMAND = (sys.executable, '-c',
           'import sys; from payload.payload import main; sys.exit(main())')
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(ROOT), LC_ALL='C.UTF-8')


def run(*arguments):
  """Run the payload's command; return its CompletedProcess."""
  return subprocess.run(
    COMMAND + tuple(map(str, arguments)), env=ENVIRONMENT, timeout=DEADLINE,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
    check=False)


def read(path):
  """Return {key: value} of the whole database in file `path`."""
  with contextlib.closing(sqlite3.connect(path)) as connection:
    problem = connection.execute('PRAGMA integrity_check').fetchone()[0]
    if problem != 'ok':
      raise AssertionError('%s is damaged: %s' % (path, problem))
    return dict(connection.execute('SELECT key, value FROM records'))


def write(path, records):
  """Add `records` to the database in file `path`, which is made if needed."""
  web.prepare(path)
  with contextlib.closing(sqlite3.connect(path)) as connection, connection:
    connection.executemany(
      'INSERT OR REPLACE INTO records VALUES (?, ?, 1)', records.items())


def fill(path):
  """Make a database of some 2 MB in which "a" and "z" are far apart."""
  write(path, {'a': '0'})
  write(path, {'k%04d' % number: 'x' * 1000 for number in range(2000)})
  write(path, {'z': '0'})


def kill_writer(path):
  """Leave in file `path` one half of a transaction, with its journal."""
  child = os.fork()
  if not child:
    connection = sqlite3.connect(path)
    connection.execute('PRAGMA cache_size = 1')
    connection.execute("UPDATE records SET value = value || 'half'")
    os.kill(os.getpid(), signal.SIGKILL)
  os.waitpid(child, 0)


def kill_at_line(number, function, *arguments):
  """Run `function`, killed by SIGKILL at the `number`-th line of its module.

  Returns whether it came to its end.
  """
  child = os.fork()
  if not child:
    count = 0

    def trace(frame, event, _):
      nonlocal count
      if frame.f_code.co_filename != payload.__file__:
        return None
      if event == 'line':
        count += 1
        if count == number:
          os.kill(os.getpid(), signal.SIGKILL)
      return trace

    status = 1
    try:
      sys.settrace(trace)
      function(*arguments)
      status = 0
    finally:
      os._exit(status)
  status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
  if status not in (0, -signal.SIGKILL):
    raise AssertionError('line %d: status %d' % (number, status))
  return status == 0


class Service:
  """A running ``serve``: what it answers, by real HTTP."""

  def __init__(self, database, role, *extra):
    self.process = subprocess.Popen(
      COMMAND + ('serve', '--role', role, '--database', str(database),
                 '--host', '::1', '--port', '0') + extra,
      env=ENVIRONMENT, stderr=subprocess.PIPE)
    self.port = None

  def __enter__(self):
    return self

  def started(self):
    """Wait until it serves; return self."""
    end = time.monotonic() + DEADLINE
    said = ''
    with selectors.DefaultSelector() as selector:
      selector.register(self.process.stderr, selectors.EVENT_READ)
      while selector.select(max(0, end - time.monotonic())):
        data = os.read(self.process.stderr.fileno(), 1 << 16)
        said += data.decode()
        found = re.search(r'serving .* at \[::1\]:(\d+)\n', said)
        if found:
          self.port = int(found.group(1))
          return self
        if not data:
          break
    raise AssertionError('the service did not start: ' + said)

  def __exit__(self, *_):
    self.process.kill()
    self.process.communicate()

  def request(self, method, path, body=None):
    """Return (status, text); `path` is sent as it is."""
    connection = http.client.HTTPConnection('::1', self.port, timeout=DEADLINE)
    with contextlib.closing(connection):
      connection.request(method, path, body)
      response = connection.getresponse()
      return response.status, response.read().decode()

  def state(self):
    """Return what /state says."""
    return json.loads(self.request('GET', '/state')[1])


class Case(unittest.TestCase):
  """Has a directory with a database's path and a dump."""

  def setUp(self):
    self.directory = tempfile.mkdtemp(prefix='payload-')
    self.addCleanup(shutil.rmtree, self.directory)
    os.mkdir(self.path('service'))
    self.database = self.path('service', 'payload.sqlite')
    self.dump = self.path('backup')
    os.mkdir(self.dump)
    self.dumped = os.path.join(self.dump, 'payload.sqlite')

  def path(self, *names):
    """Return a path in the directory of the test."""
    return os.path.join(self.directory, *names)

  def export(self):
    """Export with success."""
    done = run('export', '--database', self.database, '--dump', self.dump)
    self.assertEqual(done.returncode, 0, done.stderr)

  def load(self):
    """Import with success."""
    done = run('import', '--database', self.database, '--dump', self.dump)
    self.assertEqual(done.returncode, 0, done.stderr)

  def assert_refused(self, command):
    """`command` exits with 1 and says why in one line."""
    done = run(command, '--database', self.database, '--dump', self.dump)
    self.assertEqual(done.returncode, 1, done.stderr)
    self.assertRegex(done.stderr, r'\A%s failed: [^\n]+\n\Z' % command)

  def serve(self, role, *extra):
    """Return a running Service, that ends with the test."""
    service = self.enterContext(Service(self.database, role, *extra))
    return service.started()
