"""What MariaDB has beside databases, and a dump carries, on real servers."""
import unittest

from ..databases import MariaDB
from .database_support import DatabaseCase, wait_for


class TestServer(DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTINGS = {'event_scheduler': 'ON'}

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

  def test_servers_and_time_zones(self):
    self.make('''
      CREATE SERVER far FOREIGN DATA WRAPPER mysql
        OPTIONS (HOST 'far.example', DATABASE 'd', USER 'u', PASSWORD 'secret');
      INSERT INTO mysql.time_zone VALUES (1, 'N');
      INSERT INTO mysql.time_zone_name VALUES ('Mars/Olympus', 1);
      INSERT INTO mysql.time_zone_transition_type VALUES (1, 0, 5025, 0, 'MOT');
      CREATE DATABASE mars;
      SET time_zone = 'Mars/Olympus';
      CREATE EVENT mars.landing ON SCHEDULE EVERY 1 YEAR DO SELECT 1;
      ''', '''
      DROP DATABASE mars;
      DROP SERVER far;
      DELETE FROM mysql.time_zone;
      DELETE FROM mysql.time_zone_name;
      DELETE FROM mysql.time_zone_transition_type;
      ''')
    self.assert_carried('''
      SELECT * FROM mysql.servers;
      SELECT CONVERT_TZ('2000-01-01 00:00:00', 'UTC', 'Mars/Olympus');
      SELECT event_name, time_zone FROM information_schema.events
        WHERE event_schema = 'mars';
      ''')

  def test_functions_of_a_library_need_it(self):
    self.make('INSERT INTO mysql.func'
              " VALUES ('f', 0, 'absent.so', 'function');",
              'DELETE FROM mysql.func;')
    self.export()
    self.assert_refused(self.clone.run(
      'import', '--dump', self.leader.path / 'dump'), 'absent.so')

  def test_accounts_of_the_socket_are_locked_and_serve_as_definers(self):
    self.make('''
      CREATE DATABASE defined;
      USE defined;
      CREATE USER ruth@localhost IDENTIFIED VIA unix_socket;
      CREATE USER either@localhost IDENTIFIED VIA mysql_native_password
        USING PASSWORD('x') OR unix_socket;
      CREATE USER other@localhost IDENTIFIED BY '"unix_socket"';
      GRANT ALL ON defined.* TO ruth@localhost;
      CREATE TABLE t (id int);
      INSERT INTO t VALUES (1);
      CREATE DEFINER = ruth@localhost VIEW v AS SELECT * FROM t;
      CREATE DEFINER = ruth@localhost FUNCTION f() RETURNS int
        RETURN (SELECT COUNT(*) FROM t);
      ''', '''
      DROP DATABASE defined;
      DROP USER ruth@localhost, either@localhost, other@localhost;
      ''')
    self.assertEqual(['1', '1'], self.assert_carried(
      'SELECT * FROM defined.v; SELECT defined.f();'))
    self.assertEqual(['either', 'mariadb.sys', 'ruth'], self.at(
      self.clone, "SELECT user FROM mysql.global_priv"
      " WHERE JSON_VALUE(priv, '$.account_locked') ORDER BY 1;"))

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


if __name__ == '__main__':
  unittest.main()
