"""``bin/restore`` and the drill."""
import contextlib
import io
import json
import os
import pathlib
import unittest
import unittest.mock

from resilient import command, restore
from resilient.durable import LockTimeout
from resilient.feed import atom
from resilient.status import problems, status
from resilient.tasks import tasks

from .archive_case import ArchiveCase, flip


class TestRestore(ArchiveCase):
  """An archive of three generations."""

  def restored(self, *arguments, name='data', configuration=None):
    """Run ``bin/restore``; return (exit status, what it prints)."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), \
         contextlib.redirect_stderr(output):
      code = command.main([
        'restore', '--configuration',
        configuration or self.pbs.at('etc/resilient.json'),
        '--log', self.path('log'), name, *arguments])
    return code, output.getvalue()

  def to(self, name, label):
    """Restore generation `label` to folder `name`."""
    return self.restored('--generation', label, '--to', self.path(name))

  def test_each_generation_restores_to_its_own_manifest(self):
    code, text = self.restored()
    self.assertEqual(code, 0)
    self.assertEqual([line.split()[0] for line in text.splitlines()],
                     ['1.1', '1.2', '1.3'])
    for label, marker in (('1.1', 'one'), ('1.2', 'two'), ('1.3', 'three')):
      code, text = self.to(label, label)
      self.assertEqual(code, 0, text)
      self.assertIn('is restored and verified', text)
      self.assertSame(self.path(label), {'marker': marker})
    code, text = self.to('x', '7.7')
    self.assertEqual(code, 1)
    self.assertIn('has no generation 7.7', text)

  def test_an_archive_that_there_is_not_is_not_an_empty_one(self):
    code, text = self.restored(name='dta')
    self.assertEqual(code, 1)
    self.assertIn('there is no archive dta: data', text)

  @unittest.skipUnless(os.geteuid(), 'root owns the file')
  def test_who_does_not_own_the_partition_is_told_who_does(self):
    code, text = self.restored(configuration='/etc/passwd')
    self.assertEqual(code, 1)
    self.assertIn('runuser -u root --', text)
    self.assertFalse(os.path.exists(self.path('log')))

  def test_the_list_for_programs_says_what_is_known_of_each(self):
    self.archive.note(self.archive.index()[0][1], 'marker: is missing')
    code, text = self.restored('--json')
    self.assertEqual(code, 0)
    first, second, _ = json.loads(text)
    self.assertEqual(first['generation'], '1.1')
    self.assertEqual(first['problem'], 'marker: is missing')
    self.assertEqual(second['problem'], '')
    self.assertGreater(second['verified'], second['sealed'])
    self.assertIn('marker: is missing', self.restored()[1])

  def test_a_damaged_increment_is_not_handed_out_as_good(self):
    flip(self.increment('marker'), -1)
    code, text = self.to('x', '1.1')
    self.assertEqual(code, 1)
    self.assertIn('was not restored', text)
    # Nothing is left that could be taken for a restored generation.
    self.assertEqual([name for name in os.listdir(self.directory)
                      if name.startswith('x')], [])
    # What a killed restore left does not stop the next.
    os.mkdir(self.path('y.restoring'))
    self.assertEqual(self.to('y', '1.2')[0], 0)

  def test_a_folder_that_is_there_is_not_touched(self):
    os.mkdir(self.path('x'))
    code, text = self.to('x', '1.1')
    self.assertEqual((code, os.listdir(self.path('x'))), (1, []))
    self.assertIn('is there already', text)

  def test_nothing_is_added_to_an_archive(self):
    os.symlink(self.archive.path, self.path('link'))
    for target in (self.in_archive('x'), self.path('link', 'x')):
      code, text = self.restored('--generation', '1.1', '--to', target)
      self.assertEqual(code, 1)
      self.assertIn('is in archive data', text)
    self.assertSame(self.archive.path, {'marker': 'three'})

  def test_a_drill_is_recorded_and_shown(self):
    code, text = self.restored('--drill')
    self.assertEqual(code, 0)
    self.assertRegex(text, r'generation 1\.\d: restored and verified \d+ bytes')
    drill = status(self.pbs.configuration)['archives']['data']['drill']
    self.assertRegex(drill['message'], r'verified \d+ bytes in \d+\.\d s')
    self.assertEqual(os.listdir(self.pbs.at('srv/backup/pbs')).count(
      '.drill-data'), 0)
    self.assertIn(b'restored and verified', atom(
      'http://[::1]/', 'pbs', self.pbs.configuration.store.runs('drill-data'),
      0, 'drill-data'))

  def test_a_drill_that_fails_is_a_problem_until_the_next_succeeds(self):
    whole = os.path.join(self.archive.path, 'marker')
    flip(whole)
    with unittest.mock.patch('random.choice', lambda found: found[-1]):
      self.assertEqual(self.restored('--drill')[0], 1)
    problem, = problems(self.pbs.configuration)
    self.assertEqual(problem.topic, 'drill')
    self.assertIn('drill-data failed', problem.text)
    flip(whole)
    self.assertTrue(tasks(self.pbs.configuration)['drill-data'].run())
    self.assertEqual(problems(self.pbs.configuration), [])

  @contextlib.contextmanager
  def while_a_pull_runs(self, seconds):
    """A pull holds the archive for so long, and has two mirrors meanwhile."""
    later = self.in_archive(
      'rdiff-backup-data/current_mirror.2099-01-01T00:00:00Z.data')
    pathlib.Path(later).write_text('PID 1\n', encoding='ascii')

    @contextlib.contextmanager
    def lock(path, shared, deadline):
      if deadline < seconds:
        raise LockTimeout('%s is still locked' % path)
      pathlib.Path(later).unlink(missing_ok=True)
      yield 0

    with unittest.mock.patch('resilient.archive.lock', lock):
      yield
    pathlib.Path(later).unlink(missing_ok=True)

  def test_a_pull_that_runs_is_waited_for(self):
    with self.while_a_pull_runs(1800):
      code, text = self.to('restored', '1.1')
    self.assertEqual(code, 0, text)
    self.assertSame(self.path('restored'), {'marker': 'one'})

  def test_one_that_does_not_end_is_named_and_no_drill_has_failed(self):
    store, drill = self.pbs.configuration.store, tasks(
      self.pbs.configuration)['drill-data'].run
    with self.while_a_pull_runs(4 * 3600):
      code, text = self.to('restored', '1.1')
      self.assertEqual(code, 1)
      self.assertIn('in use, most likely by a pull that runs', text)
      code, text = self.restored('--drill')
      self.assertEqual(code, 1)
      self.assertIn('a pull that runs', text)
      # The queue tries until it can.
      self.assertIn('drill-data', store.pending())
      self.assertFalse(drill())
    self.assertIsNone(store.last_run('drill-data'))
    self.assertEqual(problems(self.pbs.configuration), [])
    self.assertTrue(drill())
    self.assertTrue(store.last_run('drill-data').success)

  def test_without_a_generation_there_is_no_drill(self):
    run = restore.drill(self.pbs.configuration, 'other')
    self.assertFalse(run.success)
    self.assertIn('no generation yet', run.message)
