"""Measure lapp or lamp without a node: dump, archive, import, increments.

Fills a database, dumps it with the release's own exporter and, by hand, with
the tools of the database; archives each dump with rdiff-backup, as a PBS does;
changes 1 % of the rows, and does so again.
"""
import argparse
import contextlib
import importlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from database.configuration import Configuration
from demo.show import say, table
from test.ports import free_port

PROJECT = pathlib.Path(__file__).resolve().parent.parent
ROW = 260  # bytes of a row on disk, about
RDIFF_BACKUP = pathlib.Path(sys.executable).with_name('rdiff-backup')
_TEXT = ' || '.join('md5((i + %d)::text)' % number for number in range(5))
FILL = {
  'lapp': 'CREATE TABLE bench AS SELECT i AS id, %s AS text FROM'
          ' generate_series(1, {rows}) i; ALTER TABLE bench ADD PRIMARY KEY'
          ' (id); VACUUM ANALYZE bench;' % _TEXT,
  'lamp': 'CREATE TABLE bench (id bigint PRIMARY KEY, text text)'
          ' SELECT seq AS id, CONCAT(%s) AS text FROM seq_1_to_{rows};' % (
            ', '.join('MD5(seq + %d)' % number for number in range(5)))}
# What one would do by hand: {name: (dump, restore)}.  {to} is the dump.
HAND = {
  'lapp': {
    'pg_dump, directory': (
      'pg_dump {pg} -d shop -Fd -Z0 -f {to}',
      'createdb {pg} copy && pg_restore {pg} -d copy -j2 {to} &&'
      ' dropdb {pg} copy'),
    'pg_dump, plain': (
      'mkdir {to} && pg_dump {pg} -d shop -f {to}/dump.sql',
      'createdb {pg} copy && psql {pg} -Xq -d copy -f {to}/dump.sql &&'
      ' dropdb {pg} copy'),
    'pg_basebackup': (
      'pg_basebackup {pg} -c fast -X stream -D {to}',
      'cp -r {to} {to}.copy && sync -f {to}.copy && rm -r {to}.copy')},
  'lamp': {
    'mariadb-dump': (
      'mkdir {to} && mariadb-dump {maria} --single-transaction shop'
      ' > {to}/dump.sql',
      'mariadb {maria} -e "CREATE DATABASE copy" && mariadb {maria} copy'
      ' < {to}/dump.sql && mariadb {maria} -e "DROP DATABASE copy"'),
    'mariadb-dump --tab': (
      'mkdir {to} && mariadb-dump {maria} --single-transaction --tab={to} shop',
      'mariadb {maria} -e "CREATE DATABASE copy" && mariadb {maria} copy'
      ' < {to}/bench.sql && mariadb {maria} --local-infile=1 copy -e "LOAD DATA'
      ' LOCAL INFILE \'{to}/bench.txt\' INTO TABLE bench" &&'
      ' mariadb {maria} -e "DROP DATABASE copy"'),
    'mariadb-backup': (
      'mkdir {to} && mariadb-backup {maria} --backup --datadir={data}'
      ' --target-dir={to} && mariadb-backup --prepare --target-dir={to}',
      'cp -r {to} {to}.copy && sync -f {to}.copy && rm -r {to}.copy')}}


_HEAD = ('dump by', 'changed', 'MiB', 'dump s', 'archive s', 'restore s',
         'increment MiB')


class Place:
  """A partition with a database, and its service."""

  def __init__(self, release, role, folder, port):
    self.release, self.folder = release, folder
    for name in ('run', 'srv'):
      (folder / name).mkdir(parents=True)
    self.values = {
      'role': role, 'contents-directory': str(folder / 'srv'),
      'run-directory': str(folder / 'run'), 'host': '::1', 'port': port,
      'sample': str(PROJECT / release / 'index.php'), 'database-name': 'shop'}
    self.configuration = Configuration(self.values)
    self.engine = importlib.import_module(
      release + '.engine').Engine(self.configuration)
    self.command('prepare', text=json.dumps(self.values))

  def line(self, *arguments):
    """Return the command line of a command of the release."""
    return [sys.executable, '-c', 'import sys; from %s.engine import main;'
            ' sys.exit(main())' % self.release, arguments[0],
            '--configuration', str(self.folder / 'database.json'),
            *map(str, arguments[1:])]

  def command(self, *arguments, text=''):
    """Run a command of the release; return the seconds."""
    return run(self.line(*arguments), input=text)

  @contextlib.contextmanager
  def serving(self):
    """Let the service run."""
    log = self.folder / 'log'
    log.touch()
    said = len(log.read_text())
    process = subprocess.Popen(
      self.line('serve', '--log', log),
      env=dict(os.environ, PYTHONPATH=str(PROJECT)))
    try:
      # Else the database may not yet be there.
      while 'ready, as' not in log.read_text()[said:]:
        time.sleep(0.1)
      yield
    finally:
      process.send_signal(signal.SIGTERM)
      process.wait()


