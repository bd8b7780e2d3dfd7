"""A cron with dcron's command line: runs the entries of a directory at their
times, in the foreground.

An entry is a file of lines ``minute hour day month weekday command``, or
``@hourly command`` and its like; ``#`` begins a comment line.  The command is
for the shell.  No entry runs twice at the same time.
"""
import argparse
import datetime
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time

import croniter

log = logging.getLogger('crond')


class Stopped(BaseException):
  """SIGTERM: end what runs, and leave."""


def parse(text):
  """Return ([(expression, command)], sentences on lines that are wrong)."""
  found, wrong = [], []
  for number, line in enumerate(text.splitlines(), 1):
    line = line.strip()
    if not line or line.startswith('#'):
      continue
    count = 1 if line.startswith('@') else 5
    words = line.split(None, count)
    expression = ' '.join(words[:count])
    if len(words) <= count or not croniter.croniter.is_valid(expression):
      wrong.append('line %d is no cron entry: %s' % (number, line))
      continue
    found.append((expression, words[count]))
  return found, wrong


def entries(directory):
  """Return [(name, expression, command)] of all entries in `directory`."""
  found = []
  for name in sorted(os.listdir(directory)):
    path = os.path.join(directory, name)
    if name.startswith('.') or not os.path.isfile(path):
      continue
    with open(path, encoding='utf-8', errors='surrogateescape') as source:
      good, wrong = parse(source.read())
    for sentence in wrong:
      log.error('%s: %s', path, sentence)
    found.extend((name, expression, command) for expression, command in good)
  return found


class Cron:
  """The entries of `directory` and what runs of them."""

  def __init__(self, directory):
    self._directory = directory
    self._running = {}

  def tick(self, minute):
    """Start what is due in `minute`, a datetime."""
    for entry in entries(self._directory):
      name, expression, command = entry
      if not croniter.croniter.match(expression, minute):
        continue
      if entry in self._running:
        log.warning('%s is still running, and is not started again', name)
        continue
      log.info('%s: %s', name, command)
      self._running[entry] = subprocess.Popen(
        ['/bin/sh', '-c', command], stdin=subprocess.DEVNULL,
        start_new_session=True)

  def reap(self):
    """Log what has ended."""
    for entry, process in list(self._running.items()):
      status = process.poll()
      if status is not None:
        del self._running[entry]
        if status:
          log.error('%s failed with status %d', entry[0], status)
        else:
          log.info('%s finished successfully', entry[0])

  def stop(self):
    """End what runs."""
    for process in self._running.values():
      try:
        os.killpg(process.pid, signal.SIGTERM)
      except ProcessLookupError:
        pass


def _stop(*_):
  raise Stopped


def _arguments(argv):
  parser = argparse.ArgumentParser(prog='crond', description=__doc__)
  parser.add_argument('-s', dest='entries', required=True,
                      help='directory of the entries')
  parser.add_argument('-L', dest='log', help='log file')
  for option, meaning in (
      ('-c', 'crontabs'), ('-t', 'stamps'), ('-l', 'level of the log'),
      ('-M', 'program that mails')):
    parser.add_argument(option, help='%s, of no effect here' % meaning)
  parser.add_argument('-f', action='store_true',
                      help='stay in the foreground, as always here')
  return parser.parse_args(argv)


def main(argv=None):
  """Serve until SIGTERM.  Returns the exit status."""
  arguments = _arguments(argv)
  logging.basicConfig(
    level=logging.INFO,
    handlers=[logging.handlers.WatchedFileHandler(arguments.log)
              if arguments.log else logging.StreamHandler(sys.stderr)],
    format='%(asctime)s %(levelname)-7s %(message)s')
  logging.Formatter.converter = time.gmtime
  signal.signal(signal.SIGTERM, _stop)
  cron = Cron(arguments.entries)
  # The first minute is begun already, and belongs to whoever ran before.
  last = datetime.datetime.now().replace(second=0, microsecond=0)
  log.info('cron has started with %d entries', len(entries(arguments.entries)))
  try:
    while True:
      cron.reap()
      minute = datetime.datetime.now().replace(second=0, microsecond=0)
      # Minutes that were missed, and a clock that jumps, are not made up for:
      # an export at the next time seals the newest state anyway.
      if minute != last:
        cron.tick(minute)
        last = minute
      time.sleep(min(10, 60 - time.time() % 60 + 0.05))
  except Stopped:
    log.info('cron has stopped')
    return 0
  finally:
    cron.stop()
