"""The runner of the tests: nothing passes that did not run."""
import os
import re
import shutil
import subprocess
import sys
import time

from .partition import ROOT
from .support import alive, TestCase, wait_until, write_tree

# Runs the tier "unit" of the project whose runner is its argument.
_KNOWN_JOBS = '''
import importlib.machinery, importlib.util, os, pathlib, sys
os.environ['RESILIENT_TEST_RUN'] = 'jobs'
loader = importlib.machinery.SourceFileLoader('run', sys.argv[1])
module = importlib.util.module_from_spec(
  importlib.util.spec_from_loader('run', loader))
loader.exec_module(module)
runner = module.Runner(pathlib.Path(sys.argv[1]).parent)
runner.run(module.Tier('unit', 'test/unit'))
print('left:', runner._jobs)
'''
_HEAD = 'import os, subprocess, unittest\n\nclass T(unittest.TestCase):\n'


class TestRun(TestCase):
  """test/run, in a project of its own."""

  def write_tests(self, *bodies):
    """Make a project whose tests have these bodies, each in a module, which
    has a number in its name."""
    write_tree(self.directory, {
      'test/__init__.py': '', 'test/unit/__init__.py': '',
      **{'test/unit/test_%d.py' % number: _HEAD + body
         for number, body in enumerate(bodies)}})
    shutil.copy(ROOT / 'test/run', self.path('test', 'run'))

  def start_tests(self, *more, tier='unit', only=''):
    """Start to run the project; return the process.  more: arguments."""
    return self.start(
      [sys.executable, self.path('test', 'run'), 'check', '--tier', tier,
       '--only', only, '--log', self.path('log'), *more],
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')

  def run_tests(self, *bodies, **options):
    """Run a project whose tests have these bodies; return (exit status, what
    is printed)."""
    self.write_tests(*bodies)
    process = self.start_tests(**options)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output

  def test_hours_of_soak_may_be_a_part_of_one_and_nothing_else(self):
    self.write_tests(
      '  def test_a(self):\n    self.assertEqual(\n'
      '      float(os.environ["RESILIENT_SOAK_SECONDS"]), 900)\n')
    for hours, status, said in (
        ('.25', 0, '1 passed, 0 failed'),
        ('2,5', 2, "argument --soak: invalid hours value: '2,5'"),
        ('0', 2, "argument --soak: invalid hours value: '0'"),
        ('nan', 2, "argument --soak: invalid hours value: 'nan'")):
      with self.subTest(hours):
        process = self.start_tests('--soak', hours)
        output, _ = process.communicate(timeout=60)
        self.assertIn(said, output.splitlines()[-1])
        self.assertEqual(process.returncode, status)

  def assertSum(self, text, expected):
    """The last line is `expected`, alone."""
    self.assertEqual(text.splitlines()[-1], expected, text)

  def test_tests_that_pass_are_counted_over_all_modules(self):
    status, text = self.run_tests(
      '  def test_a(self): pass\n  def test_b(self): pass\n',
      '  def test_c(self): pass\n  def test_d(self): self.skipTest("x")\n')
    self.assertSum(text, '3 passed, 0 failed, 1 skipped')
    self.assertEqual(status, 0)

  def test_what_fails_is_shown_and_counted_once_a_test(self):
    status, text = self.run_tests(
      '  def test_a(self):\n    for n in 1, 2:\n      with self.subTest(n):\n'
      '        self.assertEqual(n, "marker")\n  def test_b(self): pass\n'
      '  def test_c(self): print("printed"); raise KeyError("reason")\n'
      '  @unittest.expectedFailure\n  def test_d(self): pass\n')
    self.assertEqual(status, 1)
    self.assertSum(text, '1 passed, 3 failed')
    self.assertIn("KeyError: 'reason'", text)
    self.assertIn("2 != 'marker'", text)
    log, = re.findall(r'log in (\S+)', text)
    with open(log, encoding='utf-8') as source:
      self.assertIn('printed', source.read())

  def test_what_runs_at_once_has_numbers_of_its_own(self):
    body = (
      '  def test_a(self):\n    import time\n'
      '    name = "slot-" + os.environ["RESILIENT_TEST_SLOT"]\n'
      '    self.assertLess(int(name[5:]), os.cpu_count())\n'
      '    open(name, "x").close()\n    time.sleep(0.5)\n'
      '    os.unlink(name)\n')
    status, text = self.run_tests(*[body] * 4)
    self.assertSum(text, '4 passed, 0 failed')
    self.assertEqual(status, 0)

  def test_a_module_that_cannot_be_imported_is_a_failure(self):
    status, text = self.run_tests(
      '  import nonsense\n', '  def test_a(self): pass\n')
    self.assertSum(text, '1 passed, 1 failed')
    self.assertEqual(status, 1)

  def test_a_set_up_that_fails_is_a_failure(self):
    status, text = self.run_tests(
      '  def setUpClass(): raise OSError("marker")\n'
      '  def test_a(self): pass\n')
    self.assertSum(text, '0 passed, 1 failed')
    self.assertIn('marker', text)
    self.assertEqual(status, 1)

  def test_a_crash_in_the_middle_is_a_failure_and_what_was_said_is_shown(self):
    status, text = self.run_tests(
      '  def test_a(self): pass\n'
      '  def test_b(self): print("SEED" + "=1"); os._exit(0)\n')
    self.assertSum(text, '1 passed, 1 failed')
    self.assertIn('SEED=1', text)
    self.assertEqual(status, 1)

  def test_whoever_interrupts_it_twice_leaves_nothing_behind(self):
    self.write_tests(
      '  def test_a(self):\n    import time\n'
      '    open("begun", "w").write(str(os.getpid()))\n'
      '    time.sleep(300)\n')
    process = self.start_tests()
    wait_until(lambda: os.path.exists(self.path('begun'))
               and self.read('begun'), 'it does not begin')
    for _ in range(300):
      process.terminate()
      time.sleep(0.001)
    output, _ = process.communicate(timeout=60)
    self.assertEqual(process.returncode, 1)
    self.assertEqual(output.splitlines()[-1], 'interrupted')
    self.assertFalse(alive(int(self.read('begun'))))

  def test_no_orphan_is_taken_for_a_job_that_ended(self):
    # Numbers of processes come again: an orphan that is taken for a job is not
    # buried, so that whoever waits for its end waits in vain.
    self.write_tests('  def test_a(self): pass\n', '  def test_b(self): pass\n')
    said = subprocess.run(
      [sys.executable, '-c', _KNOWN_JOBS, self.path('test', 'run')],
      stdout=subprocess.PIPE, encoding='utf-8', timeout=60, check=True).stdout
    self.assertIn('unit: 2 passed, 0 failed', said)
    self.assertIn('left: set()', said)

  def test_a_tier_that_ran_nothing_is_a_failure(self):
    for bodies in ((), ('  pass\n',),
                   ('  def test_a(self): self.skipTest("x")\n',)):
      status, text = self.run_tests(*bodies)
      self.assertIn('it ran nothing', text)
      self.assertEqual(status, 1)

  def test_the_modules_that_are_asked_for_run_alone(self):
    bodies = ('  def test_a(self): raise KeyError\n',
              '  def test_b(self): pass\n')
    status, text = self.run_tests(*bodies, only='1')
    self.assertSum(text, '1 passed, 0 failed')
    self.assertEqual(status, 0)
    self.assertIn('it ran nothing', self.run_tests(*bodies, only='2')[1])

  def test_a_process_that_is_left_is_ended_named_and_a_failure(self):
    for options in ('', ', env={}, start_new_session=True'):
      status, text = self.run_tests(
        '  def test_a(self):\n    process = subprocess.Popen(["sleep", "601"]%s'
        ')\n    print("left", process.pid)\n' % options)
      self.assertSum(text, '1 passed, 1 failed')
      self.assertIn('sleep 601', text)
      self.assertEqual(status, 1)
      with open(self.path('log', 'test-unit.log'), encoding='utf-8') as source:
        pid, = re.findall(r'left (\d+)', source.read())
      self.assertFalse(alive(int(pid)))
