"""Schemas of parameters: right themselves, and applied as they say."""
import json
import re
import subprocess
import sys
import time

import croniter
import jsonschema

from resilient import parameter, schema, schema_file

from .partition import RDIFF_BACKUP, ROOT, write_tree
from .support import TestCase

_SCHEMAS = sorted(ROOT.glob('*-schema.json'))
_DESCRIPTIONS = ('software.cfg.json', 'software.cfg.internal.json')
_PARAMETERS = ROOT / 'parameter-schema.json'
_RESILIENT = schema.Schema(str(ROOT / 'instance-resilient-input-schema.json'))


def read(path):
  """Return what JSON file `path` holds; a name that is given twice is an
  error."""
  def pairs(items):
    names = [name for name, _ in items]
    assert len(names) == len(set(names)), (path, names)
    return dict(items)
  return json.loads(path.read_text('utf-8'), object_pairs_hook=pairs)


def samples(kind):
  """Return [(name, sample)] of test/samples/`kind`."""
  found = [(path.name, read(path)) for path in sorted(
    (ROOT / 'test/samples' / kind).glob('*.json'))]
  assert len(found) > 20, found
  return found


def types():
  """Return {name of a software type: description} of the release."""
  found = {}
  for name in _DESCRIPTIONS:
    found.update(read(ROOT / name)['software-type'])
  return found


