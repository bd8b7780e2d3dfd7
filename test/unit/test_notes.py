"""Damaged notes of what can be found out again: they count as absent."""
import json
import pathlib
import subprocess
import time
import unittest.mock

from resilient import beginning, heartbeat, history, progress
from resilient.authentication import Hints
from resilient.durable import lock, read_json, read_note, write_json
from resilient.status import problems, status

from .archive_case import ArchiveCase
from .partition import ROOT
from .support import generation, TestCase, wait_until

_DAMAGES = (
  b'', b'{"half":', b'\xff\xfe', b'\0' * 9, b'[]', b'{}', b'null', b'7',
  b'"text"', b'[7]', b'{"at": "then"}', b'{"at": NaN}',
  b'{"generation": 7, "verified": [], "siblings": [], "failures": 7}',
  b'{"refused": {"adopt-data": 7}, "1": {}}')


class DamageCase(TestCase):
  """State files that are damaged."""

  def damage(self, configuration, names, look):
    """Damage the state files `names`, one at a time and in each way, and call
    look(path of the file)."""
    for name in names:
      path = pathlib.Path(configuration.state(name))
      good = path.read_bytes() if path.exists() else None
      for damage in _DAMAGES:
        with self.subTest(name, damage=damage):
          path.write_bytes(damage)
          look(path)
      if good is None:
        path.unlink(missing_ok=True)
      else:
        path.write_bytes(good)


class TestNote(TestCase):
  """durable.read_note"""

  def test_what_is_damaged_is_absent_and_in_the_log(self):
    path = pathlib.Path(self.path('note.json'))

    def read():
      return read_note(path, lambda note: note['at'], 5)

    self.assertEqual(read(), 5)
    for damage in (b'{"half', b'[]', b'{}', b'7', b'null'):
      path.write_bytes(damage)
      with self.assertLogs('resilient.durable') as logs:
        self.assertEqual(read(), 5)
      self.assertIn('note.json is damaged, and counts as absent',
                    logs.output[0])
    path.write_bytes(b'{"at": 7}')
    self.assertEqual(read(), 7)


class TestStatus(DamageCase):
  """What is shown of a partition, and alarmed."""

  def assertFine(self, role, names, **options):
    """Without the state files `names` a partition has no problem, and neither
    has it if they are damaged."""
    configuration = self.partition(role, patience=3600, **options).configuration

    def look(_):
      self.assertEqual(problems(configuration), [])
      json.dumps(status(configuration), allow_nan=False)

    self.damage(configuration, names, look)

  def test_a_pbs(self):
    shared = {'name': 'data', 'url': 'ssh://user@[::1]:1/x',
              'server-key': 'ssh-ed25519 AAAA'}
    self.assertFine('pull-backup', (
      'deployed.json', 'history-data.json', 'source-data.json',
      'destination-data.json', 'progress-pull-data.json',
      'progress-push-data.json'), **{'shared-instances': [
        dict(shared, type='pull'), dict(shared, type='push')]})

  def test_a_leader(self):
    self.assertFine('export', ('deployed.json', 'notified.json'))

  def test_a_clone(self):
    self.assertFine('import', ('deployed.json', 'former-pbs.json'))

  def test_an_export_is_marked_whatever_is_in_the_mark(self):
    configuration = self.partition('export').configuration

    def look(_):
      problem, = problems(configuration)
      self.assertIn('an export was interrupted', problem.text)
      with lock(configuration.state('dump.lock')):
        self.assertEqual(problems(configuration), [])

    self.damage(configuration, ['exporting'], look)

  def test_a_transfer_that_runs(self):
    configuration = self.partition('pull-backup').configuration
    good = {'bytes': 1, 'seconds': 2, 'size': None}

    def look(path):
      self.assertIsNone(progress.current(configuration, 'pull-data'))
      write_json(path, good)
      self.assertEqual(progress.current(configuration, 'pull-data'), good)

    self.damage(configuration, ['progress-pull-data.json'], look)

  def test_a_sign_of_life(self):
    configuration = self.partition('import').configuration

    def look(_):
      self.assertIn('has never started',
                    heartbeat.problem(configuration, 'equeue', 60))
      heartbeat.beat(configuration, 'equeue')
      self.assertEqual(heartbeat.problem(configuration, 'equeue', 60), '')

    self.damage(configuration, ['equeue.heartbeat'], look)

  def test_hints_that_were_heard(self):
    configuration = self.partition('import').configuration
    body = json.dumps({'generation': generation(3).to_json()})

    def look(path):
      heard = []
      Hints(str(path)).accept('a', body, lambda: heard.append(1))
      self.assertEqual(heard, [1])
      self.assertEqual(read_json(path), [['a', 1, 3]])

    self.damage(configuration, ['hints.json'], look)


class TestQueue(TestCase):
  """``resilient equeue``"""

  def test_it_notes_again_when_the_partition_was_deployed(self):
    place = self.partition('import')
    path = pathlib.Path(place.configuration.state('deployed.json'))

    def deployed():
      return read_note(path, lambda note: note['at'])

    for damage in (b'', b'{}'):
      with self.subTest(damage=damage):
        path.write_bytes(damage)
        process = self.start(place.command('equeue'), cwd=ROOT,
                             stderr=subprocess.DEVNULL)
        wait_until(deployed, 'it is noted when it starts')
        self.assertLess(abs(deployed() - time.time()), 60)
        path.write_bytes(damage)
        wait_until(deployed, 'it is noted while it runs')
        process.kill()
        process.wait()


class TestArchive(ArchiveCase, DamageCase):
  """An archive with a history."""

  def test_a_pull_notes_the_beginning_of_the_history_again(self):
    configuration = self.pbs.configuration

    def look(_):
      self.assertTrue(self.run_task('pull'), self.message())
      with self.assertNoLogs('resilient.durable'):
        beginning.record(configuration, 'data')

    self.damage(configuration, ['history-data.json'], look)

  def test_a_copy_that_is_to_be_adopted_is_verified_again(self):
    archive = self.archive
    held = {when: generation(number) for number, when in enumerate(
      archive.repository.times(), 1)}

    def look(path):
      damage = path.read_bytes()
      self.assertEqual(history.verified(
        archive, archive.repository, lambda _: None), sorted(held.items()))
      path.write_bytes(damage)
      history.forget(archive, {item.digest for item in held.values()})
      self.assertEqual(read_json(path), {})

    with unittest.mock.patch.object(
        history, '_verify', lambda _, repository, when: held[when]):
      self.damage(archive.configuration, ['adopting-data.json'], look)
