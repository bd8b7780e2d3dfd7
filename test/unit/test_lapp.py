"""lapp without a node, on real servers of PostgreSQL."""
import unittest

from ..databases import PostgreSQL
from .database_claims import ParameterClaims, TransferClaims
from .database_support import DatabaseCase, wait_for


class TestTransfer(TransferClaims, DatabaseCase):
  """Export and import."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'


class TestParameters(ParameterClaims, DatabaseCase):
  """What a user may ask for."""

  NAME, CLIENT, SCHEME = 'lapp', PostgreSQL, 'postgresql'
  SETTING = ('work_mem', '7MB',
             'SHOW max_connections; SELECT setting::bigint * 8192 FROM'
             " pg_settings WHERE name = 'shared_buffers'; SHOW work_mem;")

  def test_server_that_was_killed_when_it_began_to_start_is_started(self):
    self.leader.stop()
    (self.leader.content / 'database/postmaster.pid').write_bytes(b'')
    said = len(self.leader.log())
    self.leader.serve()
    wait_for(lambda: 'ready, as leader' in self.leader.log()[said:],
             self.leader)


if __name__ == '__main__':
  unittest.main()
