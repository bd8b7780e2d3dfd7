"""What the value of a parameter may be.

Each function returns the value as the code wants it.  Raises ValueError, which
says what is allowed, as the end of the sentence "it must be ...".
"""
import os
import re


def text(value):
  """Return `value` as a text that is not empty."""
  if not isinstance(value, str) or not value:
    raise ValueError('a text that is not empty')
  return value


def optional(value):
  """Return `value` as any text, or none."""
  return '' if value is None else str(value)


def name(value):
  """Return `value` as a name that is safe in paths and commands."""
  if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9_.-]*', text(value)):
    raise ValueError('letters, digits, "_", "." and "-" alone')
  return value


def path(value):
  """Return `value` as an absolute path."""
  if not os.path.isabs(text(value)):
    raise ValueError('an absolute path')
  return os.path.normpath(value)


def seconds(value):
  """Return `value` as a number of seconds."""
  try:
    number = int(str(value))
  except ValueError:
    number = 0
  if number < 1:
    raise ValueError('a whole number of seconds, at least 1')
  return number


def size(value):
  """Return `value` as a number of bytes."""
  try:
    number = int(str(value))
  except ValueError:
    number = 0
  if number < 1:
    raise ValueError('a whole number of bytes, at least 1')
  return number


def port(value):
  """Return `value` as a port."""
  try:
    number = int(str(value))
  except ValueError:
    number = 0
  if not 0 < number < 65536:
    raise ValueError('a port, from 1 to 65535')
  return number


def cron(value):
  """Return `value` as a time of cron."""
  # Imported here: a gate on a clone has no time of cron, and must start fast.
  import croniter
  if (len(text(value).split()) not in (1, 5)
      or not croniter.croniter.is_valid(value)):
    raise ValueError('a time of cron, like "0 * * * *"')
  return value


def words(value):
  """Return `value` as words between spaces."""
  return optional(value).split()


def objects(value):
  """Return `value` as a list of objects."""
  if value in (None, ''):
    return []
  if not (isinstance(value, list)
          and all(isinstance(item, dict) for item in value)):
    raise ValueError('a list of objects')
  return value
