"""What buildout reads and writes with the dialect: profiles, .installed.cfg.

One test a property.  Run with

  .node/venv/bin/python -m unittest discover -s environment
"""
import functools
import http.server
import importlib.metadata
import os
import textwrap

from dialect_case import VALUE, BuildoutTestCase
from zc.buildout.resilient_values import decoded


class TestInstalled(BuildoutTestCase):
  """.installed.cfg, and what is compared with it."""

  def test_unchanged_value_leads_to_update(self):
    text = "code = options['value'] = %r" % VALUE
    text = text.replace('$', '$$')
    self.part(text)
    self.part(text)
    self.assertEqual(self.calls('install'), 1)
    self.assertEqual(self.seen('update'), VALUE)

  def test_strings_survive_exactly(self):
    string = VALUE['text'] + VALUE['letters']
    text = ("code = options['value'] = %s" % ascii(string)).replace('$', '$$')
    self.part(text)
    self.part(text)
    self.assertEqual(self.calls('install'), 1)
    self.assertEqual(decoded(self.installed()['p']['value']), string)

  def test_changed_value_leads_to_install(self):
    self.part('value = !py![1]')
    self.part('value = !py![2]')
    self.assertEqual(self.calls('install'), 2)

  def test_changed_type_leads_to_install(self):
    for value in ('1', 'True', '1.0', '"1"'):
      self.part('value = !py!%s' % value)
    self.assertEqual(self.calls('install'), 4)

  def test_secrets_taken_out_of_copy_do_not_reinstall(self):
    text = '''
      code =
        options['secret'] = __import__('time').ctime() + str(id(options))
        stock = options.copy
        options.copy = lambda: {
          key: value for key, value in stock().items() if key != 'secret'}
      '''
    self.part(text)
    self.part(text)
    self.assertEqual((self.calls('install'), self.calls('update')), (1, 1))
    self.assertNotIn('secret', self.installed()['p'])

  def test_file_does_not_depend_on_the_locale(self):
    self.part("code = options['value'] = '\\u6771'")
    self.assertTrue((self.folder / '.installed.cfg').read_bytes().isascii())

  THREE = '''
    [buildout]
    parts = a b c
    [base]
    recipe = recorder
    output = ${buildout:directory}/${:_buildout_section_name_}
    [a]
    <= base
    [b]
    <= base
    %s
    [c]
    <= base
    '''

  def test_one_buildout_section_for_a_strict_parser(self):
    for text in ('', '', 'fail = update', 'x = 1', ''):
      self.buildout(self.THREE % text, status=None)
      self.assertIn('parts', self.installed()['buildout'])

  def test_failing_update_is_saved_as_not_installed(self):
    self.buildout(self.THREE % 'fail = update')
    self.buildout(self.THREE % 'fail = update', status=1)
    self.assertEqual(self.installed()['buildout']['parts'].split(), ['c', 'a'])
    self.buildout(self.THREE % 'fail = update')
    self.assertEqual(self.calls('install', 'b'), 2)

  def test_failing_install_keeps_what_is_installed(self):
    self.buildout(self.THREE % 'fail = install', status=1)
    self.assertEqual(self.installed()['buildout']['parts'], 'a')

  def test_unchanged_run_leaves_the_file_alone(self):
    self.buildout(self.THREE % '')
    before = (self.folder / '.installed.cfg').stat()
    self.buildout(self.THREE % '')
    after = (self.folder / '.installed.cfg').stat()
    self.assertEqual((before.st_ino, before.st_mtime_ns),
                     (after.st_ino, after.st_mtime_ns))

  def test_removed_part_is_removed_from_the_file(self):
    self.buildout(self.THREE % '')
    self.buildout((self.THREE % '').replace('a b c', 'c a'))
    self.assertEqual(self.installed().sections(), ['buildout', 'c', 'a'])

  def test_file_is_replaced_never_rewritten(self):
    self.buildout(self.THREE % '')
    path, old = self.folder / '.installed.cfg', self.folder / 'old'
    os.link(path, old)
    before = old.read_text()
    self.buildout(self.THREE % 'x = 1')
    self.assertEqual(old.read_text(), before)
    self.assertNotEqual(path.read_text(), before)


