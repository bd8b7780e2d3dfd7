"""Claims about lapp and lamp, on real servers: see database_support.py."""
import contextlib
import json
import os
import pathlib
import re
import stat
import subprocess
import time

import psutil

from ..databases import SqlError
from .database_support import DEADLINE, limit_files, Place, wait_for


class TransferClaims:
  """Export and import."""

  def setUp(self):
    super().setUp()
    if not (self.leader.path / 'dump/content').exists():
      self.cycle()
    self.before = self.numbers(self.clone)
    # What the clone is still to hear of.
    self.transfer(int((self.numbers(self.leader) or [0])[-1]) + 1)

  def _import(self, **options):
    return self.clone.run(
      'import', '--dump', self.leader.path / 'dump', **options)

  def assert_as_before(self):
    """The clone holds what it held, and nothing lies about."""
    self.assertEqual(self.before, self.numbers(self.clone))
    self.assertEqual(
      {'current', 'serve.lock', self.clone.content.name},
      set(os.listdir(self.clone.path / 'srv')))

  def test_all_kinds_of_things_survive(self):
    client = self.client(self.leader)
    client.make_samples(client.administrator(self.leader.path / 'run'))
    samples = client.samples()
    self.assertGreater(len(samples), 20)
    self.cycle()
    self.assertEqual(samples, self.client(self.clone).samples())

  def test_nobody_writes_to_a_clone(self):
    client = self.client(self.clone)
    for who in (client, client.administrator(self.clone.path / 'run')):
      with self.assertRaises(SqlError):
        who.sql("INSERT INTO transfers VALUES (0, 'lost');")
      with self.assertRaises(SqlError):
        who.sql('DROP TABLE transfers;')
    self.assert_as_before()

  def test_what_did_not_change_is_the_same_file(self):
    def files(content):
      return {str(path.relative_to(content)): (
        path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in content.rglob('*') if path.is_file()}

    client = self.client(self.leader)
    client.sql('CREATE TABLE quiet%d AS SELECT * FROM savings;'
               % time.monotonic_ns())
    first = files(self.export())
    self.client(self.leader).sql('UPDATE checking SET balance = balance + 1;')
    time.sleep(1.1)
    second = files(self.export())
    self.assertEqual(first.keys(), second.keys())
    same = [name for name in first if first[name] == second[name]]
    for name in ('credentials.json', 'settings.conf', 'release.json',
                 'documents/index.php'):
      self.assertIn(name, same)
    for name in same:
      self.assertEqual(first[name], second[name])
    self.assertLess(len(same), len(first))

  def test_files_are_for_the_owner_alone(self):
    for place in (self.leader.path / 'dump', self.clone.path / 'srv'):
      for folder, names, files in os.walk(place):
        for name in names + files:
          path = pathlib.Path(folder, name)
          # A server removes its temporary files at any moment.
          with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not (stat.S_ISLNK(mode) or stat.S_ISSOCK(mode)):
              self.assertEqual(0, mode & 0o077, path)

  def test_another_version_is_refused_before_anything_is_touched(self):
    release = self.export() / 'release.json'
    good = release.read_text()
    release.write_text(json.dumps(dict(json.loads(good), version='9.4')))
    content = self.clone.content
    self.assert_refused(self._import(), '9.4', 'same version')
    release.unlink()
    self.assert_refused(self._import(), 'release.json')
    self.assertEqual(content, self.clone.content)
    self.assert_as_before()
    release.write_text(good)

  def test_damaged_dump_leaves_what_was_there(self):
    content = self.export()
    largest = max((path for path in (content / 'database').rglob('*')
                   if path.is_file()), key=lambda path: path.stat().st_size)
    data = largest.read_bytes()
    largest.write_bytes(
      data[:len(data) // 2] + b"\nnonsense';(\n" + data[len(data) // 2:])
    self.assert_refused(self._import())
    self.assert_as_before()
    largest.unlink()

  def test_full_disk_leaves_what_was_there(self):
    self.export()
    self.assert_refused(self._import(preexec_fn=limit_files))
    self.assert_as_before()

  def test_full_disk_of_the_leader_leaves_the_old_dump(self):
    self.client(self.leader).sql(
      "INSERT INTO transfers SELECT 1000000 + a.id * 100 + b.id, '%s'"
      ' FROM savings a, savings b;' % ('x' * 300))
    content = self.leader.path / 'dump/content'
    before = {path: path.read_bytes() for path in content.rglob('*')
              if path.is_file()}
    self.assert_refused(self.leader.run(
      'export', '--dump', self.leader.path / 'dump', preexec_fn=limit_files))
    self.assertEqual(before, {
      path: path.read_bytes() for path in content.rglob('*')
      if path.is_file()})
    self.assertEqual(['content'], os.listdir(self.leader.path / 'dump'))
    self.client(self.leader).sql('DELETE FROM transfers WHERE number > 999999;')

  def test_importer_that_is_killed_converges(self):
    self.export()
    whole = self.numbers(self.leader)
    for delay in (0.5, 1.5, 2.5):
      with self.clone.start(
          'import', '--dump', self.leader.path / 'dump') as process:
        try:
          process.wait(delay)
        except subprocess.TimeoutExpired:
          process.kill()
      with self.subTest(delay):
        wait_for(lambda: self.numbers(self.clone) in (self.before, whole),
                 self.clone)
    self.cycle()
    self.assertEqual(whole, self.numbers(self.clone))
    self.assertEqual(1, len(list(
      (self.clone.path / 'srv').glob('*/database'))) - 1)

  def test_clone_that_takes_over_takes_writes_with_the_same_credentials(self):
    self.clone.stop()
    published = self.clone.prepare(role='leader', **{'database-name': 'shop'})
    for key in ('user', 'password', 'database'):
      self.assertEqual(self.leader.published[key], published[key])
    self.clone.serve()
    client = self.client(self.clone)
    wait_for(lambda: client.sql(
      "INSERT INTO transfers VALUES (999999, 'here');") == [], self.clone)
    self.assertIn('999999', self.numbers(self.clone))
    self.clone.stop()
    self.clone.prepare(role='clone')
    self.clone.serve()
    wait_for(lambda: self.numbers(self.clone), self.clone)


class ParameterClaims:
  """What a user may ask for."""

  # A setting of the server: its name, a value, how to see it.
  SETTING = None

  def test_parameters_reach_the_server(self):
    name, value, show = self.SETTING
    self.leader.stop()
    self.leader.prepare(**{
      'database-connections': '33', 'database-memory': 64,
      'database-settings': {name: value}})
    self.leader.serve()
    wait_for(lambda: self.client(self.leader).sql(show)
             == ['33', str(64 << 20), value], self.leader)

  def test_wrong_ones_are_refused_by_name(self):
    before = (self.leader.content / 'settings.conf').read_bytes()
    for name, value, allowed in (
        ('database-name', "x'; DROP", 'small letters'),
        ('database-name', 'x' * 40, 'at most 31'),
        ('database-port', '80', 'from 1024 to 65535'),
        ('database-port', 'ssh', 'from 1024'),
        ('database-memory', '0', 'from 16'),
        ('database-memory', '1.5', 'from 16'),
        ('database-connections', '-1', 'from 10'),
        ('database-settings', '[]', 'an object'),
        ('database-settings', {'a\nb': '1'}, 'an object'),
        ('database-settings', {'a': 'b\nc'}, 'an object'),
        ('database-settings', {'port': '1'}, 'leave it out'),
        ('database-settings', {'no_such_setting': '1'}, 'no_such_setting'),
        ('database-nmae', 'shop', 'not known'),
        ('document-root-url', 'file:///etc/passwd', 'http or https'),
        ('document-root-sha256', 'abc', '64 hexadecimal'),
        ('document-root-sha256', 'a' * 64, 'together')):
      with self.subTest(name=name, value=value):
        self.assert_refused(self.leader.run('prepare', text=json.dumps(
          {**self.leader.values, name: value})), name, allowed)
    self.assertEqual(
      before, (self.leader.content / 'settings.conf').read_bytes())

  def test_long_path_of_a_socket_is_said(self):
    deep = Place(self.NAME, 'leader', self.leader.path / ('x' * 100))
    deep.prepare()
    deep.serve()
    self.addCleanup(deep.stop)
    wait_for(lambda: 'shorter path' in deep.log(), deep)

  def kill_server(self):
    """Kill what the leader's service runs; return whether it ran any."""
    found = psutil.Process(self.leader.service.pid).children()
    for process in found:
      with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(DEADLINE)
    return bool(found)

  def log_behind(self, pattern, since):
    """Wait until the leader's log has `pattern` behind position `since`; return
    where it goes on."""
    def find():
      return re.compile(pattern).search(self.leader.log(), since)
    wait_for(find, self.leader)
    return find().end()

  def test_server_that_is_killed_is_started_again(self):
    self.client(self.leader).sql("INSERT INTO transfers VALUES (5555, 'kept');")
    said = len(self.leader.log())
    # Then, as soon as it is back, while it starts or is looked after.
    for moment in ('', 'serves', 'ready (to accept|for connections)'):
      said = self.log_behind(moment, said)
      wait_for(self.kill_server, self.leader)
      # Before the next one is started.
      said = self.log_behind('ERROR +database.server', said)
    self.log_behind('ready, as leader', said)
    self.assertIn('5555', self.numbers(self.leader))
    self.client(self.leader).sql('DELETE FROM transfers WHERE number = 5555;')

  def test_whatever_hinders_the_service_does_not_end_it(self):
    self.leader.stop()
    path = self.leader.content / 'credentials.json'
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    said = len(self.leader.log())
    try:
      self.leader.serve()
      wait_for(lambda: 'ERROR' in self.leader.log()[said:], self.leader)
    finally:
      path.write_bytes(whole)
    wait_for(lambda: 'ready, as leader' in self.leader.log()[said:],
             self.leader)
