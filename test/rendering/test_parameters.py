"""What the profiles do with the parameters of an instance."""
import os
import pathlib
import shutil
import sys
import tempfile
import textwrap
import types
import unittest

import jinja2
import zc.buildout

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def init(profile, section, **context):
  """Return the code in option "init" of a section of a profile."""
  environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_ROOT))
  text = environment.get_template(profile).render(context)
  code = text.split('\n[%s]\n' % section)[1].split('init =\n')[1]
  return textwrap.dedent(code.split('\n\n')[0])


class ParametersCase(unittest.TestCase):
  """The code that buildout runs, with the real command."""

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.bin = folder.name
    command = pathlib.Path(folder.name, 'resilient')
    command.write_text(
      '#!/bin/sh\ncd %s && exec %s -m resilient.command "$@"\n' % (
        _ROOT, sys.executable))
    os.chmod(command, 0o700)

  def run_code(self, profile, section, given, options):
    """Return the options of the section, for parameters `given`."""
    code = init(profile, section, bin_directory=self.bin, schemas=str(_ROOT))
    recipe = types.SimpleNamespace(
      buildout={'slap-configuration': {'configuration': given}})
    exec(code, {'self': recipe, 'options': options})
    return options

  def error(self, *arguments):
    """Return what buildout would say."""
    with self.assertRaises(zc.buildout.UserError) as caught:
      self.run_code(*arguments)
    return str(caught.exception)


class TestSlapParameter(ParametersCase):
  """[slap-parameter], in every partition of every release."""

  def parameters(self, given, **options):
    """Return the section's options."""
    return self.run_code(
      'resilient-base.cfg.in', 'slap-parameter', given, options)

  def test_defaults_are_filled_in(self):
    found = self.parameters({})
    self.assertEqual(
      (found['remove-backup-older-than'], found['resiliency-check-interval'],
       found['notify'], found['resiliency-maximum-age']), ('2W', 60, '', ''))

  def test_what_is_given_counts_more_than_the_profile_and_that_than_all(self):
    profile = {'namebase': 'mine', 'remove-backup-older-than': '3W',
               'resiliency-export-deadline': '7', 'extra': 'x'}
    found = self.parameters(
      {'namebase': None, 'remove-backup-older-than': '',
       'resiliency-export-deadline': '8'}, **profile)
    self.assertEqual(found['namebase'], 'mine')
    self.assertEqual(found['remove-backup-older-than'], '3W')
    self.assertEqual(found['resiliency-export-deadline'], 8)
    self.assertEqual(found['extra'], 'x')

  def test_the_services_own_parameters_stay_as_they_are(self):
    mine = {'a': {'b': [1, None, 2.5, {'$': '%\n${x:y}'}]}, 'resilience': '07',
            'ä': '\u20ac'}
    found = self.parameters(mine)
    for name, value in mine.items():
      self.assertIs(found[name], value)

  def test_a_wrong_value_is_one_line(self):
    self.assertEqual(
      self.error('resilient-base.cfg.in', 'slap-parameter', {
        'resiliency-backup-periodicity': 'hurly\nburly'}, {}),
      "parameter resiliency-backup-periodicity is 'hurly\\nburly', and must be"
      ' like "7 * * * *", "30 2 * * 1-5", "daily", "*:0/20" or "Mon 3:30"')

  def test_a_wrong_value_of_the_profile_is_told_too(self):
    self.assertIn("namebase is '../x'", self.error(
      'resilient-base.cfg.in', 'slap-parameter', {}, {'namebase': '../x'}))


