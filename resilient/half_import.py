"""An import that was begun and did not complete: the service may hold a part of
its generation beside another one, and no other file tells.
"""
import os

from . import clone
from .copies import holds, Unverified
from .durable import exchange, lock, remove

MARKER = 'importing.json'
_STAGING_WAIT = 30


def begin(configuration, generation):
  """From now on, until `end`, the service may hold a part of `generation`."""
  clone.write_record(configuration, MARKER, generation)


def end(configuration):
  """The service holds one generation, whole."""
  remove(configuration.state(MARKER))


def begun(configuration):
  """Return the label of the generation of which the service may hold a part, or
  ''."""
  try:
    generation, _ = clone.record(configuration, MARKER)
  except ValueError:
    return '?'
  return generation.label if generation else ''


def remedy(configuration):
  """Return what a person has to do, or '', where no import runs any more that
  would mend it."""
  label = begun(configuration)
  return label and (
    'the service may hold a part of generation %s, whose import did not'
    ' complete before it took over: look at its data, put right what is wrong,'
    ' and then remove %s' % (label, configuration.state(MARKER)))


def go_back(configuration):
  """Make the last imported copy the current one again, that it can be loaded.

  May be killed and run again at any point.  Raises Unverified, if it is not
  here any more; LockTimeout, OSError.
  """
  current = configuration.dump_directory
  previous = configuration.state('previous')
  with lock(configuration.state('staging.lock'), deadline=_STAGING_WAIT):
    last, _ = clone.imported(configuration)
    if not last or not (holds(current, last) or holds(previous, last)):
      raise Unverified('the copy that was imported before is not here any more')
    if not holds(current, last):
      os.makedirs(current, mode=0o700, exist_ok=True)
      exchange(previous, current)
    clone.write_record(configuration, 'verified.json', last)
