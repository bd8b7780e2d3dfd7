"""What the tests of the demo share."""
import pathlib
import tempfile
import unittest

from demo.convergence import Missing

COMPLETE = Missing([], [], [])


def generation(epoch, sequence, sealed=0):
  """Return what a generation is in JSON, as far as the demo reads it."""
  return {'epoch': epoch, 'sequence': sequence, 'sealed': sealed}


class TestCase(unittest.TestCase):
  """With a folder of its own."""

  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = pathlib.Path(temporary.name)

  def write(self, path, text):
    """Write a file below the folder; return its path."""
    target = self.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target
