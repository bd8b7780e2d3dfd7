"""The payload's service: the leader that is written to, clones that are read.
"""
import json
import os
import pathlib
import re
import threading
import time
import urllib.parse

from .payload_support import Case, DEADLINE, read, run, Service, write


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
