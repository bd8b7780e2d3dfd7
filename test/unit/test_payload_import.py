"""The payload's importer: all of the dump in the database, or nothing."""
import contextlib
import os
import pathlib
import shutil
import sqlite3
import unittest.mock

from payload import payload

from .payload_support import Case, fill, kill_at_line, kill_writer, read, write


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
