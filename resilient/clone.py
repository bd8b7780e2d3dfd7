"""The copies of a clone: staging, current, previous.

See "Import" in docs/design.rst.
"""
import contextlib
import logging
import os
import time

from . import essential
from .copies import begin_with_current, holds, Unverified, verify
from .durable import (
  exchange,
  fsync_directory,
  is_locked,
  lock,
  LockTimeout,
  make_directories_writable,
  remove,
  remove_tree,
  write_json,
)
from .generation import from_json, is_newer

log = logging.getLogger('resilient.clone')
TASK = 'import'
_STAGING_WAIT = 30


def record(configuration, name):
  """Return (Generation or None, time in seconds since 1970-01-01 UTC or None)
  of a state file.  Raises essential.DamagedState."""
  found = essential.read(configuration, name)
  if found is None:
    return None, None
  return from_json(found['generation']), found['at']


def write_record(configuration, name, generation):
  """Write a state file: `generation`, and that it is so from now on."""
  write_json(configuration.state(name), {
    'generation': generation.to_json(), 'at': time.time()})


def staged(configuration):
  """Return (Generation, since when) of the verified staging area."""
  return record(configuration, 'staged.json')


def verified(configuration):
  """Return (Generation, since when) of the current copy."""
  return record(configuration, 'verified.json')


def imported(configuration):
  """Return (Generation, since when) of what the service holds."""
  return record(configuration, 'imported.json')


def newest(configuration):
  """Return the newest Generation that is verified here, or None."""
  found = [generation for generation in (
    staged(configuration)[0], verified(configuration)[0]) if generation]
  return max(found, key=lambda generation: generation.order, default=None)


def status(configuration):
  """Return what a PBS, a promise and an operator want to know, for JSON."""
  result = {}
  for name, look in (('staged', staged), ('verified', verified),
                     ('imported', imported)):
    generation, since = look(configuration)
    result[name] = generation and generation.to_json()
    result[name + '_at'] = since
  result['importing'] = is_locked(configuration.state('import.lock'))
  return result


@contextlib.contextmanager
def receiving(configuration):
  """Hold the staging area for writing; yields the lock's descriptor.

  What was verified there no longer is.  Raises LockTimeout, OSError.
  """
  with lock(configuration.state('staging.lock'),
            deadline=_STAGING_WAIT) as descriptor:
    generation, _ = staged(configuration)
    if generation and holds(configuration.dump_directory, generation):
      # A swap was killed after the exchange: what is in the staging area now
      # is the last imported copy, which must not be written over.
      _complete_swap(configuration, generation)
    remove(configuration.state('staged.json'))
    staging = configuration.state('staging')
    os.makedirs(staging, mode=0o700, exist_ok=True)
    if not os.listdir(staging) and verified(configuration)[0]:
      begin_with_current(configuration, descriptor)
    make_directories_writable(staging)
    yield descriptor


def accept(configuration, generation):
  """Verify that the staging area holds `generation`, and have it imported.

  Durable when it returns.  Raises Unverified, Refused, LockTimeout.
  """
  with lock(configuration.state('staging.lock'), deadline=_STAGING_WAIT):
    if not is_newer(generation, newest(configuration)):
      return
    staging = configuration.state('staging')

    def mend(found):
      # Two names of one file that became two files of the same content stay
      # one to rsync.
      from .mirror import extra
      from .repair import Mender
      place = configuration.state('repair')
      mender = Mender(configuration, staging, (), place)
      mender.set_aside(extra(staging, found))
      differences = mender.mend(found)
      remove_tree(place)
      return differences

    verify(staging, 'the staging area', generation, mend, durable=True)
    current = configuration.dump_directory
    if verified(configuration)[0] is None and holds(current, generation):
      # Nothing says that it is good; `swap` would believe what it says itself.
      exchange(staging, current)
    write_record(configuration, 'staged.json', generation)
  log.info('generation %s is verified', generation.label)
  configuration.store.request(TASK)


def swap(configuration):
  """Make the verified staging area the current copy, if there is one.

  The last imported copy is kept as ``previous/``.  May be killed and run again
  at any point.  Raises Refused, OSError, LockTimeout.
  """
  if staged(configuration)[0] is None:
    # A push may hold the lock for hours, and has nothing for us yet.
    return
  with lock(configuration.state('staging.lock'), deadline=_STAGING_WAIT):
    generation, _ = staged(configuration)
    if generation is None:
      return
    current = configuration.dump_directory
    os.makedirs(current, mode=0o700, exist_ok=True)
    if not holds(current, generation):
      # Where this runs again after the exchange, nothing is left to exchange.
      is_newer(generation, verified(configuration)[0])
      exchange(configuration.state('staging'), current)
    _complete_swap(configuration, generation)


def _complete_swap(configuration, generation):
  """After the exchange: keep the last imported copy, and note what is current.

  To be called with the lock on the staging area.
  """
  staging = configuration.state('staging')
  previous = configuration.state('previous')
  old, _ = verified(configuration)
  if old and old == imported(configuration)[0] and holds(staging, old):
    remove_tree(previous)
    os.rename(staging, previous)
    fsync_directory(configuration.state_directory)
  write_record(configuration, 'verified.json', generation)
  remove(configuration.state('staged.json'))
  log.info('generation %s is the current copy', generation.label)


def verify_current(configuration, generation):
  """Verify again, before it is loaded, what was verified when it came: that may
  be long ago.

  A damaged copy becomes the staging area, which the next push mends.  Raises
  Unverified, LockTimeout, OSError.
  """
  try:
    verify(configuration.dump_directory, 'the current copy', generation)
  except Unverified:
    _give_back(configuration, generation)
    raise


def _give_back(configuration, damaged_one):
  """Let the current copy, Generation `damaged_one`, be the staging area, and
  the last imported one the current one again, if it is here.

  May be killed and run again at any point.
  """
  current = configuration.dump_directory
  previous, staging = map(configuration.state, ('previous', 'staging'))
  with lock(configuration.state('staging.lock'), deadline=_STAGING_WAIT):
    if staged(configuration)[0]:
      # Something newer takes its place at the next run.
      return
    last, _ = imported(configuration)
    kept = bool(last) and holds(previous, last)
    if kept:
      os.makedirs(current, mode=0o700, exist_ok=True)
      exchange(previous, current)
    elif last != damaged_one:
      # Where this runs again after the exchange.
      kept = bool(last) and holds(current, last)
    damaged = previous if kept else current
    if os.path.exists(damaged):
      remove_tree(staging)
      os.rename(damaged, staging)
      fsync_directory(configuration.state_directory)
    # At the end, for it tells a PBS to push.
    if kept:
      write_record(configuration, 'verified.json', last)
    else:
      remove(configuration.state('verified.json'))


def set_imported(configuration, generation):
  """The service holds `generation`."""
  write_record(configuration, 'imported.json', generation)


def reuse_previous(configuration):
  """After an import: the previous copy is no longer needed, and saves the next
  push most of its work.  While a push is running, it is left as it is."""
  previous = configuration.state('previous')
  staging = configuration.state('staging')
  try:
    with lock(configuration.state('staging.lock')):
      if os.path.exists(staging):
        remove_tree(previous)
      elif os.path.exists(previous):
        os.rename(previous, staging)
        fsync_directory(configuration.state_directory)
  except LockTimeout:
    log.info('the previous copy is kept: a push is running')
