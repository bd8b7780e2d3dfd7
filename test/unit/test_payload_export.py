"""The payload's exporter: a whole database in the dump, whatever happens."""
import contextlib
import os
import pathlib
import shutil
import sqlite3
import threading

from payload import payload

from .payload_support import (
  Case,
  DEADLINE,
  fill,
  kill_at_line,
  kill_writer,
  read,
  write,
)


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
