"""What databases of MariaDB have, and a dump carries, on real servers."""
import subprocess
import unittest

from ..databases import MariaDB
from .database_support import DatabaseCase


class TestDatabases(DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTINGS = {'secure_timestamp': 'YES'}

  def test_large_values(self):
    self.make('''
      CREATE DATABASE large;
      CREATE TABLE large.files (id int PRIMARY KEY, data longblob);
      INSERT INTO large.files VALUES (1, REPEAT(UNHEX('00FF'), 5 << 20)), (
        2, REPEAT(UNHEX('0A'), 9 << 20));
      ''', 'DROP DATABASE large;')
    self.assertEqual(2, len(self.assert_carried(
      'SELECT id, LENGTH(data), MD5(data) FROM large.files ORDER BY id;')))

  def test_databases_that_need_each_other(self):
    self.make('''
      CREATE DATABASE before_all;
      CREATE DATABASE zoo;
      CREATE TABLE zoo.animals (id int PRIMARY KEY);
      INSERT INTO zoo.animals VALUES (1);
      CREATE VIEW zoo.tame AS SELECT id FROM zoo.animals;
      USE before_all;
      CREATE TABLE guests (id int, animal int,
        FOREIGN KEY (animal) REFERENCES zoo.animals (id));
      INSERT INTO guests VALUES (7, 1);
      CREATE TRIGGER came AFTER INSERT ON guests FOR EACH ROW
        INSERT INTO zoo.animals SELECT NEW.id FROM zoo.tame;
      CREATE FUNCTION animals() RETURNS int
        RETURN (SELECT COUNT(*) FROM zoo.tame);
      CREATE VIEW looked_after AS SELECT id, animals() FROM zoo.tame;
      CREATE VIEW zoo.guests AS SELECT * FROM looked_after;
      ''', 'DROP DATABASE before_all; DROP DATABASE zoo;')
    self.assert_carried('''
      SELECT * FROM zoo.guests;
      SELECT * FROM before_all.guests;
      SELECT trigger_name, action_statement FROM information_schema.triggers
        WHERE trigger_schema = 'before_all';
      ''')

  def test_names_of_databases(self):
    names = ['`-x`', '`--force`', '`o\'"``;\\n`', '`two\nlines`', '`a/b`',
             '`.hidden`', '`Zażółć`', '`a b`']
    for name in names:
      self.make('CREATE DATABASE %s; CREATE TABLE %s.t (a int);'
                'CREATE VIEW %s.v AS SELECT * FROM %s.t;'
                'INSERT INTO %s.t VALUES (1);' % ((name,) * 5),
                'DROP DATABASE %s;' % name)
    self.assert_carried('SHOW DATABASES;' + ''.join(
      'SELECT * FROM %s.v;' % name for name in names))

  def test_dump_with_a_file_for_each_database(self):
    self.make('CREATE DATABASE early; CREATE TABLE early.t AS SELECT 1 AS a;',
              'DROP DATABASE early;')
    folder = self.export() / 'database'
    for path in folder.iterdir():
      path.unlink()
    socket = '--socket=%s/run/mariadb.sock' % self.leader.path
    for name, arguments in (
        ('roles', ['--system=users', '--insert-ignore']),
        ('database-early', ['--databases', 'early']),
        ('database-shop', ['--databases', 'shop'])):
      with open(folder / (name + '.sql'), 'wb') as output:
        subprocess.run(['mariadb-dump', '--no-defaults', socket, *arguments],
                       stdout=output, check=True)
    self.clone.import_(self.leader)
    self.assertEqual(['1'], self.at(self.clone, 'SELECT a FROM early.t;'))
    self.assertEqual(self.numbers(self.leader), self.numbers(self.clone))

  def test_history_of_tables(self):
    self.make('''
      CREATE DATABASE past;
      USE past;
      CREATE TABLE plain (id int PRIMARY KEY);
      CREATE TABLE implicit (id int PRIMARY KEY, value int)
        WITH SYSTEM VERSIONING;
      CREATE TABLE explicit (id int PRIMARY KEY, value int,
        since timestamp(6) GENERATED ALWAYS AS ROW START,
        until timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE,
        PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING;
      CREATE TABLE parts (id int PRIMARY KEY, value int)
        WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (
          PARTITION was HISTORY, PARTITION now CURRENT);
      INSERT INTO plain VALUES (1);
      INSERT INTO implicit VALUES (1, 1), (2, 2);
      INSERT INTO explicit (id, value) VALUES (1, 1), (2, 2);
      INSERT INTO parts VALUES (1, 1), (2, 2);
      DO SLEEP(0.01);
      UPDATE implicit SET value = 3 WHERE id = 1;
      UPDATE explicit SET value = 3 WHERE id = 1;
      UPDATE parts SET value = 3 WHERE id = 1;
      DELETE FROM implicit WHERE id = 2;
      DELETE FROM explicit WHERE id = 2;
      DELETE FROM parts WHERE id = 2;
      ''', 'DROP DATABASE past;')
    shown = self.assert_carried('SELECT * FROM past.plain;' + ''.join(
      'SELECT id, value, %s, %s FROM past.%s FOR SYSTEM_TIME ALL'
      ' ORDER BY 1, 2;' % (start, end, table) for start, end, table in (
        ('row_start', 'row_end', 'implicit'), ('since', 'until', 'explicit'),
        ('row_start', 'row_end', 'parts'))))
    self.assertEqual(10, len(shown), shown)

  def test_history_by_transaction_does_not_hinder_an_export(self):
    self.make('''
      CREATE DATABASE precise;
      CREATE TABLE precise.things (id int PRIMARY KEY,
        since bigint unsigned GENERATED ALWAYS AS ROW START,
        until bigint unsigned GENERATED ALWAYS AS ROW END,
        PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING;
      INSERT INTO precise.things (id) VALUES (1), (2);
      DELETE FROM precise.things WHERE id = 2;
      ''', 'DROP DATABASE precise;')
    self.assertEqual(['1'], self.assert_carried(
      'SELECT id FROM precise.things;'))
    said = self.leader.run('export', '--dump', self.leader.path / 'dump')[2]
    self.assertIn('by transaction: precise.things', said)

  def test_columns_that_a_dump_rounds_are_named(self):
    self.make('''
      CREATE DATABASE ratios;
      CREATE TABLE ratios.t (a float, b double, c float(20, 9));
      INSERT INTO ratios.t VALUES (16777216, 0.1e0 + 0.2, 0.123456789);
      ''', 'DROP DATABASE ratios;')
    self.assert_carried('SELECT b, c, b * 1e17, c * 1e9 FROM ratios.t;')
    said = self.leader.run('export', '--dump', self.leader.path / 'dump')[2]
    self.assertIn('rounded to 6 digits: ratios.t.a\n', said)

  def test_views_that_are_invalid_are_named_and_left_out(self):
    self.make('''
      CREATE DATABASE seen;
      USE seen;
      CREATE USER poor;
      GRANT ALL ON seen.* TO poor;
      CREATE TABLE kept (a int);
      CREATE TABLE gone (a int);
      CREATE VIEW v AS SELECT a FROM gone;
      CREATE VIEW w AS SELECT a FROM v;
      CREATE DEFINER = poor VIEW blind AS SELECT a FROM kept;
      CREATE VIEW good AS SELECT a FROM kept;
      DROP TABLE gone;
      REVOKE ALL ON seen.* FROM poor;
      ''', 'DROP DATABASE seen; DROP USER poor;')
    status, _, said = self.leader.run(
      'export', '--dump', self.leader.path / 'dump')
    self.assertEqual(0, status, said)
    self.assertIn('invalid: seen.v, seen.w\n', said)
    self.clone.import_(self.leader)
    self.assertEqual(['blind', 'good'], self.at(
      self.clone, 'SELECT table_name FROM information_schema.views'
      ' WHERE table_schema = "seen" ORDER BY 1;'))

  def test_what_no_user_may_make_any_more_is_loaded(self):
    self.make('''
      CREATE DATABASE lax;
      USE lax;
      SET innodb_strict_mode = OFF, check_constraint_checks = OFF;
      CREATE TABLE wide (%s) CHARSET latin1;
      CREATE TABLE blocks (a int PRIMARY KEY) KEY_BLOCK_SIZE = 3;
      CREATE TABLE positive (a int PRIMARY KEY CHECK (a > 0));
      INSERT INTO positive VALUES (-1);
      ''' % ', '.join('c%d char(100)' % number for number in range(190)),
              'DROP DATABASE lax;')
    # For the clone; the server of the leader does not read it again.
    settings = self.leader.content / 'settings.conf'
    text = settings.read_text()
    self.addCleanup(settings.write_text, text)
    settings.write_text(text + 'innodb_force_primary_key = ON\n')
    self.assertEqual(['0', '0', '-1'], self.assert_carried('''
      SELECT COUNT(*) FROM lax.wide;
      SELECT COUNT(*) FROM lax.blocks;
      SELECT a FROM lax.positive;
      '''))

  def test_a_server_that_leaves_its_data_to_be_repaired_is_loaded(self):
    # For the clone, which cannot do that; the leader does not read it again.
    settings = self.leader.content / 'settings.conf'
    text = settings.read_text()
    self.addCleanup(settings.write_text, text)
    settings.write_text(text + 'innodb_fast_shutdown = 2\n')
    self.cycle()

  def test_time_that_statements_may_take_is_for_users(self):
    self.make('SET GLOBAL max_statement_time = 0.01;', '''
      SET max_statement_time = 0;
      SET GLOBAL max_statement_time = 0;''')
    self.export()

  def test_unchanged_databases_are_the_same_files(self):
    before, after = ({path.name: (path.stat().st_ino, path.read_bytes())
                      for path in (self.export() / 'database').iterdir()}
                     for _ in range(2))
    self.assertEqual({'databases.sql', 'roles.sql'}, set(before))
    self.assertEqual(before, after)


if __name__ == '__main__':
  unittest.main()
