"""The schemas of lapp and lamp: true to themselves, and to the code."""
import json
import unittest

import jsonschema
import referencing
import referencing.jsonschema

from database import configuration

from .partition import ROOT

_VALID = (
  {},
  {'resilient-clone-number': 2, 'remove-backup-older-than': '1M',
   'resiliency-backup-periodicity': '0 * * * *',
   '-sla-1-computer_guid': 'COMP-1', 'database-name': 'shop_1',
   'database-port': 5432, 'database-memory': 1024,
   'database-connections': 200, 'database-settings': {'a': '1', 'b': 2},
   'document-root-url': 'https://example.org/a.tar.gz',
   'document-root-sha256': 'a' * 64},
)
_INVALID = (
  {'database-nmae': 'shop'},
  {'database-name': 'Shop'},
  {'database-name': ''},
  {'database-port': 80},
  {'database-memory': 1},
  {'database-connections': 0},
  {'database-settings': []},
  {'document-root-url': 'https://example.org/a.tar.gz'},
  {'document-root-url': 'ftp://example.org/a',
   'document-root-sha256': 'a' * 64},
  {'document-root-sha256': 'abc'},
  {'resilient-clone-number': -1},
)


def load(name):
  """Return the schema in file `name` of the project."""
  return json.loads((ROOT / name).read_text())


def validator(name):
  """Return the validator of a schema, which may refer to other files."""
  def retrieve(uri):
    # Paths are of the project's top, as those of its URL.
    return referencing.Resource.from_contents(
      load(uri.removeprefix('http://project/')),
      referencing.jsonschema.DRAFT202012)

  schema = dict(load(name), **{'$id': 'http://project/' + name})
  return jsonschema.Draft202012Validator(
    schema, registry=referencing.Registry(retrieve=retrieve))


class SchemasTest(unittest.TestCase):
  """Each test looks at both releases."""

  def test_they_are_schemas(self):
    for release in ('lapp', 'lamp'):
      types = load(release + '/software.cfg.json')['software-type']
      for name in (types['default'][key] for key in ('request', 'response')):
        jsonschema.Draft202012Validator.check_schema(
          load('%s/%s' % (release, name)))
    jsonschema.Draft202012Validator.check_schema(
      load('database/database-schema.json'))

  def test_good_and_bad_parameters(self):
    for release in ('lapp', 'lamp'):
      checked = validator(release + '/instance-input-schema.json')
      for parameters in _VALID:
        with self.subTest(parameters):
          checked.validate(parameters)
      for parameters in _INVALID:
        with self.subTest(parameters), \
            self.assertRaises(jsonschema.ValidationError):
          checked.validate(parameters)

  def test_published_values(self):
    values = {'url': 'http://[::1]:1/', 'takeover-%s-1-url': 'http://[::1]:2/',
              'takeover-%s-1-password': 'x',
              'takeover-%s-1-fingerprint': 'none', 'feed-url-%s-1-pull': 'http://x',
              'feed-url-%s-1-push': 'http://x'}
    for release, scheme in (('lapp', 'postgresql'), ('lamp', 'mysql')):
      checked = validator(release + '/instance-output-schema.json')
      published = {key.replace('%s', release): value
                   for key, value in values.items()}
      url = scheme + '://application:x@[::1]:3/application'
      checked.validate({**published, 'database-url': url})
      with self.assertRaises(jsonschema.ValidationError):
        checked.validate({**published, 'database-url': url, 'other': 'x'})

  def test_defaults_are_those_of_the_code(self):
    places = {'role': 'leader', 'contents-directory': '/c', 'host': '::1',
              'run-directory': '/r', 'sample': '/s', 'port': '1'}
    made = configuration.Configuration(places)
    properties = load('database/database-schema.json')[
      '$defs']['database-parameters']['properties']
    for name, schema in properties.items():
      with self.subTest(name):
        value = getattr(made, name.replace('-', '_'))
        self.assertEqual(schema.get('default', value or None), value or (
          {} if schema['type'] == 'object' else None))
    for parameters in _INVALID:
      if any(name.startswith(('database-', 'document-'))
             and value != '' for name, value in parameters.items()):
        with self.subTest(parameters), \
            self.assertRaises(configuration.InvalidParameter):
          configuration.Configuration({**places, **parameters})


if __name__ == '__main__':
  unittest.main()
