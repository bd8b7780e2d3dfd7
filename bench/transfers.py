"""Measure whole backups of lapp or lamp, without a node: dump, pull, push and
import.

Leader, archive and clone are on this machine, with a real sshd each.  Beside
the stack, the same by hand with the tools of the database, rdiff-backup over
ssh and rsync over ssh; where nothing is verified.
What crossed the link is what ssh says, both directions by themselves: first
that of the data.  Of several runs, the medians.
"""
import argparse
import os
import pathlib
import re
import shlex
import shutil
import statistics
import sys
import time

from demo.show import say, table
from resilient import exporter, importer, keys
from test.unit.partition import Partition
from test.unit.tree import SSH_KEYGEN, Sshd, TreeCase, USER

from .__main__ import calibrate
from .databases import (
  CHANGES,
  Databases,
  HAND,
  PROJECT,
  RDIFF_BACKUP,
  ROW,
  run,
  size,
)

_HEAD = ('by', 'changed', 'dump s', 'pull s', 'push s', 'import s', 'all s',
         'dump MiB', 'pull MiB', 'and back', 'push MiB', 'and back',
         'increment MiB')
_FORMATS = (*['%.1f'] * 5, '%.0f', *['%.1f'] * 5)
# As the stack does: a file for each table, and what is loaded by SQL.
_FORMS = {'lapp': 'pg_dump, directory', 'lamp': 'mariadb-dump'}


class _Tree(TreeCase):
  """No test: for its leader, PBS and clone."""

  def runTest(self):
    """Nothing."""


class _Link:
  """Counts what ssh transfers.

  tree: whose PBS keeps the log of its ssh.
  """

  _TOLD = re.compile(r'Transferred: sent (\d+), received (\d+) bytes')

  def __init__(self, tree):
    self._log = pathlib.Path(tree.pbs.at('var/log/ssh.log'))
    self._log.touch()
    # What is said first counts, whatever the configuration says.
    self.ssh = tree.pbs.program('ssh', (
      'exec ssh -o LogLevel=VERBOSE -E %s "$@"\n' % shlex.quote(
        str(self._log))))

  def take(self):
    """Return the MiB (sent, received) since the last time."""
    told = self._TOLD.findall(self._log.read_text(errors='replace'))
    self._log.write_text('')
    if not told:
      raise SystemExit('ssh does not say what it transferred')
    return [sum(map(int, column)) / (1 << 20) for column in zip(*told)]


def _timed(function, *arguments):
  started = time.perf_counter()
  if not function(*arguments):
    raise SystemExit('%s failed' % function.__name__)
  return time.perf_counter() - started


class _Stack:
  """Backups by the stack."""

  name = 'the stack'

  def __init__(self, tree, databases, link):
    self._tree = tree
    tree.configure(ssh=link.ssh)
    for partition, place, command in (
        (tree.leader, databases.leader, 'export'),
        (tree.clone, databases.clone, 'import')):
      partition.program('data-%ser' % command, (
        'PYTHONPATH=%s exec %s\n' % (PROJECT, shlex.join(
          place.line(command, '--dump', partition.dump)))))
    self.dump = pathlib.Path(tree.leader.dump)
    self.archive = pathlib.Path(tree.archive.path)

  def export(self):
    """Dump and seal; each returns the seconds."""
    return _timed(lambda: not exporter.main(self._tree.leader.configuration))

  def pull(self):
    """Bring the dump to the archive."""
    return _timed(self._tree.run_task, 'pull')

  def push(self):
    """Bring it to the clone."""
    return _timed(self._tree.run_task, 'push')

  def load(self):
    """Load it there."""
    return _timed(importer.task, self._tree.clone.configuration)


