"""A value of any JSON type is the same when buildout has read it."""
import io
import unittest

from hypothesis import example, given, settings, strategies
from zc.buildout import configparser, resilient_values

from .macros import render

_VALUES = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats(allow_nan=False, allow_infinity=False)
  | strategies.text(),
  lambda inner: strategies.lists(inner) | strategies.dictionaries(
    strategies.text(), inner), max_leaves=8)
_NAMES = strategies.text(
  strategies.characters(exclude_categories=['C', 'Z'],
                        exclude_characters='{}[]=:$'), min_size=1).filter(
  lambda name: name[-1] not in '+-' and name.split() == [name]
  and name not in ('namebase', 'number', 'name', 'authorized-key', 'notify',
                   'on-notification'))


class TestValues(unittest.TestCase):
  """Parameters of the leader."""

  @settings(deadline=None, max_examples=300)
  @given(_NAMES, _VALUES)
  @example('p', '${a:b} $$ $ % %(c)s ; # !py! \\x24 \\')
  @example('p', '[section]\n<= other\nname = x\n\n  y')
  @example('p', {'<clone>': ['\x00\x1f\x85\u2028\U0001f600', 1e300, -0.5]})
  @example('p', True)
  @example('é+x', '')
  def test_any_value_is_read_as_it_was_given(self, name, value):
    text = render(
      '{{ replicated.replicate("data", 1, "e", "i", "", "", parameters) }}',
      parameters={name: value})
    sections = configparser.parse(io.StringIO(text), 'root')
    written = sections['request-data']['config-' + name]
    # Buildout would replace references, and cut comments off.
    self.assertFalse(set('$;%') & set(written), written)
    found = resilient_values.decoded(written)
    self.assertEqual((type(value), value), (type(found), found))
    self.assertEqual(
      not isinstance(value, str),
      'replicated-request-serialised' in sections['request-data']['<'])
    self.assertEqual({name: value}, resilient_values.decoded(
      sections['replicated-service-data']['parameters']))


if __name__ == '__main__':
  unittest.main()
