"""Whatever is in parameters and in the queue's database: a clear refusal, and
nothing changes."""
import contextlib
import json
import pathlib
import sqlite3

from hypothesis import given, settings, strategies

from resilient import configuration, feed, status
from resilient.configuration import Configuration, InvalidConfiguration

from .anything import ANY, FAST
from .support import TestCase

_SHARED = strategies.fixed_dictionaries({}, optional={
  'type': strategies.sampled_from(('pull', 'push')) | ANY,
  'name': strategies.sampled_from(('data', '../x', '.', '-x', 'a b')) | ANY,
  'url': strategies.from_regex(
    r'ssh://[^\n]{0,20}@\[[0-9a-f:]{0,20}\]:[0-9]{0,6}/[^\n]{0,20}',
    fullmatch=True) | ANY,
  'server-key': strategies.sampled_from(
    ('ssh-ed25519 AAAA', 'ssh-ed25519 AAAA\nHost *', '-oProxyCommand=x'))
  | ANY,
  'remove-backup-older-than': strategies.sampled_from(
    ('2W', '1M15D', '3B', '-1', '2W --force')) | ANY,
  'slave_reference': ANY, 'title': ANY})


class TestParameters(TestCase):
  """etc/resilient.json and the shared instances in it."""

  def test_shared_instances(self):
    pbs = self.partition('pull-backup')

    @settings(max_examples=400, **FAST)
    @given(strategies.lists(_SHARED, max_size=4))
    def read(shared):
      values = dict(pbs.options, **{'shared-instances': shared})
      peers, wrong = Configuration(values).peers()
      for sentence in wrong:
        self.assertNotIn('\n', sentence)
      for peer in peers:
        # What becomes a path, or a line of ssh's configuration.
        for text in peer:
          self.assertNotIn('\n', str(text))
        self.assertNotIn('/', peer.name)
        self.assertNotIn(peer.name[0], '.-')
        self.assertTrue(0 <= peer.port < 10**5)

    read()

  def test_values(self):
    for role in ('export', 'import', 'pull-backup'):
      options = self.partition(role).options
      keys = strategies.sampled_from(sorted(options))

      @settings(max_examples=300, **FAST)
      @given(strategies.dictionaries(keys, ANY, min_size=1, max_size=3))
      def read(changed):
        with contextlib.suppress(InvalidConfiguration):
          Configuration({**options, **changed})

      read()

  def test_the_file(self):
    partition = self.partition('import')
    path = pathlib.Path(self.path('resilient.json'))
    good = json.dumps(partition.options).encode()

    @settings(max_examples=400, **FAST)
    @given(strategies.binary(max_size=100) | strategies.tuples(
      strategies.integers(0, len(good)), strategies.binary(max_size=3)).map(
        lambda cut: good[:cut[0]] + cut[1] + good[cut[0] + 1:])
      | ANY.map(lambda value: json.dumps(value).encode()))
    def read(data):
      path.write_bytes(data)
      with contextlib.suppress(InvalidConfiguration):
        configuration.load(str(path))

    read()


class TestQueue(TestCase):
  """queue.sqlite, after somebody or something wrote into it."""

  values = (strategies.none() | strategies.integers(-2**62, 2**62)
            | strategies.floats() | strategies.text(
              strategies.characters(codec='utf-8'), max_size=10)
            | strategies.binary(max_size=10))

  def use(self, partition, name='import'):
    """Do what the services do with the queue."""
    store = partition.configuration.store
    feed.atom('http://x', 'y', store.runs(name), 1e9, name)
    status.status(partition.configuration)
    store.request(name)
    self.assertIn(name, store.pending())
    for task, requested in store.pending().items():
      store.complete(task, requested)
    self.assertNotIn(name, store.pending())
    store.record(name, 1.0, 1.0, True, '', 'good')
    self.assertEqual(store.last_run(name).message, 'good')

  def test_rows(self):
    partition = self.partition('import')
    path = partition.configuration.state('queue.sqlite')

    @settings(max_examples=100, **FAST)
    @given(strategies.lists(strategies.tuples(*[self.values] * 5), max_size=3),
           self.values, self.values)
    def damage(runs, requested, completed):
      with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('DELETE FROM run')
        connection.execute('DELETE FROM task')
        for row in runs:
          connection.execute(
            'INSERT OR IGNORE INTO run (task, started, duration, success,'
            " generation, message) VALUES ('import', ?, ?, ?, ?, ?)", row)
        connection.execute('INSERT OR IGNORE INTO task VALUES (?, ?, ?)', (
          'import', requested, completed))
      self.use(partition)

    damage()

  def test_bytes(self):
    partition = self.partition('import')
    path = pathlib.Path(partition.configuration.state('queue.sqlite'))
    self.use(partition)
    good = path.read_bytes()

    @settings(max_examples=100, **FAST)
    @given(strategies.binary(min_size=1, max_size=200),
           strategies.integers(0, len(good)))
    def damage(data, position):
      path.write_bytes(good[:position] + data + good[position + len(data):])
      store = partition.configuration.store
      # A service may fail once; the next time there is a database.
      for last in (False, True):
        try:
          store.create()
          self.use(partition)
          break
        except (sqlite3.Error, UnicodeError):
          if last:
            raise

    damage()