class _Hand:
  """The same by hand."""

  def __init__(self, tree, databases, link):
    self._databases = databases
    self.name = _FORMS[databases.release]
    key = keys.ensure(tree.pbs.at('etc/key'), '', SSH_KEYGEN)
    far = Partition(tree.path('far'), 'export', {})
    self._sshd = Sshd(tree, far, '')
    pathlib.Path(far.at('etc/authorized_keys')).write_text(key + '\n')
    self.dump, self.archive, self._copy = (
      pathlib.Path(tree.path(name)) for name in ('dump', 'archive', 'copy'))
    self._ssh = shlex.join(
      [link.ssh, *tree.ssh_command(self._sshd, host=False)[1:]])
    self._tools = HAND[databases.release][self.name]

  def export(self):
    """Dump; each returns the seconds."""
    return self._databases.shell(self._tools[0], self.dump)

  def pull(self):
    """Bring the dump to an archive."""
    # Its host is our user: the address has colons, which divide for it.
    return run([RDIFF_BACKUP, '--remote-schema', '%s {h}@::1 %s server' % (
      self._ssh, RDIFF_BACKUP), 'backup',
      '%s::%s' % (USER, self.dump), self.archive])

  def push(self):
    """Bring it to where it is loaded."""
    return run(['rsync', '-a', '--delete', '--exclude=/rdiff-backup-data',
                '-e', self._ssh, '%s/' % self.archive,
                '%s@[::1]:%s/' % (USER, self._copy)])

  def load(self):
    """Load it."""
    return self._databases.shell(self._tools[1], self._copy)


def _backup(way, what, link):
  """Back up once; return (who, what, the numbers of the table)."""
  history = way.archive / 'rdiff-backup-data'
  before = size(history) if history.exists() else None
  if isinstance(way, _Hand):
    shutil.rmtree(way.dump, ignore_errors=True)
  time.sleep(1.1)  # An archive takes one backup in a second.
  # What others wrote is not to be waited for.
  os.sync()
  seconds, crossed = [way.export(), way.pull()], link.take()[::-1]
  seconds.append(way.push())
  crossed += link.take()
  seconds.append(way.load())
  numbers = [*seconds, sum(seconds), size(way.dump), *crossed]
  if before is not None:
    numbers.append(size(history) - before)
  say('  ' + ', '.join((way.name, what, *_texts(numbers))))
  return way.name, what, numbers


def _texts(numbers):
  return [form % number for form, number in zip(_FORMATS, numbers)]


def measure(release, mib, reverse=False, changes=CHANGES):
  """Return [(by, changed, numbers of the table)] of a table of `mib` MiB.

  reverse: by hand first.  changes: what is backed up after the first time.
  """
  rows = (mib << 20) // ROW
  tree = _Tree()
  tree.setUp()
  try:
    databases = Databases(release, pathlib.Path(tree.path('d')))
    with databases.leader.serving(), databases.clone.serving():
      databases.fill(rows)
      link = _Link(tree)
      ways = [way(tree, databases, link) for way in (_Stack, _Hand)]
      result = []
      for what, where in (('first', None), *changes):
        if where:
          databases.change(where, rows)
        result += [_backup(way, what, link)
                   for way in (ways[::-1] if reverse else ways)]
    return result
  finally:
    tree.doCleanups()


def summary(measured):
  """Return the table.  measured: what `measure` returned, of each run."""
  found = {}
  for by, changed, numbers in (row for one in measured for row in one):
    found.setdefault((by, changed), []).append(numbers)
  return table(_HEAD, [
    [*key, *_texts(map(statistics.median, zip(*several))),
     *[''] * (len(_FORMATS) - len(several[0]))]
    for key, several in found.items()])


def main(argv=None):
  """Run the benchmark.  Return the exit status."""
  parser = argparse.ArgumentParser(
    prog='python -m bench.transfers', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('release', choices=sorted(_FORMS))
  parser.add_argument('--mib', type=int, default=1024,
                      help='size of the table (default: %(default)s)')
  parser.add_argument('--runs', type=int, default=1,
                      help='how many, each from the beginning; who is first'
                      ' changes (default: %(default)s)')
  arguments = parser.parse_args(argv)
  noise = [calibrate()]
  measured = []
  for number in range(arguments.runs):
    measured.append(measure(arguments.release, arguments.mib, number % 2))
    noise.append(calibrate())
  say(summary(measured))
  say('noise: a fixed loop took %s s before and after each run; load %.1f on'
      ' %d processors' % (', '.join('%.2f' % one for one in noise),
                          os.getloadavg()[0], os.cpu_count()))
  return 0


if __name__ == '__main__':
  sys.exit(main())
