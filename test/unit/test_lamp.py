"""lamp without a node, on real servers of MariaDB."""
import os
import pathlib
import tempfile
import unittest
from unittest import mock

from ..databases import MariaDB
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'

  def test_a_server_that_starts_spares_the_temporary_tables_of_others(self):
    administrator = self.client(self.clone).administrator(
      self.clone.path / 'run')
    with tempfile.TemporaryDirectory() as common, mock.patch.dict(
        os.environ, TMPDIR=common):
      tables = [pathlib.Path(folder, '#sql-temptable-test.MAD') for folder in (
        common, *administrator.sql('SELECT @@tmpdir;'))]
      for path in tables:
        path.write_text('x')
      with open(self.export() / 'database/roles.sql', 'a') as output:
        output.write('nonsense;\n')
      # It makes a database, and starts a server beside the one of the clone.
      self.assert_refused(self._import(), 'nonsense')
      for path in tables:
        self.assertTrue(path.exists(), path)
    self.assert_as_before()


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTING = ('sort_buffer_size', '1048576',
             'SELECT @@max_connections; SELECT @@innodb_buffer_pool_size;'
             'SELECT @@global.sort_buffer_size;')


if __name__ == '__main__':
  unittest.main()
