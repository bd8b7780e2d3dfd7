"""The import: only what is verified, and again until it succeeds."""
import os
import pathlib
import shutil

from resilient import clone, importer
from resilient.durable import is_locked, lock

from .support import (
  killed_before,
  same_mtime,
  sealed,
  wait_until,
  write_tree,
)
from .test_clone import CloneCase


class TestImport(CloneCase):
  """Task ``import``."""

  def message(self):
    """Return what the last run says of itself."""
    return self.configuration.store.last_run('import').message

  def test_the_service_gets_the_newest_copy(self):
    self.load(1)
    self.load(2)
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 2')
    self.assertEqual(self.label(clone.imported), '1.2')

  def test_with_nothing_new_the_importer_does_not_run(self):
    self.load(1)
    self.clone.program('data-importer', 'exit 1')
    self.assertTrue(importer.task(self.configuration))

  def test_a_failure_is_told_and_retried(self):
    self.load(1)
    good = self.clone.read('bin/data-importer')
    self.clone.program('data-importer', 'echo no space; exit 4')
    self.stage(2)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn('status 4: no space', self.message())
    self.assertEqual(self.label(clone.imported), '1.1')
    self.clone.program('data-importer', good)
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.label(clone.imported), '1.2')

  def test_what_its_owner_runs_before_the_importer_comes_first(self):
    self.clone.configure(**{'post-notification-run': self.clone.program(
      'look-first', 'cd "%s" && test ! -e srv/live/marker && '
      'cp srv/backup/data/marker seen' % self.clone.path)})
    self.configuration = self.clone.configuration
    self.load(1)
    self.assertEqual(self.clone.read('seen'), 'of 1')
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')

  def test_if_that_fails_nothing_is_loaded(self):
    self.load(1)
    self.clone.configure(**{'post-notification-run': self.clone.program(
      'look-first', 'echo I do not like it; exit 3')})
    self.configuration = self.clone.configuration
    self.stage(2)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn('status 3: I do not like it', self.message())
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')
    self.assertEqual(self.label(clone.imported), '1.1')

  def test_a_hanging_importer_is_ended(self):
    self.clone.configure(**{'import-deadline': 1})
    self.configuration = self.clone.configuration
    self.clone.program('data-importer', 'exec sleep 600')
    self.stage(1)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn('did not end within 1 s', self.message())

  def test_a_missing_importer_is_told(self):
    os.unlink(self.clone.at('bin/data-importer'))
    self.stage(1)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn('cannot be started', self.message())

  def test_the_payloads_own_list_is_checked_before_the_import(self):
    self.arrive(1)
    with clone.receiving(self.configuration):
      write_tree(self.staging, {
        'backup.signature': '%s  ./marker\n' % ('0' * 64)})
      identity = sealed(self.staging, {}, sequence=1)
    clone.accept(self.configuration, identity)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn('does not match backup.signature', self.message())
    self.assertFalse(os.path.exists(self.clone.at('srv/live/marker')))

  def test_two_imports_do_not_run_at_once(self):
    self.stage(1)
    with lock(self.configuration.state('import.lock')):
      self.assertFalse(importer.task(self.configuration))

  def test_an_import_that_runs_is_shown(self):
    self.clone.program('data-importer', 'while ! [ -e %s ]; do sleep 0.05; '
                       'done' % self.path('go'))
    self.stage(1)
    with self.thread(lambda: importer.task(self.configuration)):
      wait_until(lambda: clone.status(self.configuration)['importing'],
                 'the import is shown')
      pathlib.Path(self.path('go')).touch()
    self.assertFalse(is_locked(self.configuration.state('import.lock')))

  def test_once_a_takeover_has_begun_nothing_is_imported(self):
    self.load(1)
    for name in (self.configuration.takeover_triggered,
                 self.configuration.state('takeover.json')):
      with self.subTest(name):
        self.stage(clone.newest(self.configuration).sequence + 1)
        pathlib.Path(name).write_text('{"done": []}', encoding='ascii')
        self.assertTrue(importer.task(self.configuration))
        self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')
        self.assertEqual(self.label(clone.imported), '1.1')
        os.unlink(name)


