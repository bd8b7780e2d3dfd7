"""What README.rst says is so."""
import fnmatch
import os
import re
import subprocess
import textwrap
import unittest

from .partition import ROOT
from .support import same_mtime, sealed, TestCase

TEXT = (ROOT / 'README.rst').read_text('utf-8')


def section(title):
  """Return the text below a title of README.rst."""
  start = TEXT.index('\n%s\n%s\n' % (title, '=' * len(title)))
  return re.split(r'\n[^\n]+\n=+\n', TEXT[start + 2 * len(title) + 3:])[0]


class ReadmeTest(unittest.TestCase):
  """Each test is one of its claims."""

  def test_what_the_layout_names_exists(self):
    names = re.findall(
      r'^  (?! )(\S+(?:  ?\S+/?)*)', section('Layout'), re.MULTILINE)
    paths = [path for name in names for path in name.split()
             if re.search(r'[./]', path)]
    self.assertGreater(len(paths), 20)
    self.assertEqual(
      [], [path for path in paths if not list(ROOT.glob(path.rstrip('/')))])

  def test_the_layout_names_what_is_at_the_top(self):
    layout = {word.split('/')[0] for word in section('Layout').split()}
    kept = {'README.rst', 'CHANGES.rst', 'CONTRIBUTING.rst', 'TODO.rst',
            'Makefile', 'ruff.toml'}
    self.assertEqual([], [
      path.name for path in ROOT.iterdir()
      if not path.name.startswith(('.', '__')) and path.name not in kept
      and not any(fnmatch.fnmatch(path.name, word) for word in layout)])

  def test_each_target_of_make_exists(self):
    makefile = (ROOT / 'Makefile').read_text()
    more = (ROOT / 'CONTRIBUTING.rst').read_text('utf-8')
    targets = set(re.findall(r'(?:``|  )make ([a-z]+)', TEXT + more))
    self.assertLessEqual({'demo', 'test', 'check', 'stop'}, targets)
    for target in targets:
      self.assertRegex(makefile, r'(?m)^%s:' % target)

  def test_each_command_of_a_partition_is_installed_by_a_profile(self):
    profiles = ''.join(
      path.read_text() for path in ROOT.glob('*.cfg.in'))
    commands = re.findall(r'^``bin/(\S+)``', section('In a partition'),
                          re.MULTILINE)
    self.assertIn('takeover', commands)
    for command in commands:
      self.assertIn('wrapper-path = ${rootdirectory:bin}/%s\n' % command,
                    profiles)

  def test_what_it_says_of_logs_is_what_the_code_says(self):
    code = ''.join(path.read_text('utf-8')
                   for path in (ROOT / 'resilient').glob('*.py'))
    rows = re.findall(r'^``(.+?)``', section('Is the clone good?').partition(
      'what to do')[2], re.MULTILINE)
    self.assertGreater(len(rows), 5)
    for row in rows:
      if row.startswith('Permission'):  # What ssh says.
        continue
      for part in row.split('…'):
        part = part.strip(' :')
        self.assertIn(part.removesuffix(' N'), code, row)

  def test_each_service_of_the_table_of_ports_has_its_offset(self):
    rows = re.findall(r'^``(\S+)`` +(\d) ', section('In a partition'),
                      re.MULTILINE)
    self.assertEqual([('sshd', '0'), ('notifier', '1'),
                      ('resilient-web-takeover-httpd', '2')], rows)
    profiles = ''.join(path.read_text() for path in ROOT.glob('*.cfg.in'))
    for service, offset in rows:
      port = '[%s-port]' % service.removesuffix('-httpd')
      text = profiles.partition(port)[2].partition('\n\n')[0]
      self.assertIn('offset = ' + offset, text)

  def test_the_ports_are_as_it_says(self):
    base = (ROOT / 'resilient-base.cfg.in').read_text()
    self.assertIn('22000 + 10 ×', TEXT)
    self.assertIn("str(22000 + int(number.group() or 0) % 1000 * 10)", base)

  def test_its_root_template_is_the_one_of_the_payload(self):
    template = (ROOT / 'payload/instance-resilient.cfg.in').read_text()
    for line in ("import 'parts' as parts",
                 "import 'replicated' as replicated with context"):
      self.assertIn(line, TEXT)
      self.assertIn(line, template)

  def test_its_example_is_the_release_that_is_tested(self):
    text = section('Extend it')
    for name in ('software.cfg', 'instance.cfg.in',
                 'instance-mysoftware-export.cfg.in',
                 'instance-mysoftware-import.cfg.in',
                 'instance-mysoftware-resilient.cfg.in'):
      with self.subTest(name):
        content = (ROOT / 'test/foreign' / name).read_text()
        self.assertIn(textwrap.indent(content, '  '), text)

  def test_each_section_to_override_exists_and_is_overridden(self):
    profiles = ''.join(path.read_text() for path in ROOT.glob('*.cfg.in'))
    override = ''.join(
      path.read_text() for path in (ROOT / 'test/override').glob('*.cfg.in'))
    table = section('Extend it').partition('\nOverride\n')[2]
    names = re.findall(r'``\[([^]<]+)\]', table)
    self.assertGreater(len(names), 12)
    for name in names:
      with self.subTest(name):
        self.assertIn('\n[%s]\n' % name, profiles)
        self.assertIn('\n[%s]\n' % name, override)


class FrozenTest(TestCase):
  """A frozen leader."""

  def test_its_script_names_what_differs_in_the_last_dump(self):
    text = section('A frozen leader')
    script = textwrap.dedent(re.split(r'\n(?=\S)', text[text.index(
      '  sed 1d'):])[0]).replace('<name>', 'data')
    dump = self.path('srv/backup/data')
    sealed(dump, {'good': 'data', 'new\nline %': 'whole', 'folder/é': 'here',
                  'empty': ''})

    def said():
      return subprocess.run(
        ['sh', '-c', script], cwd=self.directory, check=True, timeout=60,
        capture_output=True, text=True).stdout

    self.assertEqual('', said())
    same_mtime(self.path('srv/backup/data/folder/é'), b'lost')
    self.assertEqual(
      "differs: b'srv/backup/data/folder/\\xc3\\xa9'\n", said())
    os.unlink(self.path('srv/backup/data/good'))
    self.assertEqual(
      ["differs: b'srv/backup/data/folder/\\xc3\\xa9'",
       "missing: b'srv/backup/data/good'"], sorted(said().splitlines()))


class TestsTest(unittest.TestCase):
  """What test/README.rst says."""

  def test_each_test_that_it_names_exists(self):
    text = (ROOT / 'test/README.rst').read_text('utf-8')
    for kind, folder in (('story', 'test/test'), ('unit', 'test/unit'),
                         ('rendering', 'test/rendering')):
      names = re.findall(r'\* %s: ``(\w+)``' % kind, text)
      self.assertTrue(names)
      code = ''.join(path.read_text('utf-8')
                     for path in (ROOT / folder).glob('test_*.py'))
      self.assertEqual([], [
        name for name in names if '  def %s(' % name not in code])

  def test_each_fault_and_each_weakness_is_in_it(self):
    text = (ROOT / 'test/README.rst').read_text('utf-8')
    self.assertEqual(
      list(range(1, 24)),
      list(map(int, re.findall(r'^(\d+)\. ', text, re.MULTILINE))))
    # There is none of these numbers.
    gaps = {24, 30, 33}
    self.assertEqual(
      set(range(1, 40)) - gaps,
      set(map(int, re.findall(r'\bW(\d+)', text))))


if __name__ == '__main__':
  unittest.main()
