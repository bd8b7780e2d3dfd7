"""Other programs: ended in time, with all that they started."""
import os
import signal
import sys
import time
import unittest.mock

from resilient import process
from resilient.durable import is_locked, lock

from .support import alive, TestCase, wait_until


class TestRun(TestCase):
  """process.run"""

  def failure(self, command, deadline=20, **keywords):
    """Run `command`, which must fail; return the exception."""
    with self.assertRaises(process.Failed) as caught:
      process.run(command, deadline, **keywords)
    return caught.exception

  def test_success_returns_what_was_printed(self):
    result = process.run(['sh', '-c', 'echo marker; echo error >&2'], 20)
    self.assertEqual((result.status, result.output), (0, 'marker\nerror\n'))

  def test_a_failure_has_its_status_and_the_end_of_the_output(self):
    error = self.failure(['sh', '-c', 'echo no space; exit 7'])
    self.assertEqual(error.status, 7)
    self.assertIn('sh failed with status 7: no space', str(error))

  def test_other_statuses_are_accepted_if_told_so(self):
    result = process.run(['sh', '-c', 'exit 2'], 20, accepted=(0, 2))
    self.assertEqual(result.status, 2)

  def test_a_signal_is_a_failure_that_names_it(self):
    error = self.failure(['sh', '-c', 'kill -9 $$'])
    self.assertEqual(error.status, -signal.SIGKILL)
    self.assertIn('ended by signal 9', str(error))

  def test_a_missing_program_is_a_failure_that_names_it(self):
    self.assertIn('/no/such cannot be started',
                  str(self.failure(['/no/such'])))

  def test_a_program_that_may_not_be_run_is_a_failure(self):
    with open(self.path('data'), 'w', encoding='ascii'):
      pass
    self.assertIn('cannot be started', str(self.failure([self.path('data')])))

  def test_the_deadline_ends_a_program_and_its_grandchildren(self):
    script = self.script('hang', 'sleep 600 & echo $! > %s; wait\n' % (
      self.path('pid')))
    for capture in (False, True):
      with self.subTest(capture=capture):
        started = time.monotonic()
        error = self.failure([script], 3, capture=capture)
        self.assertIn('did not end within 3 s', str(error))
        self.assertIsNone(error.status)
        self.assertLess(time.monotonic() - started, 60)
        grandchild = int(self.read('pid'))
        wait_until(lambda: not alive(grandchild), 'the grandchild is gone')

  def test_the_deadline_ends_what_ignores_sigterm(self):
    script = self.script(
      'stubborn', "trap '' TERM\necho $$ > %s\nwhile :; do sleep 1; done" % (
        self.path('pid')))
    with unittest.mock.patch.object(process, '_GRACE', 0.3):
      self.failure([script], 3)
    self.assertFalse(alive(int(self.read('pid'))))

  def test_the_deadline_ends_a_child_that_ignores_what_its_parent_obeys(self):
    script = self.script('half', (
      "sh -c 'trap \"\" TERM; echo $$ > %s; while :; do sleep 1; done' &\n"
      'wait\n' % self.path('pid')))
    self.failure([script], 3)
    child = int(self.read('pid'))
    wait_until(lambda: not alive(child), 'the child is gone')

  def test_huge_output_neither_blocks_nor_fills_the_memory(self):
    for text in ('yes marker | head -c 2000000',
                 'head -c 20000000 /dev/zero | tr "\\0" x; echo; echo end'):
      with self.subTest(text):
        result = process.run(['sh', '-c', text], 60)
        self.assertLessEqual(len(result.output), 1 << 16)

  def test_huge_output_does_not_fill_the_log(self):
    with self.assertLogs('resilient.process') as logs:
      result = process.run(['seq', '100000'], 60)
    self.assertLess(len('\n'.join(logs.output)), 512 << 10)
    self.assertIn('from here on is not logged', logs.output[-1])
    self.assertTrue(result.output.endswith('100000\n'))

  def test_one_endless_line_does_not_fill_the_memory(self):
    program = '''
import resource
from resilient import process
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
process.run(['sh', '-c', 'head -c 600000000 /dev/zero'], 60)
'''
    self.assertEqual(self.start([sys.executable, '-c', program]).wait(60), 0)

  def test_captured_output_is_whole_and_apart_from_errors(self):
    result = process.run(
      ['sh', '-c', 'echo error >&2; head -c 300000 /dev/zero | tr "\\0" x'],
      20, capture=True)
    self.assertEqual(result.output, b'x' * 300000)

  def test_a_captured_failure_tells_what_was_on_standard_error(self):
    error = self.failure(['sh', '-c', 'echo why >&2; exit 3'], capture=True)
    self.assertIn('status 3: why', str(error))

  def test_an_answer_without_end_is_a_failure(self):
    self.assertIn('yes answers with more than 4096 bytes', str(self.failure(
      ['yes'], 600, capture=True, largest=4096)))
    self.assertEqual(process.run(
      ['printf', 'four'], 20, capture=True, largest=4).output, b'four')

  def test_the_program_holds_the_lock_it_was_given(self):
    with lock(self.path('lock')) as held:
      process.run(['sh', '-c', 'sleep 600 > /dev/null 2>&1 & echo $! > %s' % (
        self.path('pid'))], 20, lock=held)
    child = int(self.read('pid'))
    self.addCleanup(os.kill, child, signal.SIGKILL)
    self.assertTrue(is_locked(self.path('lock')))

  def test_variables_are_added_to_the_environment(self):
    result = process.run(
      ['sh', '-c', 'echo $MARKER; test "$PATH"'], 20,
      environment={'MARKER': 'x1'})
    self.assertEqual(result.output, 'x1\n')

  def test_a_program_ends_when_its_parent_is_killed(self):
    program = '''
import sys
from resilient import process
process.run(['sh', '-c', 'echo $$ > %s; exec sleep 600' % sys.argv[1]], 600)
'''
    parent = self.start(
      [sys.executable, '-c', program, self.path('pid')])
    child = wait_until(
      lambda: os.path.exists(self.path('pid')) and self.read('pid'),
      'the program runs')
    parent.kill()
    wait_until(lambda: not alive(int(child)), 'the program ends, too')
