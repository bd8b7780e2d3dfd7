"""Measure whole backups of lapp or lamp, without a node: dump, pull, push and
import.

Leader, archive and clone are on this machine, with a real sshd each.  Beside
the stack, the same by hand with the tools of the database, rdiff-backup over
ssh and rsync over ssh; where nothing is verified.
"""
import argparse
import pathlib
import shlex
import shutil
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
         'dump MiB', 'increment MiB')
# As the stack does: a file for each table, and what is loaded by SQL.
_FORMS = {'lapp': 'pg_dump, directory', 'lamp': 'mariadb-dump'}


class _Tree(TreeCase):
  """No test: for its leader, PBS and clone."""

  def runTest(self):
    """Nothing."""


def _timed(function, *arguments):
  started = time.perf_counter()
  if not function(*arguments):
    raise SystemExit('%s failed' % function.__name__)
  return time.perf_counter() - started


class _Stack:
  """Backups by the stack."""

  name = 'the stack'

  def __init__(self, tree, databases):
    self._tree = tree
    for partition, place, command in (
        (tree.leader, databases.leader, 'export'),
        (tree.clone, databases.clone, 'import')):
      partition.program('data-%ser' % command, (
        'PYTHONPATH=%s exec %s\n' % (PROJECT, shlex.join(
          place.line(command, '--dump', partition.dump)))))
    self.dump = pathlib.Path(tree.leader.dump)
    self.archive = pathlib.Path(tree.archive.path)

  def stages(self):
    """Return the seconds of each stage of a backup."""
    tree = self._tree
    return [
      _timed(lambda: not exporter.main(tree.leader.configuration)),
      _timed(tree.run_task, 'pull'), _timed(tree.run_task, 'push'),
      _timed(importer.task, tree.clone.configuration)]


class _Hand:
  """The same by hand."""

  def __init__(self, tree, databases):
    self._databases = databases
    self.name = _FORMS[databases.release]
    key = keys.ensure(tree.pbs.at('etc/key'), '', SSH_KEYGEN)
    far = Partition(tree.path('far'), 'export', {})
    self._sshd = Sshd(tree, far, '')
    pathlib.Path(far.at('etc/authorized_keys')).write_text(key + '\n')
    self.dump, self.archive, self._copy = (
      pathlib.Path(tree.path(name)) for name in ('dump', 'archive', 'copy'))
    self._ssh = shlex.join(tree.ssh_command(self._sshd, host=False))
    self._host = USER + '@[::1]'

  def stages(self):
    """Return the seconds of each stage of a backup."""
    dump, restore = HAND[self._databases.release][self.name]
    shutil.rmtree(self.dump, ignore_errors=True)
    self._copy.mkdir(exist_ok=True)
    time.sleep(1.1)  # An archive takes one backup in a second.
    return [
      self._databases.shell(dump, self.dump),
      # Its host is our user: the address has colons, which divide for it.
      run([RDIFF_BACKUP, '--remote-schema', '%s {h}@::1 %s server' % (
        self._ssh, RDIFF_BACKUP), 'backup',
           '%s::%s' % (USER, self.dump), self.archive]),
      run(['rsync', '-a', '--delete', '--exclude=/rdiff-backup-data',
           '-e', self._ssh, '%s/' % self.archive,
           '%s:%s/' % (self._host, self._copy)]),
      self._databases.shell(restore, self._copy)]


def _row(way, what):
  history = way.archive / 'rdiff-backup-data'
  before = size(history) if history.exists() else 0
  seconds = way.stages()
  row = [way.name, what, *('%.1f' % one for one in (*seconds, sum(seconds))),
         '%.0f' % size(way.dump),
         '%.1f' % (size(history) - before) if before else '']
  say('  ' + ', '.join(row))
  return row


def measure(release, mib):
  """Return the rows of the table for a table of `mib` MiB."""
  rows = (mib << 20) // ROW
  tree = _Tree()
  tree.setUp()
  try:
    databases = Databases(release, pathlib.Path(tree.path('d')))
    with databases.leader.serving(), databases.clone.serving():
      databases.fill(rows)
      ways = _Stack(tree, databases), _Hand(tree, databases)
      result = [_row(way, 'first') for way in ways]
      for what, where in CHANGES:
        databases.change(where, rows)
        result += [_row(way, what) for way in ways]
    return result
  finally:
    tree.doCleanups()


def main(argv=None):
  """Run the benchmark.  Return the exit status."""
  parser = argparse.ArgumentParser(
    prog='python -m bench.transfers', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('release', choices=sorted(_FORMS))
  parser.add_argument('--mib', type=int, default=1024,
                      help='size of the table (default: %(default)s)')
  arguments = parser.parse_args(argv)
  noise = [calibrate()]
  rows = measure(arguments.release, arguments.mib)
  noise.append(calibrate())
  say(table(_HEAD, rows))
  say('noise: a fixed piece of work took %.2f s before and %.2f s after' % (
    *noise,))
  return 0


if __name__ == '__main__':
  sys.exit(main())
