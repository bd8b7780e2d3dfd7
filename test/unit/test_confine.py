"""confine.confine: what the kernel still forbids to a program that was broken
into."""
import os
import socket
import subprocess

from resilient.confine import confine

from .partition import write_tree
from .support import TestCase


class TestConfine(TestCase):
  """In a process of its own each."""

  def run_confined(self, code, **reading):
    """Return the exit status of Python `code`, confined to ``inside``."""
    os.makedirs(self.path('inside'), exist_ok=True)
    pid = os.fork()
    if not pid:
      status = 99
      try:
        status = 98 if not confine(
          self.path('inside'), **reading) else 0
        os.chdir(self.directory)
        exec(code, {'os': os, 'socket': socket, 'subprocess': subprocess})
      except PermissionError:
        status = 13
      except OSError as error:
        status = error.errno
      except Exception:
        status = 97
      finally:
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

  def setUp(self):
    super().setUp()
    if self.run_confined('') == 98:
      self.skipTest('this kernel has no Landlock')

  def test_files_inside_can_be_changed(self):
    for code in ('open("inside/a", "w").write("x")',
                 'os.mkdir("inside/d"); os.rename("inside/a", "inside/d/b")',
                 'os.link("inside/d/b", "inside/c"); os.remove("inside/c")',
                 'os.symlink("/", "inside/l"); os.mkfifo("inside/f")',
                 'open("/dev/null", "w").write("x")', 'os.listdir("/")',
                 'subprocess.run(["true"], check=True)'):
      self.assertEqual(self.run_confined(code), 0, code)

  def test_files_outside_cannot(self):
    write_tree(self.directory, {'outside/a': 'kept', 'inside/x': 'x'})
    os.symlink('../outside', self.path('inside', 'door'))
    for code in (
        'open("outside/a", "w")', 'open("outside/a", "a")',
        'open("inside/door/a", "w")', 'open("inside/door/b", "w")',
        'os.remove("inside/door/a")', 'os.mkdir("outside/d")',
        'os.rename("outside/a", "inside/a")', 'os.truncate("outside/a", 0)',
        'os.rename("inside/x", "outside/x")', 'os.symlink("/", "outside/l")',
        'os.mkfifo("outside/f")'):
      self.assertIn(self.run_confined(code), (13, 18), code)
    self.assertEqual(os.listdir(self.path('outside')), ['a'])
    self.assertEqual(self.read('outside', 'a'), 'kept')

  def test_what_is_hidden_cannot_be_read(self):
    write_tree(self.directory, {
      'home/secret': 'x', 'home/part/a': 'x', 'inside/x': 'x', 'other/a': 'x'})
    reading = {'hidden': self.path('home'), 'readable': [
      self.path('home/part')]}
    for code in ('open("home/secret").read()',
                 'subprocess.run(["cat", "home/secret"], check=True)'):
      self.assertNotEqual(self.run_confined(code, **reading), 0, code)
    for code in ('open("home/part/a").read()', 'open("other/a").read()',
                 'open("inside/x").read()', 'open("inside/y", "w").write("x")',
                 'open("/dev/null").read()',
                 'subprocess.run(["cat", "other/a"], check=True)'):
      self.assertEqual(self.run_confined(code, **reading), 0, code)

  def test_what_it_starts_is_confined_too(self):
    code = ('raise PermissionError if subprocess.call(["sh", "-c", "echo x > '
            'outside"], stderr=-3) else OSError')
    self.assertEqual(self.run_confined(code), 13)

  def test_no_new_connections(self):
    with socket.create_server(('127.0.0.1', 0)) as server:
      self.assertEqual(self.run_confined(
        'socket.create_connection(%r)' % (server.getsockname(),)), 13)
