"""When is a tree of the stack deployed?  Facts alone: nothing here needs the
demo, and tests use it on nodes of their own.

*Converged* is: a pass of ``slapos node instance`` that exits 0 and processes
no partition, every instance requested, every connection parameter published,
every promise green.  A *working* pass is one that processes something.
"""
import contextlib
import json
import pathlib
import re
import sqlite3
import typing

from slapos.proxy.db_version import DB_VERSION
from slapos.util import xml2dict

ROOT = 'root'
# Of a long list of what is missing, this many are named.
_LISTED = 5
_PROCESSING = re.compile(r'Processing Computer Partition ([^\s.]+)\.')
# What slapgrid lists at the end of a pass, below a line "Error ..."; all that
# buildout printed follows, and its last line is what went wrong.
_FAILED = re.compile(r'.* INFO   (\S+)\[[^\]]*\]: (.*)')
_ERROR = re.compile(r'[\w.]*(Error|Exception|Failure)\b.*')


class Instance(typing.NamedTuple):
  """An instance, as the master knows it.

  title: under which it was requested.  partition: identifier of its partition.
  type: its software type.  state: ``started`` or ``stopped``, as requested.
  parameters: what it published, {name: value}.
  """
  title: str
  partition: str
  type: str
  state: str
  parameters: dict


class Missing(typing.NamedTuple):
  """What a tree still lacks.

  instances: titles of those that were not requested yet.
  parameters: names of those that the root instance did not publish yet.
  promises: [(partition, promise, what it says)] of those that are not green.
  """
  instances: list
  parameters: list
  promises: list

  def sentence(self, titles=None):
    """Return what is missing in one line, '' if nothing is.

    titles: {partition: title}, to name partitions by their instance.
    """
    red = {}
    for partition, promise, _ in self.promises:
      red.setdefault((titles or {}).get(partition, partition), []).append(
        promise)
    lacks = [
      ('not requested', self.instances), ('not published', self.parameters),
      ('red', ['%s (%s)' % (title, ', '.join(names))
               for title, names in sorted(red.items())])]
    return '; '.join('%s: %s' % (what, _listing(names))
                     for what, names in lacks if names)


def _listing(names):
  if len(names) <= _LISTED:
    return ', '.join(names)
  return '%s and %d more' % (
    ', '.join(names[:_LISTED - 1]), len(names) - _LISTED + 1)


class Pass(typing.NamedTuple):
  """One pass of ``slapos node instance``.

  status: its exit status.  seconds: how long it ran.  log: file of its output.
  processed: identifiers of the partitions that it processed, in order.
  failures: {partition: why it failed}.  missing: a Missing, after it.
  """
  status: int
  seconds: float
  log: str
  processed: list
  failures: dict
  missing: Missing

  @property
  def working(self):
    """Whether it had something to do."""
    return bool(self.processed)

  @property
  def converged(self):
    """Whether the tree is deployed, and was so before this pass."""
    return self.status == 0 and not self.working and not any(self.missing)


def processed(log):
  """Return the identifiers of the partitions that a pass processed, in order.

  log: text of the output of one pass.
  """
  return _PROCESSING.findall(log)


def failures(log):
  """Return {partition: reason} of what failed in a pass, from its output.

  A promise that is red in a partition that was processed is among them.
  """
  found, partition = {}, None
  listing = False
  for line in log.splitlines():
    if 'Error while processing' in line or 'Error with promises' in line:
      listing = True
    match = _FAILED.fullmatch(line) if listing else None
    if match:
      partition = match[1]
      found[partition] = match[2].strip().rstrip(':')
    elif partition and _ERROR.fullmatch(line):
      found[partition] = line.strip()
  return found


def instances(database):
  """Return [Instance] in file `database` of slapproxy, in no order; none if
  there is no such file.

  Raises sqlite3.Error.
  """
  rows = _query(database, (
    'SELECT partition_reference, reference, software_type, requested_state,'
    " connection_xml FROM partition%s WHERE slap_state = 'busy'") % DB_VERSION)
  return [Instance(*row[:4], _published(row[4])) for row in rows]


def _published(document):
  """Return {name: value}; all may be in one parameter, as JSON."""
  parameters = xml2dict(document)
  return (json.loads(parameters['_']) if parameters.keys() == {'_'}
          else parameters)


def shared_instances(database):
  """Return the names of the shared instances in file `database` of slapproxy,
  each behind the partition that requested it and "_"."""
  return [name for name, in _query(
    database, 'SELECT reference FROM slave%s' % DB_VERSION)]


def _query(database, statement):
  if not pathlib.Path(database).exists():
    return []
  with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
    try:
      return connection.execute(statement).fetchall()
    except sqlite3.OperationalError as error:
      if 'no such table' in str(error):  # The master has just been started.
        return []
      raise


def expected_instances(name, number):
  """Return (titles of instances, titles of shared instances) of the tree of
  service `name` with `number` instances, the leader included."""
  clones = range(1, number)
  return (
    ['%s%d' % (name, index) for index in range(number)]
    + ['PBS (%s / %d)' % (name, index) for index in clones],
    ['PBS %d pulling from %s0' % (index, name) for index in clones]
    + ['PBS pushing on %s%d' % (name, index) for index in clones])


def expected_parameters(name, number):
  """Return the names that a root instance publishes for that tree."""
  return [pattern % (name, index) for index in range(1, number) for pattern in (
    'takeover-%s-%d-url', 'takeover-%s-%d-password',
    'takeover-%s-%d-fingerprint', 'feed-url-%s-%d-pull',
    'feed-url-%s-%d-push')]


def red_promises(directory, partitions):
  """Return [(partition, promise, what it says)] of the promises that are not
  green, by what slapgrid noted when it last looked.

  directory: that of the instances.  One that was never looked at is not green.
  """
  red = []
  for partition in sorted(partitions):
    root = pathlib.Path(directory, partition)
    for plugin in sorted(root.glob('etc/plugin/*.py')):
      if plugin.name.startswith('__init__'):
        continue
      note = root / '.slapgrid/promise/result' / (plugin.stem + '.status.json')
      try:
        result = json.loads(note.read_text())['result']
      except FileNotFoundError:
        red.append((partition, plugin.stem, 'not checked yet'))
        continue
      if result['failed']:
        red.append((partition, plugin.stem, result['message'].strip()))
  return red


def missing(database, directory, name, number, more_parameters=('url',)):
  """Return the Missing of the tree of service `name` with `number` instances.

  database: file of slapproxy.  directory: that of the instances.
  more_parameters: what the root publishes beside the stack's own.
  """
  known = {instance.title: instance for instance in instances(database)}
  titles, shared = expected_instances(name, number)
  requested = shared_instances(database)
  root = known.get(ROOT)
  published = root.parameters if root else {}
  return Missing(
    [title for title in titles if title not in known]
    + [title for title in shared
       if not any(item.endswith('_' + title) for item in requested)],
    [parameter for parameter in (
      *expected_parameters(name, number), *more_parameters)
     if not published.get(parameter)],
    red_promises(directory, [
      instance.partition for instance in known.values()
      if instance.state == 'started']))


def outcome(status, seconds, log, lack):
  """Return the Pass with that exit status, duration in seconds, file `log` of
  its output, and Missing `lack` after it."""
  text = pathlib.Path(log).read_text(errors='replace')
  return Pass(status, seconds, str(log), processed(text), failures(text), lack)
