"""What the tests of databases share: real servers, and the release's command.

Each test of ``DatabaseCase`` is a claim about lapp and about lamp.
"""
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from ..databases import SqlError
from ..ports import free_port
from .support import TestCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 120
SAMPLE = '<?php // the sample page\n'


class Place:
  """A partition with a database.

  name: of the release.  parameters: the user's.
  """

  def __init__(self, name, role, path, **parameters):
    self.name = name
    self.path = path
    for folder in ('run', 'dump', 'srv'):
      (path / folder).mkdir(parents=True)
    (path / 'index.php').write_text(SAMPLE)
    self.values = {
      'role': role, 'contents-directory': str(path / 'srv'),
      'run-directory': str(path / 'run'), 'host': '::1',
      'sample': str(path / 'index.php'), 'port': str(free_port()),
      **parameters}
    self.service = None
    self.published = None

  def command(self, *arguments):
    """Return the command line of a command of the release."""
    return [sys.executable, '-c', 'import sys; from %s.engine import main;'
            ' sys.exit(main())' % self.name, *map(str, arguments)]

  def start(self, command, *arguments, **options):
    """Start a command; return its process."""
    return subprocess.Popen(
      self.command(command, '--configuration', self.path / 'database.json',
                   *arguments),
      env=dict(os.environ, PYTHONPATH=str(ROOT)), encoding='utf-8',
      stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)

  def run(self, command, *arguments, text='', **options):
    """Run a command; return (status, output, what it said)."""
    with self.start(command, *arguments, stdin=subprocess.PIPE,
                    **options) as process:
      output, said = process.communicate(text, DEADLINE)
    return process.returncode, output, said

  def prepare(self, **changed):
    """Run ``prepare`` with success; keep what is published."""
    self.values.update(changed)
    status, output, said = self.run('prepare', text=json.dumps(self.values))
    if status:
      raise AssertionError(said)
    self.published = json.loads(output)
    return self.published

  def serve(self):
    """Start the service."""
    log = open(self.path / 'log', 'ab')
    with log:
      self.service = subprocess.Popen(
        self.command('serve', '--configuration', self.path / 'database.json'),
        env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=log, stderr=log)

  def stop(self):
    """End the service."""
    if self.service:
      self.service.send_signal(signal.SIGTERM)
      self.service.wait(DEADLINE)
      self.service = None

  def log(self):
    """Return the log of the service."""
    return (self.path / 'log').read_text(errors='replace')

  @property
  def content(self):
    """The current content."""
    return (self.path / 'srv/current').resolve()

  def import_(self, leader):
    """Import the dump of `leader` with success."""
    status, _, said = self.run('import', '--dump', leader.path / 'dump')
    if status:
      raise AssertionError(said)


def limit_files():
  """Let this process, and its children, write no file above 200 KB: like a
  disk that is full."""
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


class DatabaseCase(TestCase):
  """A leader and a clone, made once.  Must define: NAME, CLIENT, SCHEME.

  SETTINGS: of the leader's server.
  """

  NAME = CLIENT = SCHEME = None
  SETTINGS = {}

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Short: sockets are below.
    directory = pathlib.Path(tempfile.mkdtemp(prefix='db-'))
    cls.addClassCleanup(shutil.rmtree, directory)
    cls.leader = Place(cls.NAME, 'leader', directory / 'l',
                       **{'database-name': 'shop',
                          'database-settings': cls.SETTINGS})
    cls.clone = Place(cls.NAME, 'clone', directory / 'c')
    for place in (cls.leader, cls.clone):
      place.prepare()
      place.serve()
      cls.addClassCleanup(place.stop)
    wait_for(lambda: 'ready, as leader' in cls.leader.log(), cls.leader)
    wait_for(lambda: 'ready, as clone' in cls.clone.log(), cls.clone)
    cls.client(cls.leader).make_accounts()

  @classmethod
  def client(cls, place):
    """Return the client of the application on the server of `place`."""
    return cls.CLIENT('%s://%s:%s@[::1]:%s/%s' % (
      cls.SCHEME, *(cls.leader.published[key] for key in ('user', 'password')),
      place.published['port'], cls.leader.published['database']))

  def export(self):
    """Export with success."""
    status, _, said = self.leader.run(
      'export', '--dump', self.leader.path / 'dump')
    self.assertEqual(0, status, said)
    return self.leader.path / 'dump/content'

  def transfer(self, number):
    """Note transfer `number` on the leader."""
    self.client(self.leader).sql(
      "INSERT INTO transfers VALUES (%d, 'x');" % number)

  def numbers(self, place):
    """Return the numbers of the transfers at `place`."""
    return self.client(place).sql(
      'SELECT number FROM transfers ORDER BY number;')

  def cycle(self):
    """Export and import with success; both sides are equal."""
    self.export()
    self.clone.import_(self.leader)
    self.assertEqual(self.numbers(self.leader), self.numbers(self.clone))

  def at(self, place, text):
    """Run statements as the administrator of `place`; return the rows."""
    return self.client(place).administrator(place.path / 'run').sql(text)

  def make(self, text, undo):
    """Run statements on the leader, and `undo` when the test ends."""
    self.addCleanup(self.at, self.leader, undo)
    self.at(self.leader, text)

  def assert_carried(self, show):
    """After a cycle the clone answers as the leader.  Returns the answer."""
    self.cycle()
    shown = self.at(self.leader, show)
    self.assertEqual(shown, self.at(self.clone, show))
    return shown

  def assert_refused(self, result, *words):
    """A command failed, and said so in one line at the end."""
    status, _, said = result
    self.assertEqual(1, status, said)
    last = said.splitlines()[-1]
    for word in ('failed: ', *words):
      self.assertIn(word, last)


def wait_for(condition, place):
  """Wait until condition() is true."""
  end = time.monotonic() + DEADLINE
  while True:
    with contextlib.suppress(SqlError, OSError):
      if condition():
        return
    if time.monotonic() > end or place.service.poll() is not None:
      raise AssertionError(place.log()[-4000:])
    time.sleep(0.1)