class TestDamaged(CloneCase):
  """A copy that is damaged after it was verified, and before it is loaded."""

  def damage(self, sequence):
    """Let generation `sequence` be the current copy, with a byte that is
    flipped; return the Generation."""
    identity = self.stage(sequence)
    clone.swap(self.configuration)
    shutil.copytree(self.clone.dump, self.path('good'))
    same_mtime(os.path.join(self.clone.dump, 'marker'), b'oF %d' % sequence)
    return identity

  def push(self, identity):
    """Let a PBS bring it, if the clone says that it has something older."""
    if clone.newest(self.configuration) != identity:
      with clone.receiving(self.configuration):
        shutil.rmtree(self.staging, ignore_errors=True)
        shutil.copytree(self.path('good'), self.staging)
      clone.accept(self.configuration, identity)

  def test_it_is_not_loaded_and_the_last_one_is_current_again(self):
    self.load(1)
    identity = self.damage(2)
    self.assertFalse(importer.task(self.configuration))
    self.assertIn(
      'the current copy: generation 1.2 does not match its manifest in 1'
      ' entries: marker: has another sha256',
      self.configuration.store.last_run('import').message)
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')
    self.assertEqual(self.complete(self.clone.dump), '1.1')
    self.assertEqual(self.label(clone.verified), '1.1')
    # The next push has to send this file alone.
    self.assertEqual(
      sorted(os.listdir(self.staging)), ['.resilient', 'folder'])
    self.push(identity)
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 2')
    self.assertEqual(self.complete(self.clone.dump), '1.2')

  def test_with_no_other_copy_nothing_is_loaded(self):
    identity = self.damage(1)
    self.assertFalse(importer.task(self.configuration))
    self.assertFalse(os.path.exists(self.clone.at('srv/live/marker')))
    self.assertIsNone(clone.newest(self.configuration))
    # And again: it is not forgotten, and nothing happens.
    self.assertTrue(importer.task(self.configuration))
    self.push(identity)
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')

  def test_what_was_verified_meanwhile_takes_its_place(self):
    self.load(1)
    identity = self.damage(2)
    self.stage(3)
    with self.assertRaises(clone.Unverified):
      clone.verify_current(self.configuration, identity)
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 3')

  def test_a_copy_that_is_gone_is_sent_again(self):
    self.load(1)
    identity = self.damage(2)
    shutil.rmtree(self.clone.dump)
    self.assertFalse(importer.task(self.configuration))
    self.assertEqual(self.complete(self.clone.dump), '1.1')
    self.push(identity)
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 2')

  def kill_anywhere(self, identity, *kept):
    """Kill the import at each moment; a copy of `kept` is whole all the time,
    and `identity` is loaded in the end."""
    self.save()
    for number in range(1, 200):
      self.go_back()
      died = killed_before(number, lambda: importer.task(self.configuration))
      self.assertLessEqual(
        set(kept), set(map(self.complete, (self.clone.dump, self.previous))),
        number)
      for _ in range(2):
        importer.task(self.configuration)
        self.push(identity)
      self.assertTrue(importer.task(self.configuration), number)
      self.assertEqual(
        self.label(clone.imported), identity.label, number)
      self.assertEqual(
        self.clone.read('srv/live/marker'), 'of %d' % identity.sequence)
      self.assertEqual(self.complete(self.clone.dump), identity.label, number)
      if not died:
        self.assertGreater(number, 10)
        return
    self.fail('it never completes')

  def test_killed_at_any_moment_it_is_mended_and_loaded(self):
    self.load(1)
    self.kill_anywhere(self.damage(2), '1.1')

  def test_killed_at_any_moment_with_no_other_copy(self):
    self.kill_anywhere(self.damage(1))
