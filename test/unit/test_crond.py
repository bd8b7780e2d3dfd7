"""cron: entries are read, and what is due is started once."""
import datetime
import importlib.util
import os
import pathlib

from .partition import ROOT
from .support import alive, TestCase, wait_until

_SPEC = importlib.util.spec_from_file_location(
  'resilient_crond', ROOT / 'component/crond.py')
crond = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(crond)

_NOON = datetime.datetime(2026, 11, 22, 12, 0)


class TestParse(TestCase):
  """Lines of an entry."""

  def test_five_fields_and_a_command(self):
    self.assertEqual(
      crond.parse('# comment\n\n 0 3 * * 1-5  run "a  b" # c\n'),
      ([('0 3 * * 1-5', 'run "a  b" # c')], []))

  def test_a_nickname_and_a_command(self):
    self.assertEqual(crond.parse('@hourly run x'), ([('@hourly', 'run x')], []))

  def test_a_wrong_line_is_told_and_the_others_stay(self):
    for line in ('61 * * * * run', '* * * * *', 'x', '@never run', '@hourly'):
      found, wrong = crond.parse('0 0 * * * good\n%s\n' % line)
      self.assertEqual(found, [('0 0 * * *', 'good')])
      self.assertEqual(wrong, ['line 2 is no cron entry: ' + line])

  def test_hidden_files_and_folders_are_no_entries(self):
    for name in ('a', '.hidden', 'b'):
      pathlib.Path(self.path(name)).write_text('* * * * * ' + name)
    os.mkdir(self.path('folder'))
    self.assertEqual(
      [name for name, _, _ in crond.entries(self.directory)], ['a', 'b'])


class TestTick(TestCase):
  """What is started in a minute."""

  def setUp(self):
    super().setUp()
    os.mkdir(self.path('entries'))
    self.cron = crond.Cron(self.path('entries'))
    self.addCleanup(self.cron.stop)

  def entry(self, text):
    """Let there be an entry."""
    pathlib.Path(self.path('entries', 'entry')).write_text(text)

  def count(self):
    """Return how often the entry ran."""
    path = pathlib.Path(self.path('ran'))
    return len(path.read_text()) if path.exists() else 0

  def finish(self):
    """Wait until all that was started has ended."""
    wait_until(lambda: (self.cron.reap(), not self.cron._running)[1],
               'the entries end')

  def test_what_is_due_runs_and_what_is_not_does_not(self):
    self.entry('0 12 * * * printf x >> %s\n' % self.path('ran'))
    self.cron.tick(_NOON + datetime.timedelta(minutes=1))
    self.finish()
    self.assertEqual(self.count(), 0)
    self.cron.tick(_NOON)
    self.finish()
    self.assertEqual(self.count(), 1)

  def test_an_entry_does_not_run_twice_at_once(self):
    self.entry('* * * * * printf x >> {0}; while ! [ -e {1} ]; do sleep 0.05;'
               ' done\n'.format(self.path('ran'), self.path('go')))
    self.cron.tick(_NOON)
    wait_until(self.count, 'it runs')
    with self.assertLogs('crond', 'WARNING'):
      self.cron.tick(_NOON)
    pathlib.Path(self.path('go')).touch()
    self.finish()
    self.assertEqual(self.count(), 1)
    self.cron.tick(_NOON)
    self.finish()
    self.assertEqual(self.count(), 2)

  def test_a_failure_is_logged_with_its_status(self):
    self.entry('* * * * * exit 3')
    with self.assertLogs('crond', 'ERROR') as logs:
      self.cron.tick(_NOON)
      self.finish()
    self.assertIn('failed with status 3', logs.output[0])

  def test_stopping_ends_what_runs(self):
    self.entry('* * * * * echo $$ > %s; sleep 600; true' % self.path('ran'))
    self.cron.tick(_NOON)
    wait_until(self.count, 'it runs')
    pid = int(self.read('ran'))
    self.cron.stop()
    wait_until(lambda: not alive(pid), 'it ends')
    self.finish()