class TestConfiguration(unittest.TestCase):
  """Each parameter reaches the programs that it is for."""

  def test_configuration_has_what_was_told(self):
    for profile, keys in (
        ('resilient-base.cfg.in', ('check-interval',)),
        ('pbsready-export.cfg.in', ('export-deadline', 'maximum-age')),
        ('pbsready-import.cfg.in', ('import-deadline',)),
        ('instance-pull-backup.cfg.in', (
          'transfer-deadline', 'verification-interval'))):
      text = (_ROOT / profile).read_text('utf-8')
      section = text.split('\n[resilient-configuration]\n')[1].split('\n\n')[0]
      for key in keys:
        self.assertIn(
          '%s = ${slap-parameter:resiliency-%s}' % (key, key),
          section.splitlines())

  def test_periodicity_is_that_of_the_entry_of_cron(self):
    text = (_ROOT / 'pbsready-export.cfg.in').read_text('utf-8')
    self.assertIn('\nperiodicity = ${cron-entry-backup:frequency}\n', text)
    self.assertIn('\nfrequency = ${backup-periodicity:periodicity}\n', text)

  def test_minute_is_drawn_once_for_an_instance(self):
    code = init('pbsready-export.cfg.in', 'backup-periodicity')

    def periodicity(guid, given=''):
      options = {}
      exec(code, {'options': options, 'self': types.SimpleNamespace(buildout={
        'slap-configuration': {'instance-guid': guid},
        'slap-parameter': {'resiliency-backup-periodicity': given}})})
      return options['periodicity']

    drawn = [periodicity('SOFTINST-%d' % number) for number in range(200)]
    self.assertEqual(
      drawn, [periodicity('SOFTINST-%d' % number) for number in range(200)])
    for expression in drawn:
      self.assertRegex(expression, r'^[1-5]?[0-9] \* \* \* \*$')
    self.assertGreater(len(set(drawn)), 30)
    self.assertEqual('5 4 * * *', periodicity('SOFTINST-1', '5 4 * * *'))


class TestRootParameters(ParametersCase):
  """[resilient-parameters-base], in a root instance."""

  _OPTIONS = {'schema': str(_ROOT / 'instance-resilient-input-schema.json'),
              'more': ''}

  def test_what_is_given_and_what_is_complete(self):
    found = self.run_code(
      'template-resilient-templates.cfg.in', 'resilient-parameters-base',
      {'resilient-clone-number': '3', '-sla-1-computer_guid': 'COMP-1'},
      dict(self._OPTIONS))
    # A default is not passed on, so that a profile of the leader may have
    # another.
    self.assertEqual(found['configuration'], {
      'resilient-clone-number': 3, '-sla-1-computer_guid': 'COMP-1'})
    self.assertEqual(found['complete']['resilient-clone-number'], 3)
    self.assertEqual(found['complete']['remove-backup-older-than'], '2W')

  def test_a_typing_error_is_told(self):
    self.assertIn(
      'parameter resilient-clone-numer is 3, and is unknown; there are:',
      self.error(
        'template-resilient-templates.cfg.in', 'resilient-parameters-base',
        {'resilient-clone-numer': 3}, dict(self._OPTIONS)))


class TestParametersOfADatabase(ParametersCase):
  """The same in lapp and lamp, whose schemas are in a folder each."""

  def setUp(self):
    super().setUp()
    self.folders = []
    for name in ('lapp/instance-input-schema.json',
                 'database/database-schema.json'):
      folder = tempfile.TemporaryDirectory()
      self.addCleanup(folder.cleanup)
      shutil.copy(_ROOT / name, folder.name)
      self.folders.append(folder.name)

  def arguments(self, given):
    """Return those of run_code."""
    return ('template-resilient-templates.cfg.in', 'resilient-parameters-base',
            given, {'schema': self.folders[0] + '/instance-input-schema.json',
                    'more': self.folders[1]})

  def test_texts_of_xml_are_taken_for_what_they_say(self):
    found = self.run_code(*self.arguments({
      'database-connections': '20', 'database-settings': '{"work_mem": "9MB"}',
      'database-name': None, 'remove-backup-older-than': ''}))
    self.assertEqual(found['configuration'], {
      'database-connections': 20, 'database-settings': {'work_mem': '9MB'}})

  def test_a_wrong_one_is_told_with_what_it_may_be(self):
    for given, line in (
        ({'database-connections': 1}, 'parameter database-connections is 1, and'
         ' must be a whole number from 10 to 10000'),
        ({'database-name': 'My Shop'}, 'parameter database-name is \'My Shop\','
         ' and must be like "shop" or "shop_2"'),
        ({'database-settings': '[]'}, 'parameter database-settings is \'[]\','),
        ({'database-settings': '{"a'}, 'parameter database-settings is '),
        ({'document-root-url': 'https://example.org/a.tar.gz'}, 'parameter'
         ' document-root-sha256 is missing, and document-root-url needs it'),
        ({'resiliency-backup-periodicity': 'often'},
         'parameter resiliency-backup-periodicity is \'often\', and must be'),
        ({'database-nmae': 'shop'},
         'parameter database-nmae is \'shop\', and is unknown; there are:')):
      with self.subTest(given):
        said = self.error(*self.arguments(given))
        self.assertIn(line, said)
        self.assertNotIn('\n', said)


if __name__ == '__main__':
  unittest.main()
