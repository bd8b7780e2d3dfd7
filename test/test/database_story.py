"""The story of a database that is written to all the time: backups, faults, a
takeover, and one back.  Told by ``test_lapp`` and ``test_lamp``."""
import contextlib
import threading

import psutil

from ..databases import SqlError, TOTAL, Writer
from .browser import write_note
from .database_application import ApplicationStory, NOTE
from .node import fetch, wait_until


class DatabaseStory(ApplicationStory):
  """One story; its parts follow each other.

  Must define: SOFTWARE, NAME, CLIENT.
  """

  PUBLISHED = ('url', 'database-url')
  CLIENT = None

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root instance."""
    return {**super().getInstanceParameterDict(),
            'resilient-clone-number': '2', 'database-name': 'shop'}

  # Words

  def client(self, node):
    """Return the client of the application, on the server of `node`."""
    root = self.CLIENT(self.tree.root.parameters['database-url'])
    port = 22005 + 10 * int(node.partition.lstrip('p'))
    return self.CLIENT(root.url._replace(netloc='%s:%s@[%s]:%d' % (
      root.url.username, root.url.password, node.parameters['ip'], port,
    )).geturl())

  @contextlib.contextmanager
  def writing(self):
    """Transfer money on the leader all the time; yields the Writer."""
    writer = Writer(self.client(self.tree.leader))
    try:
      writer.wait_for(20)
      yield writer
    finally:
      writer.stop()

  @staticmethod
  def _processes(node):
    """Return [(process, its command line)] of those that run in `node`."""
    found = []
    for process in node.processes():
      with contextlib.suppress(psutil.NoSuchProcess):
        found.append((process, ' '.join(process.cmdline())))
    return found

  def assert_sound(self, node, least):
    """`node` has no half of a transfer, and all of them up to `least`."""
    total, count, last = self.client(node).ledger()
    self.assertEqual((TOTAL, count), (total, last))
    self.assertGreaterEqual(last, least)

  def back_up(self, writer):
    """Back up while `writer` goes on; check every copy; return the number of
    the last transfer that must be there."""
    least = writer.committed
    self.tree.back_up()
    for clone in self.tree.clones():
      self.assert_sound(clone, least)
    writer.wait_for(1)
    return least

  def take_over(self, number, least):
    """Lose the leader while it is written to; let clone `number` take over."""
    tree = self.tree
    before = tree.root.parameters
    old, winner = tree.leader, tree.clone(number)
    # As of now: a sequence of a server that was killed has made a jump.
    samples = self.client(old).samples()
    with self.writing() as writer:
      writer.wait_for(10)
      old.kill_all()
      wait_until(lambda: not writer.is_alive(), 60, 'end of the writer')
    winner.run('takeover')
    self.converge()
    leader = tree.leader
    self.assertEqual(winner.partition, leader.partition)
    self.assertEqual([], [
      process for process in old.processes() if process.is_running()])
    self.assert_sound(leader, least)
    self.assertEqual(samples, self.client(leader).samples())
    self.assertNotEqual(before['url'], tree.root.parameters['url'])
    self.assertEqual(leader.parameters['url'], tree.root.parameters['url'])
    # What an application knows by heart is as it was.
    for name in ('username', 'password', 'path', 'scheme'):
      self.assertEqual(*(
        getattr(self.CLIENT(parameters['database-url']).url, name)
        for parameters in (before, tree.root.parameters)))

  # The story

  def test_story(self):
    tree = self.tree
    client = self.client(tree.leader)
    client.make_accounts()
    client.make_samples(client.administrator(tree.leader.path / 'var/run'))
    samples = client.samples()
    self.assertGreater(len(samples), 20)

    with self.subTest('each copy is of one moment, while writes go on'), \
        self.writing() as writer:
      for _ in range(3):
        self.back_up(writer)

    with self.subTest('all kinds of things survive'):
      for clone in tree.clones():
        self.assertEqual(samples, self.client(clone).samples())

    with self.subTest('a clone is read-only for everybody'):
      self._nobody_writes(tree.clone(1))

    with self.subTest('the servers listen on their address, and are silent'):
      self._nothing_is_open_or_told()

    with self.subTest('a server that is killed fails the dump alone'):
      self._server_is_killed_during_a_dump()

    with self.subTest('an importer that is killed converges'):
      self._importer_is_killed()

    with self.subTest('an application of the user takes the place of ours'):
      self.own_application()

    self.assertEqual(
      [NOTE], write_note(tree.root.parameters['url'], NOTE))
    with self.subTest('takeover in the middle of writes'):
      with self.writing() as writer:
        least = self.back_up(writer)
      self.take_over(1, least)
      self.read_the_note()
      self.serves_own_application()

    with self.subTest('a second cycle, and takeover back'):
      with self.writing() as writer:
        least = self.back_up(writer)
      self.take_over(2, least)
      self.read_the_note()
    with self.writing() as writer:
      self.back_up(writer)
    wait_until(lambda: not tree.check_promises(), 60, 'green tree',
               tree.diagnosis)

  def _nobody_writes(self, clone):
    client = self.client(clone)
    before = client.ledger()
    for who in (client, client.administrator(clone.path / 'var/run')):
      with self.assertRaises(SqlError):
        who.sql("INSERT INTO transfers VALUES (0, 'lost');")
      with self.assertRaises(SqlError):
        who.sql('SET SESSION TRANSACTION READ WRITE;'
                " INSERT INTO transfers VALUES (0, 'lost');")
    self.assertEqual(before, client.ledger())
    status, page = fetch(clone.parameters['url'])
    self.assertEqual(200, status)
    self.assertIn('This is a clone', page)
    self.assertEqual(403, fetch(clone.parameters['url'], 'POST', 'text=x')[0])

  def _nothing_is_open_or_told(self):
    password = self.client(self.tree.leader).url.password
    for node in (self.tree.leader, *self.tree.clones()):
      first = 22000 + 10 * int(node.partition.lstrip('p'))
      found = set()
      for process, command in self._processes(node):
        self.assertNotIn(password, command)
        with contextlib.suppress(psutil.NoSuchProcess):
          found |= {
            (connection.laddr.ip, connection.laddr.port - first)
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN}
      self.assertLessEqual({('::1', 5), ('::1', 6)}, found)
      self.assertLessEqual(
        found, {('::1', offset) for offset in (0, 1, 2, 5, 6)})
      for log in [*node.path.glob('var/log/*.log'), *node.path.glob('.*.log')]:
        self.assertNotIn(password, log.read_text(errors='replace'))
    for path in (self.tree.leader.path / 'srv').rglob('credentials.json'):
      self.assertEqual(0o600, path.stat().st_mode & 0o777)

  def _server_is_killed_during_a_dump(self):
    leader, client = self.tree.leader, self.client(self.tree.leader)
    held = leader.state()['generation']
    said = []
    with client.open() as locker:
      locker.stdin.write(client.LOCK + "SELECT 'locked';\n")
      locker.stdin.flush()
      self.assertEqual('locked\n', locker.stdout.readline())
      export = threading.Thread(
        target=lambda: said.append(leader.run('exporter', status=1)))
      export.start()
      partial = leader.path / 'srv/backup' / (self.NAME + '.partial')
      wait_until((partial / 'database/roles.sql').exists, 60,
                 'dump that is half-way', self.tree.diagnosis)
      for process in leader.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
          if process.name() in ('postgres', 'mariadbd'):
            process.kill()
      export.join()
      locker.kill()
    self.assertIn('is still there', said[0])
    self.assertEqual(held, leader.state()['generation'])
    self.assertIn('export', leader.problems())
    # The service starts it again, and no transaction is lost.
    wait_until(lambda: self._answers(client), 60, 'server', self.tree.diagnosis)
    with self.writing() as writer:
      self.back_up(writer)
    self.assertEqual({}, leader.problems())

  @staticmethod
  def _answers(client):
    try:
      return client.ledger()
    except SqlError:
      return None

  def _importer_is_killed(self):
    clone = self.tree.clone(1)
    before = self.client(clone).ledger()
    with self.writing() as writer:
      writer.wait_for(10)
    label = self.tree.export()

    def kill_half_way():
      # With its own server on the second data directory.
      found = [process for process, command in self._processes(clone)
               if ' import ' in command]
      if len(list((clone.path / 'srv/database').glob('*/database'))) < 2:
        return False
      for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
          process.kill()
      return found

    wait_until(kill_half_way, 60, 'importer that can be killed',
               self.tree.diagnosis)
    # The clone still answers from what it had.
    self.assertEqual(before, self.client(clone).ledger())
    self.tree.wait_for_clones(label, seconds=120)
    self.assert_sound(clone, writer.committed)
    wait_until(lambda: not clone.problems(), 60, 'clone without a problem',
               self.tree.diagnosis)
