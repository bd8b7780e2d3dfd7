"""The archive of a PBS: an rdiff-backup repository, and the index that says
which generation each of its increments is.
"""
import contextlib
import logging
import os
import time

from . import manifest, mirror
from .durable import (
  fsync_directory,
  lock,
  LockTimeout,
  read_json,
  remove,
  remove_tree,
  write_json,
)
from .generation import from_json
from .ledger import Ledger
from .process import Failed
from .repair import Mender
from .repository import Repository
from .reserve import Reserve
from .retention import oldest_kept, present

log = logging.getLogger('resilient.archive')

# A restore that reads the archive may take hours; the queue tries again.
_READER_WAIT = 30
_RESTORE_WAIT = 3600


class Damaged(Exception):
  """An archive holds something else than its manifest says."""


class Archive:
  """The archive `name` of the PBS of `configuration`.

  sources: ssh.Remotes with other copies, from which it is repaired.
  """

  def __init__(self, configuration, name, sources=()):
    self.configuration = configuration
    self.name = name
    self.path = os.path.join(configuration.archive_directory, name)
    self.repository = Repository(configuration, self.path)
    self._sources = sources
    self._reserve = Reserve(configuration)
    self._index_path = configuration.state('archive-%s.json' % name)
    self._marker = configuration.state('pulling-' + name)
    self._lock = configuration.state('archive-%s.lock' % name)

  def index(self):
    """Return [(time of the increment, Generation)], oldest first; the time is
    in whole seconds since 1970-01-01 UTC.  Raises ValueError."""
    try:
      found = [(int(item['time']), from_json(item['generation']))
               for item in read_json(self._index_path, [])]
      if any(generation is None for _, generation in found) or (
          found != sorted(found, key=lambda item: item[0])):
        raise ValueError('its generations are out of order')
      return found
    except (ValueError, TypeError, KeyError) as error:
      raise ValueError('%s is damaged: %s' % (
        self._index_path, error)) from error

  def write_index(self, index):
    """Make `index` the index."""
    write_json(self._index_path, [
      {'time': when, 'generation': generation.to_json()}
      for when, generation in index])

  @property
  def indexed(self):
    """Whether there is an index, be it of nothing yet, or damaged."""
    return os.path.exists(self._index_path)

  def newest(self):
    """Return the newest verified Generation, or None."""
    index = self.index()
    return index[-1][1] if index else None

  def find(self, label):
    """Return (time, Generation) of generation `label`.  Raises KeyError."""
    found = [item for item in self.index() if item[1].label == label]
    if not found:
      raise KeyError(label)
    return found[-1]

  @property
  def incomplete(self):
    """Whether the last pull did not end well: the mirror may be mixed."""
    return os.path.exists(self._marker)

  @property
  def ledger(self):
    """The Ledger, as it is now."""
    return Ledger(self.configuration, self.name)

  def note(self, generation, problem=''):
    """Write to the ledger that `generation` was verified now, and what is wrong
    with it."""
    ledger = self.ledger
    ledger.note(generation, problem)
    ledger.save(self.index())

  def place(self, purpose):
    """Return the path of a directory on the archive's disk, for `purpose`."""
    return os.path.join(
      self.configuration.archive_directory, '.%s-%s' % (purpose, self.name))

  @contextlib.contextmanager
  def locked(self, shared=False, deadline=_READER_WAIT):
    """Hold the archive, alone unless `shared`; yields the lock's descriptor.
    Raises LockTimeout."""
    with lock(self._lock, shared, deadline) as descriptor:
      yield descriptor

  def pull(self, remote):
    """Pull the dump behind ssh.Remote `remote`, verify it, index it.

    Returns its Generation.  Raises process.Failed, manifest.InvalidManifest,
    Damaged, LockTimeout, DiskFull.
    """
    os.makedirs(self.path, mode=0o700, exist_ok=True)
    with self.locked() as held:
      self.settle(held)
      self._reserve.keep()
      self.mend()
      # rdiff-backup refuses a backup that is not later than the last; ours are
      # ordered by sequence, whatever became of the clock.
      now = max(int(time.time()), self.repository.last_time() + 1)
      if not (self.indexed or self.repository.times()):
        self.write_index([])  # right until what comes is found good
      write_json(self._marker, {'since': now})
      try:
        self.repository.backup(remote, now, held)
        found = manifest.read(self.path)
        self.judge(found, self._mender().mend(found))
      except (Failed, OSError):
        # So that what went wrong can be written down.
        self._reserve.release_if_short()
        raise
      # What was refused, or not noted, when it was pulled first, counts once.
      self.write_index([item for item in self.index()
                        if item[1] != found.generation]
                       + [(now, found.generation)])
      self.note(found.generation)
      self.forget_pull()
      return found.generation

  def forget_pull(self):
    """The mirror is a verified one, whatever the last pull did."""
    remove(self._marker)

  def settle(self, held):
    """Go back to the last complete mirror, if a pull was cut short; that needs
    some space, which the reserve gives.  Raises Failed, LockTimeout."""
    if self.repository.cut_short:
      with self._reserve.lent():
        self.repository.regress(held)

  def _mender(self):
    return Mender(self.configuration, self.path, self._sources,
                  self.place('repair'))

  def mend(self):
    """Have the mirror be its generation, before that becomes history: from the
    next pull on it is the base of all that is older.

    What cannot be repaired is noted, and stops nothing: to have the next
    generation is worth more.  To be called with the lock.  Returns what is
    wrong, or ''.
    """
    index, times, mender = self.index(), self.repository.times(), self._mender()
    if not index or times[-1:] != [index[-1][0]]:
      # The mirror is of a pull that did not end well: it is the base, too, of
      # what is older, and no generation that counts.
      with contextlib.suppress(manifest.InvalidManifest, OSError):
        if times:
          mirror.mend(self, mender, manifest.read(self.path))
      return ''
    generation = index[-1][1]
    try:
      found = mender.mend_manifest(generation)
      self.judge(found, mirror.mend(self, mender, found))
      problem = ''
    except (manifest.InvalidManifest, Damaged, OSError) as error:
      problem = str(error)
      log.error('archive %s is damaged, and was not repaired: %s', self.name,
                problem)
    self.note(generation, problem)
    return problem

  @staticmethod
  def judge(found, differences):
    """Raise Damaged if there are any `differences` from Manifest `found`."""
    if differences:
      raise Damaged(manifest.mismatch(found, differences))

  def prune(self, older_than):
    """Remove the increments older than `older_than`, a duration; also while
    the disk is full, and after a pull that failed.

    Returns how many.  Raises process.Failed, LockTimeout.
    """
    index = self.index()
    moment = oldest_kept(index, older_than, present(
      self.configuration, self.name, index))
    if moment is None:
      return 0
    with self.locked() as held, self._reserve.lent():
      self.repository.remove_older(moment, held)
      kept = self.repository.times()
      index = self.index()
      pruned = [item for item in index if item[0] in kept]
      self.write_index(pruned)
      self.ledger.save(pruned)
    return len(index) - len(pruned)

  def restore(self, label, target):
    """Restore generation `label` to directory `target`, which must not exist,
    and verify it against its own manifest; a pull that runs is waited for.
    Returns its Generation.

    Raises KeyError, process.Failed, manifest.InvalidManifest, Damaged,
    LockTimeout, OSError.
    """
    try:
      if self.repository.cut_short:
        # Was, or is, for a pull that runs looks the same.
        with self.locked(deadline=_RESTORE_WAIT) as held:
          self.settle(held)
      with self.locked(shared=True, deadline=_RESTORE_WAIT):
        return self._restore(*self.find(label), target)
    except LockTimeout as error:
      raise LockTimeout('it is in use, most likely by a pull that runs: %s' % (
        error)) from error

  def _restore(self, when, generation, target):
    """As `restore`, of the increment of time `when`, with the lock held.
    `target` appears when it is verified, and not before."""
    if os.path.lexists(target):
      raise FileExistsError('%s is there already: name a new folder' % target)
    temporary = os.path.normpath(target) + '.restoring'
    remove_tree(temporary)
    try:
      self.repository.restore(when, temporary)
      restored = manifest.read(temporary)
      if restored.generation != generation:
        raise Damaged('what was restored is generation %s, not %s' % (
          restored.generation.label, generation.label))
      self.judge(restored, manifest.compare(temporary, restored, durable=True))
      os.rename(temporary, target)
      fsync_directory(os.path.dirname(os.path.abspath(target)))
    finally:
      remove_tree(temporary)
    return generation
