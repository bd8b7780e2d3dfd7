"""lapp and lamp are laid out alike: a diff of the two shows the database."""
import difflib
import inspect
import unittest

import lamp.engine
import lapp.engine

from .partition import ROOT


def names(release):
  """Return the names of the files of a release."""
  return sorted(path.name for path in (ROOT / release).iterdir()
                if path.name != '__pycache__')


def differing(name):
  """Return the lines of file `name` that are in one release alone."""
  texts = [(ROOT / release / name).read_text('utf-8').replace(release, 'NAME')
           for release in ('lapp', 'lamp')]
  return [line for line in difflib.ndiff(*map(str.splitlines, texts))
          if line[0] in '+-']


class LayoutTest(unittest.TestCase):
  """Each test is one claim."""

  def test_they_have_the_same_files(self):
    self.assertEqual(names('lapp'), names('lamp'))
    self.assertIn('engine.py', names('lapp'))

  def test_little_differs_but_for_the_engine(self):
    for name, most in (
        ('software.cfg', 10), ('buildout.hash.cfg', 10), ('index.php', 7),
        ('software.cfg.json', 2), ('instance-input-schema.json', 4),
        ('instance-output-schema.json', 4)):
      with self.subTest(name):
        lines = differing(name)
        self.assertLessEqual(len(lines), most, '\n'.join(lines))

  def test_their_engines_offer_the_same(self):
    def offered(engine):
      return {
        name: str(inspect.signature(value)) if callable(value) else ''
        for name, value in vars(engine.Engine).items()
        if not name.startswith('_') and name != 'sql'
        and not isinstance(value, staticmethod)}

    self.assertEqual(
      offered(lapp.engine).keys() | {'installed'},
      offered(lamp.engine).keys() | {'installed'})
    common = offered(lapp.engine).keys() & offered(lamp.engine).keys()
    self.assertGreater(len(common), 10)
    for name in common:
      self.assertEqual(offered(lapp.engine)[name], offered(lamp.engine)[name])


if __name__ == '__main__':
  unittest.main()
