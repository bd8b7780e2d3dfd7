"""lamp without a node, on real servers of MariaDB."""
import os
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock

from ..databases import MariaDB
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase, wait_for


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'

  def test_a_server_that_starts_spares_the_temporary_tables_of_others(self):
    administrator = self.client(self.clone).administrator(
      self.clone.path / 'run')
    with tempfile.TemporaryDirectory() as common, mock.patch.dict(
        os.environ, TMPDIR=common):
      tables = [pathlib.Path(folder, '#sql-temptable-test.MAD') for folder in (
        common, *administrator.sql('SELECT @@tmpdir;'))]
      for path in tables:
        path.write_text('x')
      with open(self.export() / 'database/roles.sql', 'a') as output:
        output.write('nonsense;\n')
      # It makes a database, and starts a server beside the one of the clone.
      self.assert_refused(self._import(), 'nonsense')
      for path in tables:
        self.assertTrue(path.exists(), path)
    self.assert_as_before()


class TestDump(DatabaseCase):
  """What MariaDB has, and a dump carries."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTINGS = {'event_scheduler': 'ON', 'secure_timestamp': 'YES'}

  def at(self, place, text):
    """Run statements as the administrator of `place`; return the rows."""
    return self.client(place).administrator(place.path / 'run').sql(text)

  def make(self, text, undo):
    """Run statements on the leader, and `undo` when the test ends."""
    self.addCleanup(self.at, self.leader, undo)
    self.at(self.leader, text)

  def assert_carried(self, show):
    """After a cycle the clone answers as the leader.  Returns the answer."""
    self.cycle()
    shown = self.at(self.leader, show)
    self.assertEqual(shown, self.at(self.clone, show))
    return shown

  def test_large_values(self):
    self.make('''
      CREATE DATABASE large;
      CREATE TABLE large.files (id int PRIMARY KEY, data longblob);
      INSERT INTO large.files VALUES (1, REPEAT(UNHEX('00FF'), 5 << 20)), (
        2, REPEAT(UNHEX('0A'), 9 << 20));
      ''', 'DROP DATABASE large;')
    self.assertEqual(2, len(self.assert_carried(
      'SELECT id, LENGTH(data), MD5(data) FROM large.files ORDER BY id;')))

  def test_grants(self):
    self.make('''
      CREATE DATABASE granted;
      USE granted;
      CREATE TABLE things (id int, name text);
      CREATE FUNCTION three() RETURNS int DETERMINISTIC RETURN 3;
      CREATE PROCEDURE nothing() SELECT 0;
      CREATE ROLE looker WITH ADMIN root@localhost;
      CREATE ROLE seer;
      CREATE USER joe IDENTIFIED BY 'his' ACCOUNT LOCK;
      CREATE USER 'o''dd\\n;' IDENTIFIED BY 'hers' WITH MAX_USER_CONNECTIONS 7;
      GRANT SELECT ON things TO joe WITH GRANT OPTION;
      GRANT UPDATE (name) ON things TO seer;
      GRANT EXECUTE ON FUNCTION three TO joe;
      GRANT EXECUTE ON PROCEDURE nothing TO seer;
      GRANT SELECT ON granted.* TO PUBLIC;
      GRANT seer TO looker;
      GRANT seer TO joe WITH ADMIN OPTION;
      SET DEFAULT ROLE seer FOR joe;
      CREATE DEFINER = joe VIEW seen AS SELECT * FROM things;
      GRANT SELECT ON seen TO joe;
      CREATE VIEW a_view_of_a_view AS SELECT id, three() FROM seen;
      ''', '''
      DROP DATABASE granted;
      DROP USER joe, 'o''dd\\n;';
      DROP ROLE looker, seer;
      REVOKE SELECT ON granted.* FROM PUBLIC;
      ''')
    self.assert_carried('''
      SELECT host, user, priv FROM mysql.global_priv ORDER BY 1, 2;
      SELECT * FROM mysql.roles_mapping ORDER BY 1, 2, 3;
      SELECT * FROM mysql.db ORDER BY 1, 2, 3;
      SELECT * FROM mysql.tables_priv ORDER BY 1, 2, 3, 4;
      SELECT * FROM mysql.columns_priv ORDER BY 1, 2, 3, 4, 5;
      SELECT * FROM mysql.procs_priv ORDER BY 1, 2, 3, 4, 5;
      SHOW GRANTS FOR joe;
      SHOW GRANTS FOR PUBLIC;
      SHOW CREATE USER 'o''dd\\n;';
      SELECT * FROM granted.a_view_of_a_view;
      ''')

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
    client = self.client(self.leader).administration(
      str(self.leader.path / 'run'))[2:-1]
    for name, arguments in (
        ('roles', ['--system=users', '--insert-ignore']),
        ('database-early', ['--databases', 'early']),
        ('database-shop', ['--databases', 'shop'])):
      with open(folder / (name + '.sql'), 'wb') as output:
        subprocess.run(['mariadb-dump', '--no-defaults', client[-1], *arguments],
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
    self.assertEqual(['1'], self.assert_carried('SELECT id FROM precise.things;'))
    said = self.leader.run('export', '--dump', self.leader.path / 'dump')[2]
    self.assertIn('by transaction: precise.things', said)

  def test_events_run_on_a_leader_alone(self):
    self.make('''
      CREATE DATABASE events;
      USE events;
      CREATE TABLE runs (socket text);
      CREATE EVENT often ON SCHEDULE EVERY 1 SECOND
        DO INSERT INTO runs SELECT @@socket;
      CREATE EVENT never ON SCHEDULE EVERY 1 SECOND DISABLE DO SELECT 1;
      CREATE DATABASE slow;
      CREATE TABLE slow.numbers (id int PRIMARY KEY, text text, FULLTEXT (text))
        AS SELECT seq AS id, MD5(seq) AS text FROM seq_1_to_200000;
      ''', 'DROP DATABASE events; DROP DATABASE slow;')
    show = ('SELECT event_name, status FROM information_schema.events'
            ' WHERE event_schema = "events" ORDER BY 1;')
    sockets = 'SELECT DISTINCT socket FROM events.runs ORDER BY 1;'
    shown = self.at(self.leader, show)
    wait_for(lambda: self.at(self.leader, sockets), self.leader)
    self.cycle()
    own = [str(place.path / 'run/mariadb.sock')
           for place in (self.clone, self.leader)]
    self.assertEqual(own[1:], self.at(self.clone, sockets))
    self.assertEqual(shown, self.at(self.clone, show))
    self.assertEqual(['OFF'], self.at(self.clone, 'SELECT @@event_scheduler;'))
    self.clone.stop()
    self.clone.prepare(role='leader', **{
      'database-name': 'shop', 'database-settings': self.SETTINGS})
    self.clone.serve()
    self.addCleanup(self._serve_as_clone)
    wait_for(lambda: own[:1] == self.at(self.clone, sockets)[:1], self.clone)
    self.assertEqual(shown, self.at(self.clone, show))

  def _serve_as_clone(self):
    self.clone.stop()
    self.clone.prepare(role='clone')
    self.clone.serve()
    wait_for(lambda: self.numbers(self.clone) == self.numbers(self.leader),
             self.clone)


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTING = ('sort_buffer_size', '1048576',
             'SELECT @@max_connections; SELECT @@innodb_buffer_pool_size;'
             'SELECT @@global.sort_buffer_size;')


if __name__ == '__main__':
  unittest.main()
