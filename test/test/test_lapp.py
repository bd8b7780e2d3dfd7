"""lapp on a node: PostgreSQL under load."""
import unittest

from ..databases import PostgreSQL
from . import build, ResilientTestCase
from .database_story import DatabaseStory


def setUpModule():
  """Build the release."""
  build(TestCase.SOFTWARE)


class TestCase(DatabaseStory, ResilientTestCase):
  """One leader, two clones."""

  SOFTWARE = 'lapp/software.cfg'
  NAME = 'lapp'
  CLIENT = PostgreSQL


if __name__ == '__main__':
  unittest.main()
