"""Each file that is fetched at build is pinned, by its real checksum."""
import configparser
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from .partition import ROOT
from .support import TestCase, write_tree

_SKIPPED = {'bench', 'demo', 'docs', 'environment', 'test'}


def folders():
  """Yield (path, names of files) of each folder that a software may fetch
  from: below those that are skipped, the ones that have pins of their own."""
  for folder, names, files in os.walk(ROOT):
    names[:] = [name for name in names
                if name != '__pycache__' and not name.startswith('.')]
    top = os.path.relpath(folder, ROOT).split(os.sep)[0]
    if top not in _SKIPPED or 'buildout.hash.cfg' in files:
      yield folder, files


def pins():
  """Yield (section, path, md5sum) of each pin of the project."""
  for folder, files in folders():
    if 'buildout.hash.cfg' in files:
      parser = configparser.ConfigParser(interpolation=None, strict=True)
      parser.read(os.path.join(folder, 'buildout.hash.cfg'), encoding='utf-8')
      for section in parser.sections():
        options = parser[section]
        name = options.get('_update_hash_filename_', options.get('filename'))
        yield section, pathlib.Path(folder, name), options.get('md5sum')


def fetched():
  """Return the paths of all files that a software may fetch."""
  found = set()
  for folder, files in folders():
    top = os.path.relpath(folder, ROOT).split(os.sep)[0]
    for name in files:
      if (name.endswith(('.cfg.in', '.py.in', '.conf.in', '.php'))
          or name.endswith('.json') and top == '.'
          or top == 'templates' or name.endswith('.py') and top != '.'
          or name.endswith('.html') and top == 'payload'):
        found.add(pathlib.Path(folder, name))
  return found


class TestPins(TestCase):
  """buildout.hash.cfg as it is."""

  def test_there_are_pins(self):
    self.assertGreater(len(list(pins())), 40)

  def test_each_pin_is_the_md5_of_a_file_that_is_there(self):
    for section, path, md5sum in pins():
      with self.subTest(section):
        self.assertEqual(
          md5sum, hashlib.md5(path.read_bytes()).hexdigest(),
          '%s changed: run ./update-hash' % path.relative_to(ROOT))

  def test_each_file_that_is_fetched_is_pinned_once(self):
    pinned = [path for _, path, _ in pins()]
    self.assertEqual(
      sorted(map(str, fetched() - set(pinned))), [], 'pinned nowhere')
    self.assertEqual(len(pinned), len(set(pinned)))


class TestUpdateHash(TestCase):
  """./update-hash, on a project of its own."""

  def setUp(self):
    super().setUp()
    write_tree(self.directory, {
      'a.cfg.in': 'a', 'resilient/module.py': 'm', 'test/x.cfg.in': 'no',
      '.node/x.cfg.in': 'no', 'buildout.hash.cfg': (
        '# A comment.\n\n[z]\nfilename = a.cfg.in\nmd5sum = 0\n\n'
        '[resilient-module]  \n_update_hash_filename_ = resilient/module.py\n'
        'other = 1\nmd5sum=%s\n' % hashlib.md5(b'm').hexdigest())})
    self.before = self.read('buildout.hash.cfg')

  def update(self, *arguments):
    """Run it; return (exit status, what it prints)."""
    result = subprocess.run(
      [sys.executable, ROOT / 'update-hash', '--root', self.directory,
       *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
      encoding='utf-8', check=False)
    return result.returncode, result.stdout

  def test_it_changes_the_wrong_md5sum_and_nothing_else(self):
    status, output = self.update()
    right = hashlib.md5(b'a').hexdigest()
    self.assertEqual((status, output),
                     (0, '[z]: a.cfg.in is %s now\n' % right))
    self.assertEqual(self.read('buildout.hash.cfg'), self.before.replace(
      'md5sum = 0', 'md5sum = ' + right))
    self.assertEqual(self.update(), (0, ''))
    self.assertEqual(self.update('--check'), (0, ''))

  def test_check_tells_and_changes_nothing(self):
    status, output = self.update('--check')
    self.assertEqual(status, 1)
    self.assertIn('[z]: a.cfg.in is', output)
    self.assertEqual(self.read('buildout.hash.cfg'), self.before)

  def test_a_missing_file_is_told(self):
    os.unlink(self.path('a.cfg.in'))
    for arguments in ((), ('--check',)):
      status, output = self.update(*arguments)
      self.assertEqual(status, 1)
      self.assertIn('[z]: a.cfg.in is missing', output)

  def test_a_file_that_is_pinned_nowhere_is_told(self):
    for name in ('b.cfg.in', 'x/c.cfg.in', 'templates/new.html', 'd.py.in',
                 'resilient/new/e.py', 'payload/f.py', 'payload/g.html',
                 'h.json'):
      with self.subTest(name):
        self.update()
        write_tree(self.directory, {name: ''})
        for arguments in ((), ('--check',)):
          status, output = self.update(*arguments)
          self.assertEqual(status, 1)
          self.assertIn('%s is pinned nowhere' % name, output)
        os.unlink(self.path(name))

  def test_a_release_among_the_tests_is_pinned_too(self):
    write_tree(self.directory, {
      'test/release/c.cfg.in': 'c', 'test/release/d.cfg.in': 'd',
      'test/release/buildout.hash.cfg': (
        '[c]\nfilename = c.cfg.in\nmd5sum = 0\n')})
    status, output = self.update()
    self.assertEqual(status, 1)
    self.assertIn('test/release/d.cfg.in is pinned nowhere', output)
    self.assertIn(hashlib.md5(b'c').hexdigest(),
                  self.read('test', 'release', 'buildout.hash.cfg'))

  def test_a_pin_file_in_a_folder_names_files_beside_it(self):
    write_tree(self.directory, {
      'lapp/b.cfg.in': 'b', 'lapp/buildout.hash.cfg': (
        '[b]\nfilename = b.cfg.in\nmd5sum = 0\n')})
    self.assertEqual(self.update()[0], 0)
    self.assertIn(hashlib.md5(b'b').hexdigest(),
                  self.read('lapp', 'buildout.hash.cfg'))
    shutil.rmtree(self.path('lapp'))
