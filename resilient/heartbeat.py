"""Signs of life of a service that has no port, for its promise."""
import time

from .clock import moment
from .durable import read_note, write_json

# A service beats at least once a minute while it has nothing to do.
_SILENCE = 150


def _path(configuration, service):
  return configuration.state(service + '.heartbeat')


def beat(configuration, service, task=None):
  """`service` is alive, and begins `task` or waits for one."""
  write_json(_path(configuration, service),
             {'at': time.time(), 'task': task}, durable=False)


def problem(configuration, service, longest):
  """Return what is wrong with `service`, or ''.

  longest: seconds that one task may take.
  """
  last = read_note(_path(configuration, service),
                   lambda note: (moment(note['at']), note['task']))
  if last is None:
    return '%s has never started' % service
  began, task = last
  # A clock that was put back must not make it alive until then.
  age = abs(time.time() - began)
  if task is None and age >= _SILENCE:
    return '%s has been silent for %d s' % (service, age)
  if task is not None and age > longest:
    return '%s has been busy with %s for %d s' % (service, task, age)
  return ''
