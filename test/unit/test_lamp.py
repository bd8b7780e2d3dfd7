"""lamp without a node, on real servers of MariaDB."""
import unittest

from ..databases import MariaDB
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lamp', MariaDB, 'mysql'
  SETTING = ('sort_buffer_size', '1048576',
             'SELECT @@max_connections; SELECT @@innodb_buffer_pool_size;'
             'SELECT @@global.sort_buffer_size;')


if __name__ == '__main__':
  unittest.main()
