"""The payload: its service, its exporter and its importer, each for real."""
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
import threading
import time
import unittest
import unittest.mock
import urllib.parse

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


class ExportTest(Case):

  def test_copy_is_of_one_moment_while_transactions_commit(self):
    fill(self.database)
    condition = threading.Condition()
    committed, ended = 0, False

    def commit():
      nonlocal committed
      connection = sqlite3.connect(
        self.database, timeout=DEADLINE, isolation_level=None)
      with contextlib.closing(connection):
        connection.execute('PRAGMA synchronous = OFF')
        while not ended:
          number = committed + 1
          connection.execute('BEGIN IMMEDIATE')
          for statement in (
              "UPDATE records SET value = ? WHERE key = 'a'",
              'UPDATE content SET generation = ?',
              "UPDATE records SET value = ? WHERE key = 'z'"):
            connection.execute(statement, (number,))
          connection.execute('COMMIT')
          with condition:
            committed = number
            condition.notify_all()

    writer = threading.Thread(target=commit)
    writer.start()
    try:
      for _ in range(15):
        with condition:
          before = committed
          self.assertTrue(
            condition.wait_for(
              lambda before=before: committed > before, DEADLINE),
            'the writer stands still at %d' % before)
        self.export()
        records = read(self.dumped)
        with contextlib.closing(sqlite3.connect(self.dumped)) as connection:
          generation, = connection.execute(
            'SELECT generation FROM content').fetchone()
        self.assertEqual(
          (int(records['a']), int(records['z'])), (generation, generation))
        self.assertGreater(generation, before)
    finally:
      ended = True
      writer.join()

  def test_dump_holds_the_database_alone(self):
    write(self.database, {'key': 'value'})
    self.export()
    self.assertEqual(os.listdir(self.dump), ['payload.sqlite'])

  def test_unchanged_content_leaves_the_file_untouched(self):
    write(self.database, {'key': 'value'})
    self.export()
    before = os.stat(self.dumped)
    self.export()
    after = os.stat(self.dumped)
    self.assertEqual((before.st_ino, before.st_mtime_ns),
                     (after.st_ino, after.st_mtime_ns))

  def test_change_of_one_record_changes_few_pages(self):
    fill(self.database)
    self.export()
    before = pathlib.Path(self.dumped).read_bytes()
    write(self.database, {'k1000': 'y' * 1000})
    self.export()
    after = pathlib.Path(self.dumped).read_bytes()
    changed = sum(before[at:at + 4096] != after[at:at + 4096]
                  for at in range(0, len(after), 4096))
    self.assertLess(changed, 10)

  def test_changed_content_replaces_the_file(self):
    write(self.database, {'key': 'old'})
    self.export()
    write(self.database, {'key': 'new'})
    self.export()
    self.assertEqual(read(self.dumped), {'key': 'new'})

  def test_journal_in_the_dump_is_removed(self):
    write(self.database, {'key': 'value'})
    pathlib.Path(self.dumped + '-journal').write_bytes(b'x')
    self.export()
    self.assertEqual(os.listdir(self.dump), ['payload.sqlite'])

  def test_half_transaction_of_a_killed_writer_is_not_exported(self):
    fill(self.database)
    before = read(self.database)
    kill_writer(self.database)
    self.assertTrue(os.path.getsize(self.database + '-journal'))
    self.export()
    self.assertEqual(read(self.dumped), before)

  def test_killed_anywhere_leaves_a_whole_dump(self):
    write(self.database, {'key': 'old'})
    self.export()
    write(self.database, {'key': 'new'})
    old = self.path('old.sqlite')
    shutil.copy(self.dumped, old)
    seen = []
    number = 0
    complete = False
    while not complete:
      number += 1
      shutil.copy(old, self.dumped)
      complete = kill_at_line(
        number, payload.export_database, self.database, self.dump)
      self.assertEqual(os.listdir(self.dump), ['payload.sqlite'])
      seen.append(read(self.dumped)['key'])
    self.assertEqual(set(seen), {'old', 'new'})

  def test_leftovers_of_a_killed_run_are_removed(self):
    write(self.database, {'key': 'value'})
    fill(self.path('backup.partial'))
    kill_writer(self.path('backup.partial'))
    self.export()
    self.assertEqual(sorted(os.listdir(self.directory)), ['backup', 'service'])

  def test_damaged_database_does_not_replace_a_good_dump(self):
    fill(self.database)
    self.export()
    before = pathlib.Path(self.dumped).read_bytes()
    with open(self.database, 'r+b') as output:
      output.seek(200 * 4096)
      output.write(b'\xff' * 40960)
    self.assert_refused('export')
    self.assertEqual(pathlib.Path(self.dumped).read_bytes(), before)

  def test_missing_database_is_refused(self):
    self.assert_refused('export')

  def test_missing_database_is_not_made(self):
    self.assert_refused('export')
    self.assertEqual(os.listdir(self.path('service')), [])


