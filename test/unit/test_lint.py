"""The source as text: style, size, and what must not be in it."""
import ast
import os
import pathlib
import re
import subprocess
import unittest

import jinja2

from .partition import BIN, ROOT

_GENERATED = {
  '__pycache__', '.git', '.node', '.hypothesis', '.ruff_cache', 'log',
  # In the copy that an ordinary user gets from root.
  '.copied', '.pip.conf'}
_LONGEST_MODULE = 260
# In a profile: what belongs to another level, another recipe, or nowhere.
_FORBIDDEN = ('$${', 'XXX', '#!', 'collective.recipe.template', '/bin/bash')
# Releases of others are templates of two levels: so is this one.
_TWO_LEVELS = ROOT / 'test/foreign'


def sources():
  """Return the paths of all files of the project that are text."""
  found = []
  for folder, names, files in os.walk(ROOT):
    names[:] = sorted(set(names) - _GENERATED)
    found += [pathlib.Path(folder, name)
              for name in sorted(set(files) - _GENERATED)
              if not name.startswith('.coverage')]
  return [path for path in found if b'\0' not in path.read_bytes()[:4096]]


def profiles():
  """Return the paths of all profiles that are rendered."""
  return [path for path in sources() if path.name.endswith('.cfg.in')]


def buildout_files():
  """Return the paths of all profiles."""
  return [path for path in sources() if path.name.endswith(('.cfg', '.cfg.in'))]


class LintCase(unittest.TestCase):
  """Claims about many files."""

  def assertNone(self, found):
    """`found`, a list of sentences, is empty."""
    self.assertFalse(found, '\n' + '\n'.join(found))


def name(path):
  """Return `path` relative to the project."""
  return str(path.relative_to(ROOT))


class TestPython(LintCase):
  """Modules."""

  def test_ruff_has_no_complaint(self):
    result = subprocess.run(
      [os.path.join(BIN, 'ruff'), 'check', '--no-cache', '--output-format',
       'concise', '.'], cwd=ROOT, check=False, encoding='utf-8',
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    self.assertEqual(result.returncode, 0, '\n' + result.stdout)

  def test_no_module_is_long(self):
    modules = [path for path in sources() if path.suffix == '.py']
    self.assertGreater(len(modules), 30)
    self.assertNone([
      '%s has %d lines' % (name(path), lines) for path in modules
      if (lines := len(path.read_text(encoding='utf-8').splitlines()))
      > _LONGEST_MODULE])

  def test_public_names_of_the_stack_have_a_docstring(self):
    self.assertNone([
      '%s: %s' % (name(path), node.name)
      for path in (ROOT / 'resilient').glob('*.py')
      for node in ast.parse(path.read_text(encoding='utf-8')).body
      if isinstance(node, (ast.FunctionDef, ast.ClassDef))
      and not node.name.startswith('_') and not ast.get_docstring(node)])


class TestProfiles(LintCase):
  """Profiles of buildout."""

  def test_each_can_be_parsed_by_jinja2(self):
    self.assertGreater(len(profiles()), 5)
    environment = jinja2.Environment(extensions=['jinja2.ext.do'])
    for path in profiles():
      with self.subTest(name(path)):
        environment.parse(path.read_text(encoding='utf-8'))

  def test_none_has_what_belongs_elsewhere(self):
    self.assertNone([
      '%s:%d: %s' % (name(path), number, word)
      for path in profiles()
      for number, line in enumerate(
        path.read_text(encoding='utf-8').splitlines(), 1)
      for word in _FORBIDDEN if word in line
      and not (word == '$${' and _TWO_LEVELS in path.parents)])

  def test_no_section_is_there_twice(self):
    found = []
    for path in buildout_files():
      sections = re.findall(r'(?m)^\[([^\]\n]+)\]\s*(?:#.*)?$',
                            path.read_text(encoding='utf-8'))
      found += ['%s: [%s]' % (name(path), section)
                for section in sorted(set(sections))
                if sections.count(section) > 1]
    self.assertNone(found)


class TestText(LintCase):
  """All files."""

  def test_none_names_this_machine_or_its_registries(self):
    # Put together here, for this file is one of them.
    words = (
      '/wo' 'rk/', '/ho' 'me/', '192.0.' '2.2', '--index-' 'url',
      'index_' 'url', 'file' 's.pythonhosted', 'py' 'pi.org', '/tmp/spi' 'ke')
    self.assertNone([
      '%s:%d: %s' % (name(path), number, line.strip()[:100])
      for path in sources()
      for number, line in enumerate(path.read_text(
        encoding='utf-8', errors='replace').splitlines(), 1)
      for word in words if word in line])

  def test_each_ends_with_one_line_end_and_has_no_trailing_space(self):
    self.assertNone([
      name(path) for path in sources()
      if (text := path.read_text(encoding='utf-8'))
      and (not text.endswith('\n') or text.endswith('\n\n')
           or re.search(r'(?m)[ \t]+$', text) or '\r' in text)])
