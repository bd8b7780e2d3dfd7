"""What the parameters of an instance may be: JSON schemas, applied.

Schemas are of draft 2020-12.  They are the one place of a parameter's default,
of its limits, and of what an error says.
"""
import json
import re

import jsonschema

from . import parameter, schema_file

_SHOWN = 120


class InvalidParameters(Exception):
  """One line, which names each wrong parameter, its value, and what is
  allowed."""


# Formats of ours: each returns the value as the code wants it.
_FORMATS = {
  'resilient-periodicity': parameter.periodicity,
  'resilient-retention': parameter.retention,
}
_CHECKER = jsonschema.FormatChecker(formats=())
for _name, _check in _FORMATS.items():
  _CHECKER.checks(_name, ValueError)(
    lambda value, check=_check: not isinstance(value, str) or check(value))


def _pattern(validator, pattern, value, _):
  # In Python "$" is true before a last newline, too; in a schema it is not.
  if isinstance(value, str) and not re.search(
      re.sub(r'(?<!\\)\$$', r'\\Z', pattern), value):
    yield jsonschema.ValidationError('it does not match ' + pattern)


_Validator = jsonschema.validators.extend(
  jsonschema.Draft202012Validator, {'pattern': _pattern})


def _allowed_number(schema):
  low, high = schema.get('minimum'), schema.get('maximum')
  words = 'a whole number' if schema['type'] == 'integer' else 'a number'
  if low is not None and high is not None:
    return '%s from %s to %s' % (words, low, high)
  if low is not None:
    return '%s, at least %s' % (words, low)
  return words if high is None else '%s, at most %s' % (words, high)


def allowed(schema):
  """Return what a value may be, as the end of a sentence "it must be ...".

  '' if only the error itself can tell.
  """
  def several(values):
    values = [json.dumps(value, ensure_ascii=False) for value in values]
    return ' or '.join(filter(None, (', '.join(values[:-1]), values[-1])))

  if 'enum' in schema:
    return several(schema['enum'])
  kind = schema.get('type')
  if kind in ('integer', 'number'):
    return _allowed_number(schema)
  if kind == 'boolean':
    return 'true or false'
  if kind == 'string':
    if schema.get('examples'):
      return 'like ' + several(schema['examples'])
    return 'a text'
  return ''


def _show(value):
  text = repr(value)
  return text if len(text) <= _SHOWN else text[:_SHOWN] + '...'


def _converted(value, schema):
  """Return `value`, which may be the text of a number, a truth or an object:
  some masters know nothing but texts."""
  kind = schema.get('type')
  try:
    if kind == 'integer' and isinstance(value, (str, float)):
      # int() takes more than digits, and 1.0 is an integer for a schema.
      if isinstance(value, float):
        return int(value) if value.is_integer() else value
      return int(value) if re.fullmatch('-?[0-9]+', value) else value
    if kind == 'number' and isinstance(value, str):
      return float(value)
    if kind == 'object' and isinstance(value, str):
      found = json.loads(value)
      return found if isinstance(found, dict) else value
  except (ValueError, RecursionError):
    return value
  if kind == 'boolean' and isinstance(value, str):
    return {'true': True, 'false': False}.get(value.lower(), value)
  return value


class Schema:
  """The schema in file `path`.

  more: folders of schemas that it refers to, as in schema_file.read.
  Raises OSError, ValueError, KeyError for a schema that is none.
  """

  def __init__(self, path, *more):
    schema = schema_file.read(path, *more)
    self.properties = schema_file.collect(schema, 'properties')
    self._patterns = schema_file.collect(schema, 'patternProperties')
    self._validator = _Validator(schema, format_checker=_CHECKER)

  def _of(self, name):
    """Return what is said of parameter `name`, or None."""
    if name in self.properties:
      return self.properties[name]
    return next((schema for pattern, schema in self._patterns.items()
                 if re.search(pattern, name)), None)

  def check(self, values):
    """Return two dictionaries: `values` as the schema has them; and all that
    the schema names, with defaults, and '' for what has none.

    An empty text, and None, is a parameter that was not given.
    Raises InvalidParameters.
    """
    if not isinstance(values, dict):
      raise InvalidParameters(
        'the parameters are %s, and must be an object' % _show(values))
    given = {}
    for name, value in values.items():
      if name in self.properties:
        if value is None or value == '':
          continue
        value = _converted(value, self.properties[name])
      given[name] = value
    sentences = self._sentences(given)
    if sentences:
      raise InvalidParameters('; '.join(sentences))
    complete = {name: given.get(name, schema.get('default', ''))
                for name, schema in self.properties.items()}
    for name, schema in self.properties.items():
      if complete[name] and schema.get('format') in _FORMATS:
        complete[name] = _FORMATS[schema['format']](complete[name])
    return given, complete

  def _sentences(self, given):
    """Return what is wrong, a sentence for each parameter."""
    found, general = {}, []
    for error in self._validator.iter_errors(given):
      if error.absolute_path:
        name = error.absolute_path[0]
        found.setdefault(name, self._wrong(name, given[name], error))
      elif error.validator in ('unevaluatedProperties',
                               'additionalProperties'):
        for name in given:
          if self._of(name) is None:
            found[name] = self._unknown(name, given[name])
      elif error.validator == 'required':
        for name in error.validator_value:
          if name not in given:
            found[name] = 'parameter %s is missing' % name
      elif error.validator == 'dependentRequired':
        for name, others in error.validator_value.items():
          for other in set(others) - given.keys() if name in given else ():
            found[other] = 'parameter %s is missing, and %s needs it' % (
              other, name)
      else:
        general.append('the parameters: ' + _line(error.message))
    return [found[name] for name in sorted(found)] or general

  def _wrong(self, name, value, error):
    # Of a value inside a parameter only the error can tell.
    what = '' if len(error.absolute_path) > 1 else allowed(self._of(name) or {})
    return 'parameter %s is %s, and must be %s' % (
      _line(name), _show(value), what or 'right: ' + _line(error.message))

  def _unknown(self, name, value):
    known = [*self.properties, *(
      pattern.strip('^$').replace('.+', '...') for pattern in self._patterns)]
    return 'parameter %s is %s, and is unknown; there are: %s' % (
      _line(name), _show(value), ', '.join(known))


def _line(text):
  """Return `text` in one line that is not too long."""
  text = text if text.isprintable() else repr(text)
  return text if len(text) <= _SHOWN else text[:_SHOWN] + '...'


def main(path, more, source, target):
  """Check the parameters in `source`, JSON, by the schema in file `path`, and
  write {"given": ..., "complete": ...} to `target`.

  Raises InvalidParameters.
  """
  given, complete = Schema(path, *more).check(json.load(source))
  json.dump({'given': given, 'complete': complete}, target)
  return 0
