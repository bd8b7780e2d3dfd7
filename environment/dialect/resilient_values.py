"""Options that are no strings: values, and the profile text that holds them.

Inside buildout every option is *profile text*, as it stands in a profile:

- ``$$`` stands for one ``$``;
- ``!py!<literal>`` stands for a value that is no string, or for a string
  that cannot be written plainly.

``decoded`` turns text into the value that a recipe sees, ``encoded`` is its
inverse.  A reference ``${a:b}`` copies text, so an option that is exactly one
reference keeps the type of its target, and None is a value like any other.
"""
import ast
import collections.abc

PREFIX = '!py!'
# None of these may stand in a literal: buildout would substitute, a
# configuration parser would see a comment, and .installed.cfg has its own use
# for "%(".
ESCAPED = {character: '\\x%02x' % ord(character) for character in '$;%'}


def dumps(value):
  """Given a value, return profile text of one ASCII line that stands for it.

  Accepts None, bool, int, float, bytes, str, list, tuple, set and mappings,
  nested at will.  Mappings and sets are written in a stable order, so that
  equal values give equal text.
  Raise TypeError for any other type, ValueError for what does not come back
  equal (not a number, infinity).
  """
  text = literal(value)
  for character, escape in ESCAPED.items():
    text = text.replace(character, escape)
  if ast.literal_eval(text) != value:
    raise ValueError('no literal stands for %r' % (value,))
  return PREFIX + text


def loads(text):
  """Given text made by dumps, return the value.

  Raise ValueError if it is no such text.
  """
  if not text.startswith(PREFIX):
    raise ValueError('%r does not begin with %s' % (text, PREFIX))
  try:
    return ast.literal_eval(text[len(PREFIX):])
  except SyntaxError as error:
    raise ValueError('%r is no literal: %s' % (text, error)) from error


def literal(value):
  """Return the Python literal of a value.  Raise TypeError as dumps does."""
  if type(value) in (type(None), bool, int, float, bytes):
    return repr(value)
  if isinstance(value, str):
    return ascii(str.__str__(value))
  if isinstance(value, collections.abc.Mapping):
    return '{%s}' % ', '.join(sorted(
      '%s: %s' % (literal(key), literal(item)) for key, item in value.items()))
  if isinstance(value, list):
    return '[%s]' % ', '.join(map(literal, value))
  if isinstance(value, tuple):
    return '(%s)' % ''.join(literal(item) + ', ' for item in value)
  if isinstance(value, set):
    return '{%s}' % ', '.join(sorted(map(literal, value))) if value else 'set()'
  raise TypeError('an option cannot hold %r of type %s'
                  % (value, type(value).__name__))


def decoded(text):
  """Given profile text without references, return its value.

  Raise ValueError if it begins as a literal and is none.
  """
  return loads(text) if text.startswith(PREFIX) else text.replace('$$', '$')


def encoded(value):
  """Given a value, return profile text for it, plain if it can be.

  Raise TypeError and ValueError as dumps does.
  """
  if isinstance(value, str) and not value.startswith(PREFIX):
    return value.replace('$', '$$')
  return dumps(value)


def saved(value):
  """Given a value, return profile text that survives .installed.cfg.

  The parser of that file strips lines and drops empty ones, and its encoding
  is that of the locale: what would suffer is written as a literal.
  Raise TypeError and ValueError as dumps does.
  """
  text = encoded(value)
  plain = text.isascii() and '%(' not in text and all(
    line.isprintable() and line.strip() == line and (line or not text)
    for line in text.split('\n'))
  return text if plain else dumps(value)
