"""How long an archive keeps its increments."""
import re

_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'D': 86400, 'W': 7 * 86400,
          'M': 30 * 86400, 'Y': 365 * 86400}


def seconds(duration):
  """Return rdiff-backup's `duration`, such as ``2W``, in seconds.

  A number of backups (``10B``) is None.
  """
  if duration.endswith('B'):
    return None
  return sum(int(number) * _UNITS[unit]
             for number, unit in re.findall(r'(\d+)([smhDWMY])', duration))


def oldest_kept(times, older_than, now):
  """Return before which time increments are to be removed, or None if there
  are none.

  times: of the generations, the oldest first.  older_than: a duration, or how
  many are kept beside the newest, which always is.
  """
  age = seconds(older_than)
  if age is None:
    moment = times[-1 - int(older_than[:-1]):][0] if times else 0
  else:
    moment = now - age
  if any(when < moment for when in times[:-1]):
    return min(moment, times[-1])
  return None
