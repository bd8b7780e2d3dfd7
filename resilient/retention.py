"""How long an archive keeps its increments."""
import re
import time

from .clock import past
from .durable import read_note
from .generation import from_json

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


def present(configuration, name, index):
  """Return the time by this machine's clock, or by that of the leader of
  archive `name` as the leader last said it, if that is earlier: one clock that
  is ahead makes nothing old.  In seconds since 1970-01-01 UTC.

  index: of the archive, as it returns it.
  """
  told, generation = read_note(
    configuration.state('source-%s.json' % name), lambda said: (
      said.get('now'), from_json(said.get('generation'))), (None, None))
  if not isinstance(told, (int, float)):
    # A leader of an older release says when it sealed, and no more.
    newest = generation or (index and index[-1][1])
    told = newest.sealed if newest else 0
  return min(time.time(), told)


def _origins(index, now):
  """Return when each generation of `index` came to be, as late as that can have
  been.

  Two clocks say so: the leader's when it sealed, and the PBS's when it pulled.
  What one of them says is not believed if it is after `now`; a generation that
  none of them dates is as young as the next one.
  """
  origins, following = [], now
  for when, generation in reversed(index):
    following = max(
      past(when, now), past(generation.sealed, now)) or following
    origins.append(following)
  return origins[::-1]


def oldest_kept(index, older_than, now):
  """Return before which time increments are to be removed, or None if there
  are none.

  index: of the archive, as it returns it.  older_than: a duration, or how many
  generations are kept beside the newest, which always is.
  """
  times = [when for when, _ in index]
  if not times:
    return None
  age = seconds(older_than)
  if age is None:
    kept = times[-1 - int(older_than[:-1]):]
  else:
    kept = [when for when, origin in zip(
      times, _origins(index, now), strict=True) if origin >= now - age]
  oldest = kept[0] if kept else times[-1]
  return oldest if oldest != times[0] else None
