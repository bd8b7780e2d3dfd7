"""The service and the exporter, without a server."""
import contextlib
import pathlib
import signal
import tempfile
import types
import unittest
from unittest import mock

from database import server, transfer
from database.child import Stopped
from database.contents import Contents, remove_tree
from resilient.durable import lock

from .support import TestCase


class _Folder(TestCase):

  def setUp(self):
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix='server-'))
    self.addCleanup(remove_tree, self.folder)
    self.configuration = types.SimpleNamespace(
      contents_directory=str(self.folder / 'srv'))


class ServeTest(_Folder):
  """The service."""

  def test_it_waits_for_a_former_server_however_long_that_takes(self):
    (self.folder / 'srv').mkdir()
    with contextlib.ExitStack() as former, \
         mock.patch.object(server, 'stop_on_sigterm'), \
         mock.patch.object(server, '_SUCCESSION', 0), \
         mock.patch.object(server, '_serve_one', side_effect=Stopped) as serve:
      former.enter_context(lock(str(self.folder / 'srv/serve.lock')))
      # When it is said, the former server ends.
      with mock.patch.object(server.log, 'error', side_effect=(
          lambda *_: former.close())) as said:
        server.serve(None, self.configuration)
    said.assert_called_once()
    serve.assert_called_once()


class StartTest(_Folder):
  """A server that repairs its data for longer than a start takes."""

  def start(self, role):
    """Let a server of `role` start, which answers the third time."""
    answers = mock.Mock(side_effect=[False, False, True])
    engine = types.SimpleNamespace(
      NAME='Files', STOP=signal.SIGTERM, NOISE=None, ENVIRONMENT={},
      command=lambda *_: ['sleep', '1000'], answers=answers,
      installed=lambda: ['1'], version=lambda: '1', set_role=lambda _: None,
      # From then on it serves.
      provision=mock.Mock(side_effect=Stopped))
    contents = Contents(self.configuration.contents_directory)
    with contents.new() as content:
      pathlib.Path(content, 'release.json').write_text(
        '{"server": "Files", "version": "1"}')
      contents.switch(content)
    self.configuration.is_leader = role == 'leader'
    with mock.patch.object(server, '_START', 0):
      server._serve_one(engine, self.configuration, contents, None)

  def test_one_of_a_leader_is_left_to_it(self):
    with self.assertLogs(server.log, 'WARNING') as said, \
         self.assertRaises(Stopped):
      self.start('leader')
    self.assertEqual(1, len(said.output), said.output)

  def test_one_of_a_clone_is_not(self):
    with self.assertRaisesRegex(server.ServerError, 'not answer after 0 s'):
      self.start('clone')


class ExportTest(_Folder):
  """The exporter."""

  def setUp(self):
    super().setUp()
    contents = Contents(self.configuration.contents_directory)
    with contents.new() as content:
      self.content = pathlib.Path(content)
      (self.content / 'documents').mkdir()
      for name in ('credentials.json', 'documents.json', 'release.json',
                   'settings.conf'):
        (self.content / name).write_text('{}')
      contents.switch(content)
    self.engine = types.SimpleNamespace(
      NAME='Files', answers=lambda content: True,
      dump=lambda target: pathlib.Path(target, 'rows').write_text('1'))

  def export(self):
    """Export; return {name: (inode, text)} of the dump."""
    dump = self.folder / 'dump'
    dump.mkdir(exist_ok=True)
    transfer.export(self.engine, self.configuration, str(dump))
    return {str(path.relative_to(dump / 'content')):
            (path.stat().st_ino, path.read_text())
            for path in dump.rglob('*') if path.is_file()}

  def test_folder_that_nobody_may_write_to(self):
    sites = self.content / 'documents/sites'
    sites.mkdir()
    (sites / 'settings.php').write_text('<?php')
    sites.chmod(0o500)
    first, second = self.export(), self.export()
    self.assertEqual('<?php', second['documents/sites/settings.php'][1])
    self.assertEqual(first['database/rows'], second['database/rows'])
    self.assertEqual(0o500, 0o777 & (
      self.folder / 'dump/content/documents/sites').stat().st_mode)


class ImportTest(_Folder):
  """The importer, whose private server ends in one way or another."""

  def import_(self, end):
    """Import with a private server that does `end` when it is told to end."""
    for name in 'documents', 'database':
      (self.folder / 'dump/content' / name).mkdir(parents=True)
    for name in ('credentials.json', 'documents.json', 'settings.conf'):
      (self.folder / 'dump/content' / name).write_text('{}')
    (self.folder / 'dump/content/release.json').write_text(
      '{"server": "Files", "version": "1"}')
    ready = self.folder / 'ready'
    transfer.import_(types.SimpleNamespace(
      NAME='Files', STOP=signal.SIGTERM, NOISE=None, ENVIRONMENT={},
      command=lambda *_: ['sh', '-c', (
        'trap "echo no space; %s" TERM; touch "%s";'
        ' while :; do sleep 0.01; done' % (end, ready))],
      answers=lambda *_: ready.exists(), reason=' '.join, version=lambda: '1',
      create=lambda _: None, check_settings=lambda _: None,
      load=lambda _: None), self.configuration, str(self.folder / 'dump'))
    return Contents(self.configuration.contents_directory).current()

  def test_one_that_has_written_all_is_served(self):
    self.assertIsNotNone(self.import_('exit 0'))

  def test_one_that_failed_or_was_killed_is_not(self):
    for end, status in (('exit 3', '3'), ('kill -9 $$', '-9')):
      with self.subTest(end):
        with self.assertRaisesRegex(
            server.ServerError, 'with status %s: no space' % status):
          self.import_(end)
        self.assertIsNone(
          Contents(self.configuration.contents_directory).current())
        self.assertEqual([], list((self.folder / 'srv').iterdir()))
        remove_tree(self.folder / 'dump')
        (self.folder / 'ready').unlink()


if __name__ == '__main__':
  unittest.main()
