"""One backup cycle: run the exporter, and see the generation travel."""
import json
import subprocess
import time
import typing

from . import processes
from .show import Failure

_DEADLINE = 180
_POLL = 0.02


class Stage(typing.NamedTuple):
  """One thing that a cycle brings about.

  what: ``sealed``, ``archived``, ``verified`` or ``imported``.
  title: the instance in which it happens.
  seconds: since the exporter was started.  label: of the generation.
  """
  what: str
  title: str
  seconds: float
  label: str


def _read(path):
  """Return the JSON in a state file; these are replaced atomically."""
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    return None


def _order(generation):
  return (generation['epoch'], generation['sequence']) if generation else (0, 0)


def _newest(path, what, name):
  """Return what the state directory at `path` says, a dict or None."""
  if what == 'sealed':
    return _read(path / 'sealed.json')
  if what == 'archived':
    return ((_read(path / ('archive-%s.json' % name)) or [{}])[-1]
            .get('generation'))
  if what == 'verified':
    # One of the two is there at each moment of the swap.
    records = [_read(path / 'staged.json'), _read(path / 'verified.json')]
  else:
    records = [_read(path / 'imported.json')]
  return max((record['generation'] for record in records if record),
             key=_order, default=None)


def _places(instances, name):
  """Return [(what, title, partition)] of all that is to happen."""
  found = []
  for title, instance in sorted(instances.items()):
    if title.startswith('PBS ('):
      found.append(('archived', title, instance.partition))
    elif title == name + '0':
      found.append(('sealed', title, instance.partition))
    elif title[:len(name)] == name and title[len(name):].isdigit():
      found += [('verified', title, instance.partition),
                ('imported', title, instance.partition)]
  return found


def run(node, name, shown=lambda stage: None):
  """Run the exporter of service `name`, and wait until all is everywhere.

  Returns ([Stage], exporter's seconds).  shown: called with each Stage.
  Raises Failure if the exporter fails, or at the deadline.
  """
  instances = node.instances()
  state = {partition: node.partition_folder(partition) / 'srv/resilient'
           for _, _, partition in _places(instances, name)}
  leader = instances[name + '0'].partition
  todo = _places(instances, name)
  # Wherever it is: a leader that has just taken over has sealed nothing yet.
  before = max(_order(_newest(state[partition], what, name))
               for what, _, partition in todo)
  log = node.logs / 'exporter.log'
  stages, took = [], None
  with open(log, 'ab') as output:
    started = time.monotonic()
    exporter = subprocess.Popen(
      [node.partition_folder(leader) / 'bin/exporter'],
      stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
      env=processes.environment(node.folder), start_new_session=True)
  try:
    while todo or took is None:
      now = time.monotonic() - started
      if took is None and exporter.poll() is not None:
        took = now
        if exporter.returncode:
          raise Failure('bin/exporter failed with status %d'
                        % exporter.returncode, log)
      for place in list(todo):
        what, title, partition = place
        generation = _newest(state[partition], what, name)
        if _order(generation) > before:
          stages.append(Stage(what, title, now, '%d.%d' % _order(generation)))
          shown(stages[-1])
          todo.remove(place)
      if now > _DEADLINE:
        what, title, partition = (
          todo[0] if todo else ('sealed', name + '0', leader))
        raise Failure(
          '%s: not %s after %d s' % (title, what, _DEADLINE),
          node.partition_folder(partition) / 'var/log/equeue.log')
      time.sleep(_POLL)
  finally:
    if exporter.poll() is None:
      # Its parent alone: it ends its own children, and the dump's old seal
      # is then looked after.
      exporter.terminate()
      exporter.wait(60)
  return stages, took


def last(stages, what):
  """Return the seconds until the last of the stages of that kind."""
  return max(stage.seconds for stage in stages if stage.what == what)
