"""What brings a bare machine to the environment: checks, stamps, copies.

Run with

  .node/venv/bin/python -m unittest discover -s environment
"""
import contextlib
import io
import os
import pathlib
import pwd
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import as_user
import machine
import packages
import progress
import repack
import virtual
from progress import Failure

HERE = pathlib.Path(__file__).resolve().parent


class FolderTestCase(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name).resolve()

  def program(self, name, script):
    """Put a shell script first in PATH."""
    path = self.folder / 'bin' / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('#!/bin/sh\n%s\n' % script)
    path.chmod(0o755)
    changed = mock.patch.dict(os.environ, {
      'PATH': '%s:%s' % (path.parent, os.environ['PATH'])})
    changed.start()
    self.addCleanup(changed.stop)


class TestMachine(FolderTestCase):
  """Each check says in one line what lacks, and the remedy."""

  def assert_one_line(self, check, *arguments, remedy):
    with self.assertRaises(Failure) as caught:
      check(*arguments)
    self.assertIn(remedy, str(caught.exception))
    self.assertNotIn('\n', str(caught.exception))

  def test_path_too_deep_for_sockets(self):
    machine.check_path(pathlib.Path('/' + 'x' * 59))
    self.assert_one_line(machine.check_path, pathlib.Path('/' + 'x' * 60),
                         remedy='make WORK=')

  def test_path_with_blanks(self):
    self.assert_one_line(machine.check_path, pathlib.Path('/a b'),
                         remedy='make WORK=')

  def test_no_space(self):
    machine.check_space(self.folder, 0)
    self.assert_one_line(machine.check_space, self.folder, 1e9,
                         remedy='free some')

  def test_not_writable(self):
    (self.folder / 'file').write_text('')
    self.assert_one_line(machine.check_writable, self.folder / 'file' / 'work',
                         remedy='make WORK=')

  def test_no_loopback(self):
    machine.check_loopback()
    with mock.patch('socket.socket.bind', side_effect=OSError(99, 'none')):
      self.assert_one_line(machine.check_loopback, remedy='sysctl')

  def test_no_shared_memory(self):
    machine.check_shared_memory()
    with mock.patch('pathlib.Path.exists', return_value=False):
      self.assert_one_line(machine.check_shared_memory, remedy='mount')

  def test_no_python(self):
    machine.check_python()
    with mock.patch('machine.PYTHON', '/nonexistent'):
      self.assert_one_line(machine.check_python, remedy='install')

  def test_another_system_is_only_told(self):
    with contextlib.redirect_stdout(io.StringIO()) as output, \
         mock.patch('pathlib.Path.read_text',
                    return_value='ID=other\nPRETTY_NAME="Other 1"\n'):
      machine.check_debian()
    self.assertIn('Other 1', output.getvalue())


class TestPackages(FolderTestCase):

  def test_missing_are_those_not_installed(self):
    self.program('dpkg-query', 'shift 3; for name; do case $name in '
                 'rsync) ;; gcc) echo gcc not-installed ;; '
                 '*) echo $name installed ;; esac; done; exit 1')
    self.assertEqual(sorted(packages.missing()), ['gcc', 'rsync'])

  def test_without_sudo_the_remedy_is_a_command(self):
    self.program('sudo', 'exit 1')
    with mock.patch('os.geteuid', return_value=1000), \
         mock.patch('sys.stdin', io.StringIO()), \
         self.assertRaisesRegex(Failure, 'as root run apt-get install'):
      packages.root_command()


  def test_services_of_new_packages_are_stopped_and_disabled(self):
    for name in ('ssh', 'postgresql', 'php8.4-fpm', 'php-fpm-other', 'cron'):
      (self.folder / (name + '.service')).write_text('')
    self.program('systemctl', 'echo systemctl "$@"')
    with mock.patch('packages.UNITS', self.folder), \
         contextlib.redirect_stdout(io.StringIO()) as output:
      packages.stop_services(
        ['postgresql', 'gcc', 'php-fpm'], self.folder / 'log', [])
    self.assertIn(
      'systemctl disable --now php8.4-fpm.service postgresql.service\n',
      (self.folder / 'log').read_text())
    self.assertIn('stopped and disabled', output.getvalue())


class TestRun(FolderTestCase):

  def run_logged(self, script):
    with contextlib.redirect_stdout(io.StringIO()) as output:
      progress.run('it', [sys.executable, '-c', script],
                   self.folder / 'log')
    return output.getvalue()

  def test_output_goes_to_the_log_only(self):
    self.assertEqual(self.run_logged('print("much")'), '')
    self.assertIn('\nmuch\n', (self.folder / 'log').read_text())

  def test_long_silence_is_broken(self):
    with mock.patch('progress.SILENCE', .1):
      output = self.run_logged('import time; print("at 1", flush=True);'
                               'print("WARNING", flush=True); time.sleep(.5)')
    self.assertRegex(output, r's: at 1\n')

  def test_failure_names_its_cause_and_the_log(self):
    with self.assertRaisesRegex(Failure, '^it .*status 3: cause; .*/log$'):
      self.run_logged('print("cause"); raise SystemExit(3)')