def run(command, **options):
  """Run a command, which must succeed; return the seconds."""
  started = time.perf_counter()
  done = subprocess.run(
    command, check=False, encoding='utf-8', stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=str(PROJECT)),
    **options)
  if done.returncode:
    raise SystemExit('%s failed: %s' % (command, done.stderr[-1000:]))
  return time.perf_counter() - started


def size(folder):
  """Return the MiB of the files below `folder`."""
  return sum(path.stat().st_size for path in folder.rglob('*')
             if path.is_file() and not path.is_symlink()) / (1 << 20)


CHANGES = (
  ('1 % in a row', 'id > {last}'), ('1 % scattered', 'id % 100 = 7'))


class Databases:
  """A leader and a clone of `release`, below `folder`."""

  def __init__(self, release, folder):
    self.release, self.folder = release, folder
    self.leader = Place(release, 'leader', folder / 'leader', free_port())
    self.clone = Place(release, 'clone', folder / 'clone', free_port())
    run = folder / 'leader/run'
    self.words = {
      'pg': '-h %s -p %s -U postgres' % (run, self.leader.values['port']),
      'maria': '--no-defaults --socket=%s/mariadb.sock' % run,
      'data': folder / 'leader/srv/current/database'}
    self.forms = {release: None, **HAND[release]}

  def sql(self, text):
    """Run SQL on the leader as the administrator, in database "shop"."""
    if self.release == 'lapp':
      self.leader.engine.sql(text, 'shop')
    else:
      self.leader.engine.sql('USE shop; ' + text)

  def shell(self, text, to):
    """Run a line that a person would type; {to} in it is `to`.  Return the
    seconds."""
    return run(['sh', '-c', text.format(to=to, **self.words)])

  def dump(self, form):
    """Dump in one of the forms; return (seconds, folder)."""
    to = self.folder / ('dump-' + form.replace(' ', '-'))
    if self.forms[form] is None:
      to.mkdir(exist_ok=True)
      return self.leader.command('export', '--dump', to), to
    shutil.rmtree(to, ignore_errors=True)
    return self.shell(self.forms[form][0], to), to

  def restore(self, form, dump):
    """Load a dump; return the seconds."""
    if self.forms[form] is None:
      return self.clone.command('import', '--dump', dump)
    return self.shell(self.forms[form][1], dump)

  def archive(self, form, dump):
    """Archive a dump; return (seconds, MiB that the history grew by)."""
    target = self.folder / ('archive-' + form.replace(' ', '-'))
    history = target / 'rdiff-backup-data'
    before = size(history) if history.exists() else 0
    seconds = run([RDIFF_BACKUP, 'backup', dump, target])
    time.sleep(1.1)  # An archive takes one backup in a second.
    return seconds, size(history) - before

  def cycle(self, form, what, restore=False):
    """Dump, archive and perhaps restore; return a row of the table."""
    dumped, dump = self.dump(form)
    archived, growth = self.archive(form, dump)
    row = [form, what, '%.0f' % size(dump), '%.1f' % dumped,
           '%.1f' % archived, '%.1f' % self.restore(form, dump)
           if restore else '', '' if restore else '%.1f' % growth]
    say('  ' + ', '.join(row))
    return row

  def fill(self, rows):
    """Make a table of so many rows."""
    self.sql(FILL[self.release].format(rows=rows))

  def change(self, where, rows):
    """Change some of so many rows."""
    self.sql('UPDATE bench SET text = REVERSE(text) WHERE %s;' % (
      where.format(last=rows * 99 // 100)))

  def measure(self, rows):
    """Fill, dump, change; return the rows of the table."""
    self.fill(rows)
    result = [self.cycle(form, 'first', restore=True) for form in self.forms]
    for what, where in (*CHANGES, ('nothing', None)):
      if where:
        self.change(where, rows)
      result += [self.cycle(form, what) for form in self.forms]
    return result


def main(argv=None):
  """Run the benchmark.  Return the exit status."""
  parser = argparse.ArgumentParser(
    prog='python -m bench.databases', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('release', choices=sorted(HAND))
  parser.add_argument('--mib', type=int, default=1024,
                      help='size of the table (default: %(default)s)')
  arguments = parser.parse_args(argv)
  with tempfile.TemporaryDirectory(prefix='db-') as folder:
    bench = Databases(arguments.release, pathlib.Path(folder))
    with bench.leader.serving(), bench.clone.serving():
      rows = bench.measure((arguments.mib << 20) // ROW)
  say(table(_HEAD, rows))
  return 0


if __name__ == '__main__':
  sys.exit(main())
