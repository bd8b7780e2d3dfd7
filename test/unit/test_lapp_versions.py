"""lapp on a computer with several versions of PostgreSQL, without a server."""
import pathlib
import types
import unittest
from unittest import mock

from database.contents import Contents
from lapp import engine

from .support import TestCase


class TestVersions(TestCase):
  """Each program says of which version it is."""

  def test_clients_are_of_the_version_that_serves(self):
    folder = pathlib.Path(self.directory)
    for version in '15', '17':
      (folder / version / 'bin').mkdir(parents=True)
      for name in 'postgres', 'psql':
        path = folder / version / 'bin' / name
        path.write_text('#!/bin/sh\necho %s\n' % version)
        path.chmod(0o700)
    contents = Contents(str(folder / 'srv'))
    with contents.new() as content:
      pathlib.Path(content, 'release.json').write_text('{"version": "15"}')
      contents.switch(content)
    lapp = engine.Engine(types.SimpleNamespace(
      contents_directory=contents.directory, run_directory='run', port=5432))
    with mock.patch.object(engine, '_PROGRAMS', folder):
      self.assertEqual('15\n', lapp.sql('SELECT 1'))
      # One for an import is of the newest.
      self.assertEqual('17\n', lapp.sql('SELECT 1', private=True))


if __name__ == '__main__':
  unittest.main()
