"""lamp on a node: MariaDB under load."""
import unittest

from ..databases import MariaDB
from . import build, ResilientTestCase
from .database_story import DatabaseStory


def setUpModule():
  """Build the release."""
  build(TestCase.SOFTWARE)


class TestCase(DatabaseStory, ResilientTestCase):
  """One leader, two clones."""

  SOFTWARE = 'lamp/software.cfg'
  NAME = 'lamp'
  CLIENT = MariaDB


if __name__ == '__main__':
  unittest.main()