class TestFiles(TestCase):
  """The schemas as files."""

  def test_each_is_valid_by_the_metaschema(self):
    self.assertGreater(len(_SCHEMAS), 10)
    for path in _SCHEMAS:
      with self.subTest(path.name):
        content = read(path)
        self.assertEqual(
          content['$schema'], 'https://json-schema.org/draft/2020-12/schema')
        jsonschema.Draft202012Validator.check_schema(content)

  def test_each_reference_leads_to_something(self):
    for path in _SCHEMAS:
      text = json.dumps(schema_file.read(str(path)))
      self.assertNotIn('$ref', text, path.name)

  def test_a_reference_to_nothing_or_to_itself_is_an_error(self):
    for reference, error in (
        ('none.json', OSError), ('#/$defs/none', KeyError), ('#', ValueError)):
      with open(self.path('x.json'), 'w', encoding='ascii') as output:
        json.dump({'properties': {'x': {'$ref': reference}}}, output)
      with self.subTest(reference), self.assertRaises(error):
        schema_file.read(self.path('x.json'))

  def test_a_schema_elsewhere_may_refer_to_the_stacks(self):
    with open(self.path('x.json'), 'w', encoding='ascii') as output:
      json.dump({'$ref': '../parameter-schema.json'}, output)
    found = schema.Schema(self.path('x.json'), str(ROOT))
    self.assertIn('namebase', found.properties)

  def test_a_reference_is_to_the_file_that_it_names(self):
    for name, reference in (
        ('a/x.json', '../b/x.json#/$defs/b'), ('b/x.json', '../x.json'),
        ('x.json', None)):
      content = {'properties': {name: {}}} if reference is None else {
        'allOf': [{'$ref': reference}]}
      write_tree(self.directory, {name: json.dumps(
        {**content, '$defs': {'b': {**content, 'properties': {name: {}}}}})})
    found = schema.Schema(self.path('a/x.json'))
    self.assertEqual({'b/x.json', 'x.json'}, set(found.properties))

  def test_each_schema_belongs_to_a_type(self):
    used = {'parameter-schema.json'}
    for description in types().values():
      used |= {description['request'], description['response']}
    self.assertEqual(used, {path.name for path in _SCHEMAS})

  def test_each_type_of_the_switch_is_described_and_no_other(self):
    profile = (ROOT / 'instance.cfg.in').read_text('utf-8')
    switch = re.search(r'\[switch-softwaretype\]\n(.*?)\n\n', profile, re.S)[1]
    names = set(re.findall(r'(?m)^(\S+) =', switch)) - {'recipe'}
    self.assertEqual(names, {
      description.get('software-type', name)
      for name, description in types().items()})
    for name in _DESCRIPTIONS:
      self.assertEqual(read(ROOT / name)['serialisation'], 'json-in-xml')

  def test_each_parameter_is_explained(self):
    content = schema_file.read(str(_PARAMETERS))
    found = schema_file.collect(content, 'properties')
    self.assertGreater(len(found), 10)
    for name, item in found.items():
      self.assertIn('title', item, name)
      self.assertIn(item['type'], ('string', 'integer', 'boolean'), name)
    public = read(_PARAMETERS)['$defs']['resiliency-parameters']
    for name, item in public['properties'].items():
      self.assertTrue(item['description'].endswith('.'), name)
      for value in item.get('examples', ()):
        _RESILIENT.check({name: value})

  def test_each_default_is_right_itself(self):
    _, complete = _RESILIENT.check({})
    self.assertEqual(_RESILIENT.check(complete)[1], complete)

  def test_no_profile_and_no_module_repeats_a_default(self):
    defaults = {
      name: item['default']
      for name, item in _RESILIENT.properties.items() if 'default' in item}
    self.assertEqual(len(defaults), 9)
    files = [path for pattern in (
      '*.cfg', '*.cfg.in', 'resilient/*.py', 'payload/*.in', 'templates/*')
      for path in ROOT.glob(pattern)]
    self.assertGreater(len(files), 40)
    for path in files:
      for line in path.read_text('utf-8').splitlines():
        for name, default in defaults.items():
          # As a parameter, or as what the configuration calls it.
          names = {name, name.removeprefix('resiliency-')}
          if any(name in line for name in names):
            self.assertNotRegex(
              line, r'(?<![\w-])%s(?![\w-])' % default, path.name)
        self.assertNotRegex(line, r"'2W'|= *2W|3600 \* (6|24)|(6|24) \* 3600")

  def test_the_pattern_of_the_retention_says_what_the_code_takes(self):
    pattern = _RESILIENT.properties['remove-backup-older-than']['pattern']
    self.assertEqual('^(?:%s)$' % parameter.RETENTION.pattern, pattern)

  def test_the_table_of_the_readme_is_that_of_the_schema(self):
    result = subprocess.run(
      [sys.executable, str(ROOT / 'docs/tables.py'), '--check'],
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    self.assertEqual(result.returncode, 0, result.stdout)


class TestSamples(TestCase):
  """Parameters as users give them; test/samples says what becomes of them."""

  def test_a_valid_one_passes_and_gets_its_defaults(self):
    for name, sample in samples('valid'):
      with self.subTest(name):
        found = schema.Schema(str(ROOT / sample['schema']))
        given, complete = found.check(sample['parameters'])
        for key, value in sample['complete'].items():
          self.assertEqual(complete[key], value, key)
          self.assertIs(type(complete[key]), type(value), key)
        self.assertLessEqual(set(given), set(sample['parameters']))

  def test_an_invalid_one_fails_with_its_message(self):
    for name, sample in samples('invalid'):
      with self.subTest(name):
        found = schema.Schema(str(ROOT / sample['schema']))
        with self.assertRaises(schema.InvalidParameters) as caught:
          found.check(sample['parameters'])
        self.assertEqual(str(caught.exception), sample['message'])

  def test_what_the_schema_does_not_know_stays_as_it_is(self):
    mine = {'mine': {'a': [1, None, '$%\n']}, 'other': '', 'third': None}
    given, complete = schema.Schema(str(_PARAMETERS)).check(mine)
    self.assertEqual(given, mine)
    self.assertFalse(set(mine) & set(complete))

  def test_rdiff_backup_takes_each_retention(self):
    rdiff_backup = [RDIFF_BACKUP, '--api-version', '201']
    write_tree(self.path('source'), {'file': 'content'})
    for moment in (1_600_000_000, 1_700_000_000):
      subprocess.run(
        [*rdiff_backup, '--current-time', str(moment), 'backup',
         self.path('source'), self.path('archive')],
        check=True, capture_output=True)
    for name, sample in samples('valid'):
      value = sample['parameters'].get('remove-backup-older-than')
      if value:
        result = subprocess.run(
          [*rdiff_backup, '--force', 'remove', 'increments', '--older-than',
           value, self.path('archive')], capture_output=True, text=True)
        # 2: there was nothing to remove.
        self.assertIn(result.returncode, (0, 2), (name, result.stderr))
        self.assertNotIn('Bad time', result.stderr + result.stdout)

  def test_each_periodicity_comes(self):
    for name, sample in samples('valid'):
      value = sample['parameters'].get('resiliency-backup-periodicity')
      if value:
        expression, now = parameter.periodicity(value), time.time()
        following = croniter.croniter(expression, now).get_next(float)
        self.assertGreater(following, now, name)


class TestCommand(TestCase):
  """``resilient parameters``, as the profiles call it."""

  def run_command(self, text):
    """Return (exit status, output, errors)."""
    result = subprocess.run(
      [sys.executable, '-m', 'resilient.command', 'parameters',
       str(_PARAMETERS)], input=text, capture_output=True, text=True, cwd=ROOT)
    return result.returncode, result.stdout, result.stderr

  def test_what_is_right_comes_back_complete(self):
    status, output, errors = self.run_command(
      '{"resiliency-export-deadline": "90", "resiliency-backup-periodicity":'
      ' "hourly", "mine": "ä"}')
    self.assertEqual((status, errors), (0, ''))
    found = json.loads(output)
    self.assertEqual(found['given'], {
      'resiliency-export-deadline': 90, 'mine': 'ä',
      'resiliency-backup-periodicity': 'hourly'})
    self.assertEqual(
      found['complete']['resiliency-backup-periodicity'], '0 * * * *')

  def test_what_is_wrong_is_one_line(self):
    status, output, errors = self.run_command('{"remove-backup-older-than": 1}')
    self.assertEqual((status, output), (1, ''))
    self.assertEqual(
      errors, 'parameter remove-backup-older-than is 1, and must be like "2W",'
      ' "1M15D" or "10B"\n')