class TestBaseLocation(BuildoutTestCase):
  """``${:_profile_base_location_}``"""

  HERE = 'value = ${:_profile_base_location_}/x'
  EXTENDING = '''
    [buildout]
    extends = stack/stack.cfg
    parts = p
    '''
  PART = '''
    [p]
    recipe = recorder
    output = ${buildout:directory}/p
    '''

  def stack(self, *texts):
    self.write('stack/stack.cfg', ''.join(map(textwrap.dedent, texts)))

  def run_and_see(self, *texts):
    self.buildout(''.join(map(textwrap.dedent, texts)))
    return self.seen()

  def test_is_the_folder_of_the_file(self):
    self.stack(self.PART, self.HERE)
    self.assertEqual(self.run_and_see(self.EXTENDING),
                     '%s/stack/x' % self.folder)

  def test_stays_when_another_file_adds_to_the_section(self):
    self.stack(self.PART, self.HERE)
    self.assertEqual(self.run_and_see(self.EXTENDING, '[p]\nmore = 1\n'),
                     '%s/stack/x' % self.folder)

  def test_is_the_last_of_the_files_that_use_it_in_the_section(self):
    self.stack(self.PART, self.HERE)
    self.assertEqual(
      self.run_and_see(self.EXTENDING,
                       '[p]\nmore = ${:_profile_base_location_}\n'),
      '%s/x' % self.folder)

  def test_is_inherited_from_the_macro_that_uses_it(self):
    self.stack('[base]\n', self.HERE)
    self.assertEqual(self.run_and_see(self.EXTENDING, self.PART, '<= base\n'),
                     '%s/stack/x' % self.folder)

  def test_own_use_wins_over_the_macro(self):
    self.stack('[base]\n', self.HERE)
    self.assertEqual(
      self.run_and_see(self.EXTENDING, self.PART, '<= base\n',
                       'more = ${:_profile_base_location_}\n'),
      '%s/x' % self.folder)

  def test_is_an_url_without_dots_for_a_profile_fetched_by_url(self):
    handler = functools.partial(RecordingHandler, directory=self.folder)
    server = http.server.HTTPServer(('127.0.0.1', 0), handler)
    self.addCleanup(server.server_close)
    server.timeout = .05  # seconds
    url = 'http://127.0.0.1:%d' % server.server_port
    self.write('a/b/software.cfg', '''
      [buildout]
      extends = ../../stack/stack.cfg
      parts = p
      ''')
    self.stack(self.PART, self.HERE)
    self.write('buildout.cfg',
               '[buildout]\nextends = %s/a/b/software.cfg' % url)
    RecordingHandler.paths.clear()
    process = self.start()
    while os.waitpid(process, os.WNOHANG) == (0, 0):
      server.handle_request()
    self.assertEqual(self.seen(), url + '/stack/x')
    self.assertEqual(RecordingHandler.paths,
                     ['/a/b/software.cfg', '/stack/stack.cfg'])


class RecordingHandler(http.server.SimpleHTTPRequestHandler):
  """Serve files, and remember what was asked for."""

  paths = []

  def do_GET(self):
    self.paths.append(self.path)
    super().do_GET()

  def log_message(self, *args):
    pass


class TestSignatures(BuildoutTestCase):
  """What makes buildout install a part again when its recipe changes."""

  def test_installed_distributions_are_not_hashed(self):
    self.buildout('''
      [buildout]
      parts = t
      [t]
      recipe = slapos.recipe.template
      inline = x
      output = ${buildout:directory}/t
      ''')
    signature = self.installed()['t']['__buildout_signature__']
    version = importlib.metadata.version('slapos.recipe.template')
    self.assertRegex(signature, r'\bslapos.recipe.template-%s\b' % version)
    self.assertNotRegex(signature, r'-[0-9a-f]{32}\b')

  def test_recipe_in_development_is_hashed(self):
    self.part('')
    with (self.folder / 'source/recorder.py').open('a') as recipe:
      recipe.write('# changed\n')
    self.part('')
    self.assertEqual(self.calls('install'), 2)

  def test_own_minimum_has_no_local_version(self):
    self.part("code = options['value'] = buildout.versions['zc.buildout']")
    self.assertRegex(self.seen(), r'^>=[0-9.]+$')
