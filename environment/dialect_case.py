"""Test case: a folder with a recipe, and a real buildout run there.

Buildout runs in a process of its own, a fork of this one, whose zc.buildout
must have the dialect.
"""
import configparser
import os
import pathlib
import sys
import tempfile
import textwrap
import unittest

import pkg_resources
import zc.buildout.buildout

VALUE = {
  'text': 'a$b $$ ${x:y} 100% %(here)s ; # "\'\\ {{ x }}\n\n  spaces \t\r\x0b',
  'letters': 'é 東京 \u2028 \x85 \N{SNOWMAN}',
  'list': [None, True, 1, 1.5, [], {}, (1,), (), b'\x00$;'],
  'looks': ['!py!1', '!py!', '${a:b}', ''],
}
RECIPE = '''
from zc.buildout import UserError

class Recorder:
  """Write what a recipe sees; ``code`` runs in __init__, ``fail`` fails."""

  def __init__(self, buildout, name, options):
    self.options = options
    exec(options.get('code', ''), {'options': options, 'buildout': buildout})

  def record(self, how):
    with open(self.options['output'] + '.' + how, 'a') as output:
      print(ascii(self.options.get('value', 'no value')), file=output)
    if self.options.get('fail') == how:
      raise UserError('as was asked')
    return self.options.get('created', [])

  def install(self):
    return self.record('install')

  def update(self):
    return self.record('update')
'''


class BuildoutTestCase(unittest.TestCase):
  """A folder with a recipe, and verbs to run buildout in it."""

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name).resolve()
    source = self.folder / 'source'
    source.mkdir()
    (source / 'recorder.py').write_text(RECIPE)
    egg_info = source / 'recorder.egg-info'
    egg_info.mkdir()
    (egg_info / 'PKG-INFO').write_text(
      'Metadata-Version: 1.0\nName: recorder\nVersion: 0\n')
    (egg_info / 'entry_points.txt').write_text(
      '[zc.buildout]\ndefault = recorder:Recorder\n')

  def write(self, name, text):
    path = self.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding='utf-8')
    return path

  def start(self, *arguments):
    """Start a buildout in the folder; return its process id.

    A fork of this process has buildout imported already: ten times as fast.
    Its output goes to the file ``output``.
    """
    process = os.fork()
    if process == 0:
      status = 1
      try:
        os.chdir(self.folder)
        sys.stdout = sys.stderr = open('output', 'w', buffering=1)
        source = str(self.folder / 'source')
        sys.path.insert(0, source)
        pkg_resources.working_set.add_entry(source)
        zc.buildout.buildout.main(
          ['-U', 'buildout:newest=false', *arguments])
        status = 0
      except SystemExit as exit:
        status = exit.code
      finally:
        os._exit(status)
    return process

  def buildout(self, text=None, *arguments, status=0):
    """Run buildout, on buildout.cfg written from ``text``; return its output.

    Fail if the exit status is another; None stands for any.
    """
    if text is not None:
      self.write('buildout.cfg', text)
    process = self.start(*arguments)
    result = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    output = (self.folder / 'output').read_text()
    if status is not None:
      self.assertEqual(result, status, output)
    return output

  def part(self, text, head=''):
    """Run a buildout of one part ``p``; ``text`` are its further options."""
    return self.buildout(
      '[buildout]\nparts = p\n%s\n[p]\nrecipe = recorder\n'
      'output = ${buildout:directory}/p\n%s\n'
      % (textwrap.dedent(head), textwrap.dedent(text)))

  def seen(self, how='install', part='p'):
    """Return what the recipe saw as ``value`` in its last call."""
    lines = (self.folder / ('%s.%s' % (part, how))).read_text().splitlines()
    return eval(lines[-1])

  def calls(self, how, part='p'):
    path = self.folder / ('%s.%s' % (part, how))
    return len(path.read_text().splitlines()) if path.exists() else 0

  def installed(self):
    """Return .installed.cfg as a strict parser reads it."""
    parser = configparser.RawConfigParser()
    parser.read(self.folder / '.installed.cfg')
    return parser