class TestVirtual(FolderTestCase):

  def stamp(self, text):
    (self.folder / virtual.STAMP).write_text(text)

  def test_complete_only_with_the_stamp_of_these_inputs(self):
    self.assertFalse(virtual.is_complete(self.folder))
    self.stamp(virtual.foundation(self.folder) + virtual.inputs())
    self.assertTrue(virtual.is_complete(self.folder))
    self.stamp(virtual.foundation(self.folder) + 'others\n')
    self.assertFalse(virtual.is_complete(self.folder))

  def test_moved_environment_is_not_complete(self):
    self.stamp(virtual.foundation(self.folder / 'old') + virtual.inputs())
    self.assertFalse(virtual.is_complete(self.folder))

  def test_all_that_is_wanted_is_pinned(self):
    def names(path):
      return {re.split('[=<;]', line)[0].lower().replace('_', '-')
              for line in (part.partition('#')[0].strip()
                           for part in path.read_text().splitlines()) if line}
    pins = HERE / 'requirements.txt'
    wanted = names(HERE / 'requirements.in')
    self.assertLessEqual(wanted, names(pins))
    for line in pins.read_text().splitlines():
      self.assertRegex(line, r'^(#.*|[\w.-]+==[\w.]+( ; python_version .*)?)$')

  def test_wheel_of_another_buildout_is_refused(self):
    with self.assertRaisesRegex(LookupError, 'Buildout.install'):
      repack.check_anchors({repack.HOOKED: b'def _open(): pass\n'})


class TestCopy(FolderTestCase):
  """The copy of the project that root makes for the ordinary user."""

  def test_copy_follows_and_keeps_what_is_the_users(self):
    as_user.write_copy(self.folder, {
      'a/b': (0o644, b'1'), 'run': (0o755, b'2'), 'link': (None, b'run')})
    (self.folder / 'a' / 'own').write_text('own')
    before = (self.folder / 'run').stat()
    as_user.write_copy(self.folder, {'a/c': (0o644, b'3'),
                                     'run': (0o755, b'2')})
    after = (self.folder / 'run').stat()
    self.assertEqual((before.st_ino, before.st_mtime_ns),
                     (after.st_ino, after.st_mtime_ns))
    self.assertEqual(after.st_mode & 0o777, 0o755)
    self.assertEqual(
      sorted(str(path.relative_to(self.folder))
             for path in self.folder.rglob('*') if not path.is_dir()),
      ['.copied', 'a/c', 'a/own', 'run'])

  def test_project_is_what_git_knows_or_would_add(self):
    self.project()
    subprocess.run(['git', 'init', '-q', str(self.folder)], check=True)
    self.assertEqual(self.names(), {'Makefile', '.gitignore', 'new'})

  def test_project_without_git_is_all_but_what_is_made(self):
    self.project()
    self.assertEqual(self.names(), {'Makefile', '.gitignore', 'new', 'ignored'})

  def project(self):
    for name in ('Makefile', 'new', 'ignored', '.node/made',
                 '__pycache__/made'):
      path = self.folder / name
      path.parent.mkdir(exist_ok=True)
      path.write_text(name)
    (self.folder / '.gitignore').write_text('ignored\n.node\n__pycache__\n')

  def names(self):
    with mock.patch('as_user.PROJECT', self.folder):
      return set(as_user.project_content()) - {as_user.PIP_CONFIGURATION}

  def test_environment_is_cleaned(self):
    given = {'PATH': '/bin', 'HTTPS_PROXY': 'p', 'PIP_X': '1', 'LC_ALL': 'C',
             'RESILIENT_X': '1', 'CI': 'true', 'HOME': '/root',
             'MAKEFLAGS': 'w', 'TMPDIR': '/root/tmp', 'SECRET': 's'}
    user = pwd.getpwuid(os.getuid())
    with mock.patch.dict(os.environ, given, clear=True):
      environ = as_user.clean_environment(user)
    self.assertEqual(set(environ) - set(given), {'USER', 'LOGNAME', 'SHELL'})
    self.assertEqual(set(given) - set(environ),
                     {'MAKEFLAGS', 'TMPDIR', 'SECRET'})
    self.assertEqual(environ['HOME'], user.pw_dir)


if __name__ == '__main__':
  unittest.main()
