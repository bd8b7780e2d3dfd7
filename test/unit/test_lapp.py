"""lapp without a node, on real servers of PostgreSQL."""
import contextlib
import shutil
import signal
import subprocess
import unittest

import psutil

from ..databases import PostgreSQL, SqlError
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase, wait_for


def give_number_away(*paths):
  """Let lock files of a server name another program: as after a crash of the
  machine, when that got the server's number.  Returns the program."""
  program = subprocess.Popen(['sleep', '1000'])
  for path in paths:
    _, *others = path.read_text().splitlines(keepends=True)
    path.write_text('%d\n%s' % (program.pid, ''.join(others)))
  return program


@contextlib.contextmanager
def running(program):
  """Let `program` run meanwhile."""
  with program:
    try:
      yield
    finally:
      program.kill()


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'

  def test_import_goes_on_after_one_whose_number_is_another_programs_now(self):
    run, port = self.clone.path / 'run', int(self.clone.values['port'])
    left = run / ('.s.PGSQL.%d.lock' % (port - 1))
    left.write_text((run / ('.s.PGSQL.%d.lock' % port)).read_text().replace(
      str(port), str(port - 1)))
    with running(give_number_away(left)):
      self.cycle()

  def test_settings_of_users_hinder_neither_dump_nor_load(self):
    hindrances = {
      'statement_timeout': '1ms', 'lock_timeout': '1ms',
      'idle_in_transaction_session_timeout': '1ms',
      'idle_session_timeout': '1s', 'default_transaction_read_only': 'on',
      'role': 'nobody'}
    administrator = self.administrator(self.leader)
    administrator.sql('CREATE ROLE nobody;')
    for whose in ('DATABASE shop', 'DATABASE postgres', 'ROLE postgres',
                  'ROLE ALL'):
      with self.subTest(whose):
        try:
          for name, value in hindrances.items():
            administrator.sql('ALTER %s SET %s = %r;' % (whose, name, value))
          shown = administrator.sql(self.WHAT_IS_SET)
          self.export()
          self.clone.import_(self.leader)
          self.assertEqual(
            shown, self.administrator(self.clone).sql(self.WHAT_IS_SET))
        finally:
          administrator.sql('ALTER %s RESET ALL;' % whose)
    self.cycle()

  def test_databases_of_the_server_itself_survive_whatever_they_have(self):
    show = {
      'CREATE SCHEMA apart;': 'SELECT nspname FROM pg_namespace'
                              " WHERE nspname = 'apart';",
      "CREATE FUNCTION one() RETURNS int LANGUAGE SQL AS 'SELECT 1';":
        'SELECT one();',
      "CREATE TYPE tint AS ENUM ('red');": "SELECT 'red'::tint;",
      'CREATE EXTENSION pg_trgm;': "SELECT similarity('a', 'a');",
      'REVOKE CONNECT ON DATABASE %(name)s FROM PUBLIC;':
        "SELECT has_database_privilege('pg_monitor', '%(name)s', 'CONNECT');",
      "COMMENT ON DATABASE %(name)s IS 'Meins';":
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = '%(name)s';"}
    shown = {}
    for name in 'postgres', 'template1':
      client = self.administrator(self.leader, name)
      for make, look in show.items():
        client.sql(make % {'name': name})
        shown[name, look] = client.sql(look % {'name': name})
        self.assertEqual(1, len(shown[name, look]))
    self.cycle()
    for (name, look), rows in shown.items():
      with self.subTest(name=name, look=look):
        client = self.administrator(self.clone, name)
        self.assertEqual(rows, client.sql(look % {'name': name}))
    self.assertEqual(['postgres|f', 'template1|t'], self.administrator(
      self.clone).sql('SELECT datname, datistemplate FROM pg_database'
                      " WHERE datname IN ('postgres', 'template1')"
                      ' ORDER BY datname;'))

  def test_dump_without_the_databases_of_the_server_itself_is_loaded(self):
    content = self.export()
    for name in 'postgres', 'template1':
      shutil.rmtree(content / ('database/database-' + name))
    self.clone.import_(self.leader)
    self.assertEqual(self.numbers(self.leader), self.numbers(self.clone))

  def test_what_is_set_for_all_roles_survives(self):
    administrator = self.administrator(self.leader)
    administrator.sql('''
      ALTER ROLE ALL SET search_path = public, "My, own""s", '';
      ALTER ROLE ALL SET application_name = 'it''s \\ "{x, y}" für';''')
    try:
      shown = administrator.sql(self.WHAT_IS_SET)
      self.cycle()
      self.assertEqual(
        shown, self.administrator(self.clone).sql(self.WHAT_IS_SET))
    finally:
      administrator.sql('ALTER ROLE ALL RESET ALL;')

  def test_unlogged_tables_keep_their_rows(self):
    self.client(self.leader).sql('''
      CREATE UNLOGGED TABLE "Lose Räder" (
        id serial PRIMARY KEY, before int REFERENCES "Lose Räder");
      CREATE UNLOGGED TABLE attached (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        wheel int REFERENCES "Lose Räder");
      CREATE UNLOGGED TABLE bolts (number int REFERENCES attached);
      CREATE UNLOGGED SEQUENCE loose START 5;
      INSERT INTO "Lose Räder" (before) VALUES (1), (1);
      INSERT INTO attached (wheel) VALUES (2);
      INSERT INTO bolts VALUES (1);
      SELECT nextval('loose'), nextval('loose');''')
    self.cycle()
    self.assertEqual(['1|1|1', '2|1|1', '2', '6'], self.client(self.clone).sql(
      '''SELECT w.*, (SELECT count(*) FROM attached JOIN bolts ON number = id)
      FROM "Lose Räder" w; SELECT last_value FROM "Lose Räder_id_seq";
      SELECT last_value FROM loose;'''))

  def test_unlogged_tables_in_a_circle_do_not_hinder_a_load(self):
    self.client(self.leader).sql('''
      CREATE UNLOGGED TABLE hen (id int PRIMARY KEY);
      CREATE UNLOGGED TABLE egg (id int PRIMARY KEY REFERENCES hen);
      ALTER TABLE hen ADD FOREIGN KEY (id) REFERENCES egg;
      CREATE UNLOGGED TABLE flock (id int PRIMARY KEY) PARTITION BY LIST (id);
      CREATE UNLOGGED TABLE chick (id int REFERENCES flock);''')
    self.cycle()
    for name in 'hen', 'egg', 'chick':
      with self.assertRaisesRegex(SqlError, 'unlogged'):
        self.client(self.clone).sql('TABLE %s;' % name)
    self.client(self.leader).sql('DROP TABLE hen, egg, flock, chick;')

  # What is set for databases and for roles.
  WHAT_IS_SET = '''
    SELECT datname, rolname, setconfig FROM pg_db_role_setting
    LEFT JOIN pg_database d ON d.oid = setdatabase
    LEFT JOIN pg_roles r ON r.oid = setrole ORDER BY 1, 2;'''

  def administrator(self, place, database='postgres'):
    """Return the client of the administrator at `place`, whom no setting
    hinders."""
    client = self.client(place).administrator(place.path / 'run')
    client.database = database
    environment = client.environment()
    client.environment = lambda: dict(environment, PGOPTIONS=' '.join((
      '-c statement_timeout=0 -c lock_timeout=0 -c role=none',
      '-c idle_session_timeout=0 -c default_transaction_read_only=off')))
    return client


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'
  SETTING = ('work_mem', '7MB',
             'SHOW max_connections; SELECT setting::bigint * 8192 FROM'
             " pg_settings WHERE name = 'shared_buffers'; SHOW work_mem;")

  def test_server_that_was_killed_when_it_began_to_start_is_started(self):
    self.leader.stop()
    for path in self.locks():
      path.write_bytes(b'')
    self.serve()
    self.wait_until_said('ready, as leader')

  def locks(self):
    """Return the lock files of the leader's server."""
    return (self.leader.content / 'database/postmaster.pid',
            self.leader.path / ('run/.s.PGSQL.%s.lock'
                                % self.leader.published['port']))

  def serve(self):
    """Start the service."""
    self.said = len(self.leader.log())
    self.leader.serve()

  def wait_until_said(self, *words):
    """Wait until the service says `words` since it was started."""
    wait_for(lambda: all(word in self.leader.log()[self.said:]
                         for word in words), self.leader)

  def server(self):
    """Return the process of the leader's server."""
    wait_for(lambda: self.client(self.leader).sql('SELECT 1;'), self.leader)
    # Beside it there may be a psql.
    server, = (process for process in psutil.Process(
      self.leader.service.pid).children() if process.name() == 'postgres')
    return server

  def test_server_whose_number_is_another_programs_now_is_started(self):
    texts = [path.read_text() for path in self.locks()]
    self.leader.stop()
    for path, text in zip(self.locks(), texts):
      path.write_text(text)
    with running(give_number_away(*self.locks())):
      self.serve()
      self.wait_until_said('ready, as leader')

  def test_no_server_starts_beside_what_is_left_of_another(self):
    server, client = self.server(), self.client(self.leader).open()
    with running(client):
      print('SELECT pg_backend_pid();', file=client.stdin, flush=True)
      left = psutil.Process(int(client.stdout.readline()))
      left.suspend()
      self.said = len(self.leader.log())
      with running(give_number_away(*self.locks())):
        server.kill()
        try:
          self.wait_until_said('FATAL', 'still in use')
          self.assertNotIn('ready, as leader', self.leader.log()[self.said:])
        finally:
          left.resume()
        self.wait_until_said('ready, as leader')

  def test_server_that_somebody_started_by_hand_is_left_alone(self):
    command = self.server().cmdline()
    self.leader.stop()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
      try:
        client = self.client(self.leader)
        wait_for(lambda: client.sql('SELECT 1;'), self.clone)
        self.serve()
        self.wait_until_said('FATAL', 'already exists')
        self.assertEqual(['1'], client.sql('SELECT 1;'))
        self.assertIsNone(server.poll())
      finally:
        server.send_signal(signal.SIGINT)
    self.wait_until_said('ready, as leader')


if __name__ == '__main__':
  unittest.main()
