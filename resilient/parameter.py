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


def _whole(value, unit):
  try:
    number = int(str(value))
  except ValueError:
    number = 0
  if number < 1:
    raise ValueError('a whole number of %s, at least 1' % unit)
  return number


def seconds(value):
  """Return `value` as a number of seconds."""
  return _whole(value, 'seconds')


def seconds_or_none(value):
  """Return `value` as a number of seconds; 0 means none."""
  return 0 if str(value) == '0' else seconds(value)


def size(value):
  """Return `value` as a number of bytes."""
  return _whole(value, 'bytes')


def port(value):
  """Return `value` as a port."""
  try:
    number = int(str(value))
  except ValueError:
    number = 0
  if not 0 < number < 65536:
    raise ValueError('a port, from 1 to 65535')
  return number


_CRON_VALUE = (r'(?:\d{1,2}|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec'
               r'|sun|mon|tue|wed|thu|fri|sat)')
_CRON_RANGE = r'(?:\*|{0}(?:-{0})?)(?:/\d{{1,2}})?'.format(_CRON_VALUE)
_CRON_FIELD = re.compile(
  r'{0}(?:,{0})*'.format(_CRON_RANGE), re.ASCII | re.IGNORECASE)


def periodicity(value):
  """Return `value`, a time of cron or a calendar of systemd, as cron's."""
  error = ValueError(
    'a time of cron, like "7 * * * *", or of systemd\'s calendar, like "daily"'
    ' or "Mon 3:30", that comes at all')
  # Imported here: a gate on a clone has no time of cron, and must start fast.
  import croniter
  fields = value.split() if isinstance(value, str) else []
  if len(fields) != 5:
    from slapos.recipe.dcron import systemd_to_cron
    try:
      fields = systemd_to_cron(' '.join(fields)).split()
    except Exception:
      # It has no error of its own: what it cannot read, it stumbles over.
      raise error from None
  expression = ' '.join(fields)
  # More than cron knows is known to croniter: chance, the last of a month...
  if len(fields) != 5 or not all(map(_CRON_FIELD.fullmatch, fields)):
    raise error
  try:
    croniter.croniter(expression).get_next(float)
  except (ValueError, KeyError):
    raise error from None
  return expression


# Of the times that rdiff-backup takes, those that go on being true: no dates,
# no "now".  Nor a zero, which would keep no history.
RETENTION = re.compile(
  r'(?:[1-9][0-9]{0,5}[smhDWMY]){1,7}|[1-9][0-9]{0,5}B')


def retention(value):
  """Return `value` as a time or a number of backups of rdiff-backup."""
  if not isinstance(value, str) or not RETENTION.fullmatch(value):
    raise ValueError(
      'a duration of rdiff-backup, like "2W" or "1M15D", or a number of'
      ' backups, like "10B"')
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
