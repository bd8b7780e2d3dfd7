"""The import: only what is verified, and again until it succeeds."""
import os
import pathlib

from resilient import clone, importer
from resilient.durable import is_locked, lock

from .support import sealed, wait_until, write_tree
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
        pathlib.Path(name).write_text('{}', encoding='ascii')
        self.assertTrue(importer.task(self.configuration))
        self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')
        self.assertEqual(self.label(clone.imported), '1.1')
        os.unlink(name)
