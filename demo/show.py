"""What the user sees: lines with the time, tables, durations."""
import contextlib
import pathlib
import time


class Failure(Exception):
  """One line for the user; `log` is the file that tells more, or None."""

  def __init__(self, message, log=None):
    super().__init__(message)
    self.log = log


class _Screen:
  """Where lines go: to standard output, and to a file if there is one."""

  def __init__(self):
    self.started = time.monotonic()
    self.log = None


_SCREEN = _Screen()


def log_to(path):
  """Keep the lines of this run in file `path`, too."""
  _SCREEN.log = pathlib.Path(path)
  _SCREEN.log.parent.mkdir(parents=True, exist_ok=True)
  with _SCREEN.log.open('a') as output:
    output.write(time.strftime('\n--- %Y-%m-%d %H:%M:%S\n'))


def say(text=''):
  """Print `text`, each line with the seconds since the start."""
  for line in text.splitlines() or ['']:
    line = '%6.1f s  %s' % (time.monotonic() - _SCREEN.started, line)
    print(line.rstrip(), flush=True)
    if _SCREEN.log:
      # The log may be gone by now: clean removes it.
      with contextlib.suppress(OSError), _SCREEN.log.open('a') as output:
        output.write(line.rstrip() + '\n')


def heading(number, text):
  """Print the title of a step."""
  say()
  say('%d. %s' % (number, text))


def duration(seconds):
  """Return a duration for people: ``3 s``, ``4 min``, ``2.0 h``, ``3.1 d``."""
  seconds = max(0, seconds)
  if seconds < 100:
    return '%.0f s' % seconds
  if seconds < 6000:
    return '%.0f min' % (seconds / 60)
  if seconds < 48 * 3600:
    return '%.1f h' % (seconds / 3600)
  return '%.1f d' % (seconds / 86400)


def table(header, rows):
  """Return a table as text, with columns as wide as they need to be.

  header: names of the columns.  rows: lists of as many texts.
  """
  lines = [list(header), *([str(cell) for cell in row] for row in rows)]
  widths = [max(len(line[column]) for line in lines)
            for column in range(len(header))]
  lines.insert(1, ['-' * width for width in widths])
  return '\n'.join('  '.join(
    cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
    for line in lines)
