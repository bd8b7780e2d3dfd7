"""Who is what, how old each backup is, and what is wrong."""
from . import convergence
from .show import duration, table

_ROLES = {'export': 'leader', 'import': 'clone', 'pull-backup': 'PBS'}
HEADER = ('instance', 'role', 'generation', 'age', 'verified', 'partition')


def _label(generation):
  return '%d.%d' % (generation['epoch'], generation['sequence'])


def _archive(status):
  """Return (generation, text on verification) of the archive of a PBS."""
  archive = next(iter(status['archives'].values()), {})
  if archive.get('incomplete'):
    return archive['generation'], 'no: the last pull failed'
  kept = len(archive.get('generations', ()))
  return archive.get('generation'), 'yes, %d kept' % kept


def _clone(status):
  generation = status['generation']
  if status['verified'] and status['verified'] != generation:
    return generation, 'yes, %s is loading' % _label(status['verified'])
  return generation, 'yes, loaded'


def row(instance, status):
  """Return the line of the table, a list of texts, for an Instance.

  status: what its bin/status says, a text if it says nothing, None for one
  that was replaced.
  """
  role, generation, verified = '?', None, '-'
  if status is None:
    role = 'replaced'
  elif isinstance(status, dict):
    role = _ROLES[status['role']]
    if role == 'PBS':
      generation, verified = _archive(status)
    elif role == 'clone':
      generation, verified = _clone(status)
    else:
      generation, verified = status['generation'], 'sealed'
  if generation is None:
    return [instance.title, role, '-', '-', '-', instance.partition]
  return [instance.title, role, _label(generation),
          duration(status['now'] - generation['sealed']), verified,
          instance.partition]


def rows(instances, statuses):
  """Return the lines of the table: leader and clones, PBS, then the replaced.

  instances: [Instance].  statuses: {partition: see row}.
  """
  def position(instance):
    return (instance.state != 'started', instance.title.startswith('PBS'),
            instance.title)
  return [row(instance, statuses.get(instance.partition))
          for instance in sorted(instances, key=position)
          if instance.title != convergence.ROOT]


def problems(instances, statuses, services, lack):
  """Return sentences on what is wrong.

  services: as from Services.all, None if the node is not running.
  lack: a convergence.Missing.
  """
  found = []
  for instance in sorted(instances):
    status = statuses.get(instance.partition)
    if isinstance(status, str):
      found.append('%s: %s' % (instance.title, status))
    elif status:
      found += ['%s: %s' % (instance.title, problem['text'])
                for problem in status['problems']]
    for name, state, _ in (services or {}).get(instance.partition, ()):
      if instance.state == 'started' and state != 'RUNNING':
        found.append('%s: service %s is %s' % (
          instance.title, name, state.lower()))
  if services is None:
    found.append('the node is not running: make demo')
  # Promises as they were at the last pass would tell what was, not what is.
  text = lack._replace(promises=[]).sentence()
  if text:
    found.append('the tree is not complete: ' + text)
  return found


def report(node, name, number):
  """Return (table as text, sentences on what is wrong) of a node.

  name, number: of the service and of its instances.
  """
  instances = list(node.instances().values())
  statuses = node.status([
    instance.partition for instance in instances
    if instance.state == 'started' and instance.title != convergence.ROOT])
  try:
    services = node.services.all() if node.running else None
  except OSError:
    services = None
  lack = convergence.missing(
    node.database, node.instances_folder, name, number)
  return (table(HEADER, rows(instances, statuses)),
          problems(instances, statuses, services, lack))