class ImportTest(Case):

  def dump_of(self, records):
    """Make the dump one of `records`."""
    made = self.path('made.sqlite')
    write(made, records)
    os.rename(made, self.dumped)

  def test_content_is_replaced(self):
    write(self.database, {'old': 'x'})
    self.dump_of({'new': 'y'})
    self.load()
    self.assertEqual(read(self.database), {'new': 'y'})

  def test_first_import_needs_no_database(self):
    self.dump_of({'new': 'y'})
    self.load()
    self.assertEqual(read(self.database), {'new': 'y'})

  def test_dump_stays_as_it_was(self):
    self.dump_of({'new': 'y'})
    before = os.stat(self.dumped)
    self.load()
    after = os.stat(self.dumped)
    self.assertEqual(os.listdir(self.dump), ['payload.sqlite'])
    self.assertEqual((before.st_ino, before.st_mtime_ns),
                     (after.st_ino, after.st_mtime_ns))

  def test_bad_dump_leaves_the_previous_data(self):
    write(self.database, {'old': 'x'})
    before = pathlib.Path(self.database).read_bytes()
    fill(self.dumped)
    good = pathlib.Path(self.dumped).read_bytes()
    other = self.path('other.sqlite')
    with contextlib.closing(sqlite3.connect(other)) as connection:
      connection.execute('CREATE TABLE records (key, value)')
    damaged = bytearray(good)
    damaged[200 * 4096:210 * 4096] = b'\xff' * 40960
    for name, content in (
        ('truncated', good[:len(good) // 2]),
        ('damaged', damaged),
        ('empty', b''),
        ('no database', b'no database at all\n' * 1000),
        ('of another program', pathlib.Path(other).read_bytes())):
      with self.subTest(name):
        pathlib.Path(self.dumped).write_bytes(content)
        self.assert_refused('import')
        self.assertEqual(os.listdir(self.path('service')), ['payload.sqlite'])
        self.assertEqual(pathlib.Path(self.database).read_bytes(), before)

  def test_missing_dump_is_refused(self):
    write(self.database, {'old': 'x'})
    self.assert_refused('import')
    self.assertEqual(read(self.database), {'old': 'x'})

  def test_killed_anywhere_leaves_a_whole_database(self):
    self.dump_of({'key': 'new'})
    old = self.path('old.sqlite')
    write(old, {'key': 'old'})
    seen = []
    number = 0
    complete = False
    while not complete:
      number += 1
      shutil.copy(old, self.database)
      complete = kill_at_line(
        number, payload.import_database, self.database, self.dump)
      seen.append(read(self.database)['key'])
    self.assertEqual(seen, sorted(seen, reverse=True))
    self.assertEqual(set(seen), {'old', 'new'})

  def test_killed_anywhere_over_a_half_transaction_leaves_a_whole_database(
      self):
    self.dump_of({'key': 'new'})
    fill(self.database)
    old = read(self.database)
    kill_writer(self.database)
    for suffix in ('', '-journal'):
      shutil.copy(self.database + suffix, self.path('half' + suffix))
    seen = []
    number = 0
    complete = False
    while not complete:
      number += 1
      for suffix in ('', '-journal'):
        shutil.copy(self.path('half' + suffix), self.database + suffix)
      complete = kill_at_line(
        number, payload.import_database, self.database, self.dump)
      seen.append(read(self.database))
      self.assertIn(seen[-1], (old, {'key': 'new'}), 'line %d' % number)
    self.assertEqual((seen[0], seen[-1]), (old, {'key': 'new'}))

  def test_leftovers_of_a_killed_run_are_removed(self):
    self.dump_of({'key': 'new'})
    fill(self.database + '.import')
    kill_writer(self.database + '.import')
    self.load()
    self.assertEqual(os.listdir(self.path('service')), ['payload.sqlite'])

  def test_journal_of_the_old_database_is_not_applied_to_the_new(self):
    self.dump_of({'key': 'new'})
    fill(self.database)
    kill_writer(self.database)
    self.load()
    self.assertEqual(read(self.database), {'key': 'new'})

  def test_running_transaction_is_not_disturbed(self):
    self.dump_of({'key': 'new'})
    write(self.database, {'key': 'old'})
    writer = sqlite3.connect(self.database)
    with contextlib.closing(writer):
      writer.execute("UPDATE records SET value = 'committed'")
      with (unittest.mock.patch.object(payload, '_PATIENCE', 0.1),
            self.assertRaisesRegex(sqlite3.OperationalError, 'locked')):
        payload.import_database(self.database, self.dump)
      writer.commit()
    self.assertEqual(read(self.database), {'key': 'committed'})

  def test_reader_that_has_begun_keeps_the_old_content(self):
    fill(self.database)
    fill(self.dumped)
    write(self.dumped, {'z': 'new'})
    reader = sqlite3.connect(self.database, isolation_level=None)
    with contextlib.closing(reader):
      reader.execute('BEGIN')
      reader.execute("SELECT value FROM records WHERE key = 'a'").fetchall()
      self.load()
      self.assertEqual(
        reader.execute("SELECT value FROM records WHERE key = 'z'").fetchall(),
        [('0',)])

  def test_damaged_database_is_replaced(self):
    pathlib.Path(self.database).write_bytes(b'no database' * 1000)
    pathlib.Path(self.database + '-journal').write_bytes(b'x')
    self.dump_of({'key': 'new'})
    self.load()
    self.assertEqual(os.listdir(self.path('service')), ['payload.sqlite'])
    self.assertEqual(read(self.database), {'key': 'new'})

  def test_dump_in_mode_wal_is_complete_in_one_file(self):
    self.dump_of({'key': 'new'})
    with contextlib.closing(sqlite3.connect(self.dumped)) as connection:
      connection.execute('PRAGMA journal_mode = WAL')
    self.load()
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      self.assertEqual(
        connection.execute('PRAGMA journal_mode').fetchone(), ('delete',))

  def test_imported_data_can_be_exported_from_the_same_place(self):
    self.dump_of({'key': 'new'})
    self.load()
    write(self.database, {'another': 'x'})
    self.export()
    self.assertEqual(read(self.dumped), {'key': 'new', 'another': 'x'})


class LeaderTest(Case):

  def setUp(self):
    super().setUp()
    self.service = self.serve('leader')

  def test_record_is_stored(self):
    self.assertEqual(
      self.service.request('PUT', '/records/key', 'välue'.encode()), (204, ''))
    self.assertEqual(
      self.service.request('GET', '/records/key'), (200, 'välue'))

  def test_record_is_replaced(self):
    self.service.request('PUT', '/records/key', 'old')
    self.service.request('PUT', '/records/key', 'new')
    self.assertEqual(json.loads(self.service.request('GET', '/records')[1]),
                     [{'key': 'key', 'value': 'new'}])

  def test_record_is_deleted(self):
    self.service.request('PUT', '/records/key', 'value')
    self.assertEqual(
      self.service.request('DELETE', '/records/key'), (204, ''))
    self.assertEqual(
      self.service.request('GET', '/records/key'), (404, 'no such record\n'))

  def test_acknowledged_record_survives_sigkill(self):
    self.service.request('PUT', '/records/key', 'value')
    self.service.process.kill()
    self.service.process.wait()
    self.assertEqual(
      self.serve('leader').request('GET', '/records/key'), (200, 'value'))

  def test_generation_counts_writes(self):
    self.service.request('PUT', '/records/one', 'x')
    self.service.request('PUT', '/records/two', 'x')
    self.service.request('DELETE', '/records/two')
    self.service.request('DELETE', '/records/none')
    self.assertEqual(self.service.state(), {
      'role': 'leader', 'records': 1, 'generation': 3})

  def test_any_text_is_a_key(self):
    for key in ('ключ', 'a b+c', '/a//b/', '../..', '.', '?#%41', 'x\ny',
                'nul\0', '\U0001f600', "';--", '&<>"'):
      with self.subTest(key):
        path = '/records/' + urllib.parse.quote(key, safe='')
        self.assertEqual(
          self.service.request('PUT', path, key.encode())[0], 204)
        self.assertEqual(self.service.request('GET', path), (200, key))
        listed = json.loads(self.service.request('GET', '/records')[1])
        self.assertIn({'key': key, 'value': key}, listed)

  def test_key_that_is_no_text_is_refused(self):
    self.service.request('PUT', '/records/%EF%BF%BD', 'x')
    self.assertEqual(self.service.request('PUT', '/records/%FF', 'x'),
                     (400, 'a key is UTF-8 text\n'))
    self.assertEqual(self.service.state()['generation'], 1)

  def test_long_key_is_refused(self):
    self.assertEqual(
      self.service.request('PUT', '/records/' + 'k' * 1025, 'x'),
      (413, 'a key has at most 1024 bytes\n'))

  def test_value_that_is_no_text_is_refused(self):
    self.assertEqual(self.service.request('PUT', '/records/key', b'\xff'),
                     (400, 'a value is UTF-8 text\n'))

  def test_largest_value_is_stored(self):
    value = 'x' * (1 << 20)
    self.service.request('PUT', '/records/key', value)
    self.assertEqual(self.service.request('GET', '/records/key'), (200, value))

  def test_larger_value_is_refused(self):
    self.assertEqual(
      self.service.request('PUT', '/records/key', 'x' * ((1 << 20) + 1)),
      (413, 'a value has at most 1048576 bytes\n'))

  def test_other_method_is_refused(self):
    self.assertEqual(self.service.request('POST', '/records')[0], 405)

  def test_page_says_that_it_is_writable(self):
    self.assertIn('This is the leader: writable.',
                  self.service.request('GET', '/')[1])

  def test_page_escapes_records(self):
    self.service.request('PUT', '/records/key', '<script>')
    self.assertIn('<td>&lt;script&gt;</td>',
                  self.service.request('GET', '/')[1])

  def test_page_lists_the_last_records_first(self):
    for number in range(30):
      self.service.request('PUT', '/records/%d' % number, 'x')
    self.assertEqual(
      re.findall(r'<th>(\d+)</th>', self.service.request('GET', '/')[1]),
      [str(number) for number in range(29, 9, -1)])


class CloneTest(Case):

  def setUp(self):
    super().setUp()
    self.source = self.path('source.sqlite')

  def import_records(self, records):
    """Import a dump that holds `records`."""
    write(self.source, records)
    done = run('export', '--database', self.source, '--dump', self.dump)
    self.assertEqual(done.returncode, 0, done.stderr)
    self.load()

  def test_writes_are_refused(self):
    self.import_records({'key': 'value'})
    service = self.serve('clone')
    for method in ('PUT', 'DELETE'):
      with self.subTest(method):
        self.assertEqual(
          service.request(method, '/records/key', 'other'),
          (403, 'this is a clone, read-only, write to the leader\n'))
        self.assertEqual(read(self.database), {'key': 'value'})

  def test_page_says_that_it_is_read_only(self):
    self.import_records({'key': 'value'})
    self.assertIn('This is a clone: read-only, write to the leader.',
                  self.serve('clone').request('GET', '/')[1])

  def test_says_that_nothing_was_imported(self):
    service = self.serve('clone')
    self.assertEqual(service.request('GET', '/records'),
                     (503, 'nothing has been imported yet\n'))
    self.assertEqual(service.state(), {
      'role': 'clone', 'records': 0, 'generation': None})

  def test_sees_imported_data_without_restart(self):
    self.import_records({'key': 'old'})
    service = self.serve('clone')
    self.assertEqual(service.request('GET', '/records/key'), (200, 'old'))
    self.import_records({'key': 'new'})
    self.assertEqual(service.request('GET', '/records/key'), (200, 'new'))

  def test_readers_see_one_import_or_another(self):
    self.import_records({'a': '0', 'z': '0'})
    service = self.serve('clone')
    ended = threading.Event()
    seen = []

    def ask():
      while not ended.is_set():
        seen.append(service.request('GET', '/records'))

    readers = [threading.Thread(target=ask) for _ in range(3)]
    for reader in readers:
      reader.start()
    try:
      for number in range(1, 6):
        self.import_records({'a': str(number), 'z': str(number)})
    finally:
      ended.set()
      for reader in readers:
        reader.join()
    self.assertEqual({status for status, _ in seen}, {200})
    contents = [[record['value'] for record in json.loads(text)]
                for _, text in seen]
    self.assertEqual([], [pair for pair in contents if pair[0] != pair[1]])
    self.assertGreater(len({pair[0] for pair in contents}), 1)

  def test_becomes_writable_as_leader_of_the_same_database(self):
    self.import_records({'key': 'value'})
    with Service(self.database, 'clone') as clone:
      clone.started()
    leader = self.serve('leader')
    leader.request('PUT', '/records/another', 'x')
    self.assertEqual(read(self.database), {'key': 'value', 'another': 'x'})

  def test_log_goes_to_a_file_that_may_be_moved_away(self):
    log = self.path('payload.log')
    # The start is the first line of the file, and a failure the second.
    with Service(self.database, 'leader', '--log', log) as service:
      end = time.monotonic() + DEADLINE
      while not (os.path.exists(log)
                 and re.search(r'\[::1\]:(\d+)\n', pathlib.Path(
                   log).read_text('utf-8'))):
        self.assertLess(time.monotonic(), end, 'no line in the log')
        time.sleep(0.02)
      service.port = int(re.search(
        r'\[::1\]:(\d+)\n', pathlib.Path(log).read_text('utf-8')).group(1))
      os.rename(log, log + '.1')
      pathlib.Path(self.database).write_bytes(b'no database' * 1000)
      self.assertEqual(service.request('GET', '/records')[0], 503)
      self.assertIn('not a database', pathlib.Path(log).read_text('utf-8'))


if __name__ == '__main__':
  unittest.main()
