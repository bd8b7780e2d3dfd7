"""What databases of PostgreSQL have, and a dump carries, on real servers."""
import shutil
import unittest

from ..databases import PostgreSQL
from .database_support import DatabaseCase


class TestDatabases(DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'
  SETTINGS = {'temp_file_limit': '1MB', 'maintenance_work_mem': '1MB',
              'default_transaction_isolation': 'serializable'}

  def at(self, place, text, database='postgres'):
    """Run statements as the administrator of `place` in `database`, whatever
    its name and what is set for it; return the rows."""
    client = self.client(place).administrator(place.path / 'run')
    client.database = "dbname='%s'" % database.replace('\\', '\\\\').replace(
      "'", "\\'")
    environment = dict(client.environment(), PGCLIENTENCODING='UTF8')
    client.environment = lambda: environment
    return client.sql(text)

  def create(self, name, options=''):
    """Make a database on the leader, until the test ends."""
    name = '"%s"' % name.replace('"', '""')
    self.at(self.leader, 'CREATE DATABASE %s %s;' % (name, options))
    self.addCleanup(self.at, self.leader, 'DROP DATABASE %s;' % name)

  def test_databases_of_any_name_but_those_that_nobody_can_read(self):
    names = ['a=b', 'dbname=shop', 'a/b', 'two\nlines\u2028', 'o\'"\\%41']
    for name in names:
      self.create(name)
      self.at(self.leader, 'CREATE TABLE t AS SELECT current_database() AS n;',
              name)
    self.create('closed', 'ALLOW_CONNECTIONS false')
    self.create('broken')
    self.at(self.leader, 'UPDATE pg_database SET datconnlimit = -2'
                         " WHERE datname = 'broken';")
    status, _, said = self.leader.run(
      'export', '--dump', self.leader.path / 'dump')
    self.assertEqual(0, status, said)
    for name in 'closed', 'broken':
      self.assertIn("invalid: '%s'\n" % name, said)
    self.clone.import_(self.leader)
    for name in names:
      with self.subTest(name):
        self.assertEqual(name.splitlines(), '\n'.join(
          self.at(self.clone, 'SELECT n FROM t;', name)).splitlines())
    self.assertEqual(['0'], self.at(
      self.clone, 'SELECT count(*) FROM pg_database'
      " WHERE datname IN ('closed', 'broken');"))

  def test_dump_that_does_not_quote_names_of_databases(self):
    self.create('50%41 Räder')
    self.at(self.leader, 'CREATE UNLOGGED TABLE t AS SELECT 1 AS a;',
            '50%41 Räder')
    folder = self.export() / 'database'
    shutil.move(folder / 'database-50%2541%20R%C3%A4der',
                folder / 'database-50%41 Räder')
    self.clone.import_(self.leader)
    self.assertEqual(['1'], self.at(
      self.clone, 'SELECT a FROM t;', '50%41 Räder'))

  def test_what_users_set_changes_no_value_and_stops_no_load(self):
    self.at(self.leader, '''
      CREATE ROLE "Räuber";
      ALTER ROLE ALL SET client_encoding = 'LATIN1';
      ALTER DATABASE shop SET array_nulls = off;
      ALTER DATABASE shop SET temp_file_limit = '1MB';''')
    self.addCleanup(self.at, self.leader, '''
      DROP ROLE "Räuber";
      ALTER ROLE ALL RESET ALL;
      ALTER DATABASE shop RESET ALL;''')
    self.at(self.leader, '''
      SET array_nulls = on;
      CREATE TABLE wide AS SELECT '日本' AS a;
      CREATE TABLE gaps (a text[]);
      INSERT INTO gaps VALUES (ARRAY['x', NULL]);
      SET temp_file_limit = -1;
      CREATE TABLE large AS
        SELECT md5(i::text) AS a FROM generate_series(1, 100000) i;
      CREATE INDEX ON large (a);
      ''', 'shop')
    self.addCleanup(
      self.at, self.leader, 'DROP TABLE wide, gaps, large;', 'shop')
    self.cycle()
    self.assertEqual(['日本', 't', '100000'], self.at(self.clone, '''
      SELECT a FROM wide; SELECT a[2] IS NULL FROM gaps;
      SELECT count(*) FROM large;''', 'shop'))

  def test_what_is_done_to_tables_after_a_load_is_not_hindered(self):
    self.create('latin', "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    data = self.leader.path / 'data.csv'
    data.write_text('1\n')
    self.at(self.leader, '''
      CREATE UNLOGGED TABLE "Räder" AS SELECT 'für' AS a;
      CREATE EXTENSION file_fdw;
      CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE TABLE parts (a int) PARTITION BY LIST (a);
      CREATE FOREIGN TABLE one PARTITION OF parts FOR VALUES IN (1)
        SERVER files OPTIONS (filename '%s');
      CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'no rewrite'; END $$;
      CREATE EVENT TRIGGER no_rewrite ON table_rewrite
        EXECUTE FUNCTION refuse();
      ''' % data, 'latin')
    self.export()
    data.unlink()
    status, _, said = self.clone.run(
      'import', '--dump', self.leader.path / 'dump')
    self.assertEqual(0, status, said)
    self.assertIn("there are no statistics on all of 'latin': ", said)
    self.assertEqual(['für'], self.at(
      self.clone, 'SELECT a FROM "Räder";', 'latin'))


if __name__ == '__main__':
  unittest.main()
