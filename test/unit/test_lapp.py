"""lapp without a node, on real servers of PostgreSQL."""
import unittest

from ..databases import PostgreSQL
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'
  SETTING = ('work_mem', '7MB',
             'SHOW max_connections; SELECT setting::bigint * 8192 FROM'
             " pg_settings WHERE name = 'shared_buffers'; SHOW work_mem;")


if __name__ == '__main__':
  unittest.main()
