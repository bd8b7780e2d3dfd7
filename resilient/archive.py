"""The archive of a PBS: an rdiff-backup repository, and the index that says
which generation each of its increments is.
"""
import datetime
import os
import re
import time

from . import manifest
from .durable import lock, read_json, remove, write_json
from .generation import from_json
from .process import run

_QUICK = 3600
# A restore that reads the archive may take hours; the queue tries again.
_READER_WAIT = 30
# rdiff-backup's exit status is a sum of flags; 1 is the one that means that it
# gave up.  The manifest says whether the others did any harm.
_FLAG_ERROR = 1
_NO_ERROR = tuple(status for status in range(16) if not status & _FLAG_ERROR)
_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'D': 86400, 'W': 7 * 86400,
          'M': 30 * 86400, 'Y': 365 * 86400}


def seconds(duration):
  """Return rdiff-backup's `duration`, such as ``2W``, in seconds.

  A number of backups (``10B``) is None.
  """
  if duration.endswith('B'):
    return None
  return sum(int(number) * _UNITS[unit]
             for number, unit in re.findall(r'(\d+)([smhDWMY])', duration))


class Archive:
  """The archive `name` of the PBS of `configuration`."""

  def __init__(self, configuration, name):
    self._configuration = configuration
    self.path = os.path.join(configuration.archive_directory, name)
    self._index_path = configuration.state('archive-%s.json' % name)
    self._marker = configuration.state('pulling-' + name)
    self._lock = configuration.state('archive-%s.lock' % name)

  def index(self):
    """Return [(time of the increment, Generation)], oldest first; the time is
    in whole seconds since 1970-01-01 UTC.  Only what was verified is in it."""
    return [(item['time'], from_json(item['generation']))
            for item in read_json(self._index_path, [])]

  def _write_index(self, index):
    write_json(self._index_path, [
      {'time': when, 'generation': generation.to_json()}
      for when, generation in index])

  def newest(self):
    """Return the newest verified Generation, or None."""
    index = self.index()
    return index[-1][1] if index else None

  @property
  def incomplete(self):
    """Whether the last pull did not end well: the mirror may be mixed."""
    return os.path.exists(self._marker)

  def _last_time(self):
    """Return when the newest mirror, complete or not, claims to be from."""
    data = os.path.join(self.path, manifest.ARCHIVE_DATA)
    times = [0]
    for name in os.listdir(data) if os.path.isdir(data) else ():
      match = re.fullmatch(r'current_mirror\.(.+)\.data', name)
      if match:
        times.append(int(
          datetime.datetime.fromisoformat(match[1]).timestamp()))
    return max(times)

  def _run(self, arguments, deadline, now=None, accepted=(0,), held=None):
    clock = [] if now is None else ['--current-time', str(now)]
    return run(
      [self._configuration.rdiff_backup, '--api-version', '201', *clock,
       *arguments], deadline, accepted, lock=held)

  def pull(self, remote):
    """Pull the dump behind ssh.Remote `remote`, verify it, index it.

    Returns its Generation.  Raises process.Failed, manifest.InvalidManifest,
    Damaged, LockTimeout.
    """
    with lock(self._lock, deadline=_READER_WAIT) as descriptor:
      return self._pull(remote, descriptor)

  def _pull(self, remote, descriptor):
    os.makedirs(self.path, mode=0o700, exist_ok=True)
    # rdiff-backup refuses a backup that is not later than the last; ours are
    # ordered by sequence, whatever became of the clock.
    now = max(int(time.time()), self._last_time() + 1)
    write_json(self._marker, {'since': now})
    if not self._last_time():
      # What a killed first pull leaves stops rdiff-backup for ever; the lock
      # that counts is ours.
      remove(os.path.join(self.path, manifest.ARCHIVE_DATA, 'lock.yml'))
    self._run([
      '--remote-schema', ' '.join(remote.command) + ' {h} rdiff-backup server',
      'backup', '--no-eas', '--no-acls', '--no-carbonfile',
      '%s::%s' % (remote.alias, remote.peer.path), self.path,
    ], self._configuration.transfer_deadline, now, _NO_ERROR, descriptor)
    found = manifest.read(self.path)
    self._check(self.path, found)
    self._write_index(self.index() + [(now, found.generation)])
    remove(self._marker)
    return found.generation

  @staticmethod
  def _check(root, found):
    differences = manifest.compare(root, found)
    if differences:
      raise Damaged(
        'generation %s does not match its manifest in %d entries: %s' % (
          found.generation.label, len(differences),
          '; '.join(map(str, differences[:5]))))

  def prune(self, older_than):
    """Remove the increments older than `older_than`, a duration.

    Returns how many.  Raises process.Failed, LockTimeout.
    """
    with lock(self._lock, deadline=_READER_WAIT) as descriptor:
      return self._prune(older_than, descriptor)

  def _prune(self, older_than, descriptor):
    index = self.index()
    if len(index) < 2 or self.incomplete:
      return 0
    now = max(int(time.time()), self._last_time())
    age = seconds(older_than)
    if age is not None and index[0][0] >= now - age:
      return 0
    # 2 is what it returns when there is nothing to remove.
    self._run(['--force', 'remove', 'increments', '--older-than', older_than,
               self.path], _QUICK, now, (0, 2), descriptor)
    kept = self._times()
    pruned = [item for item in index if item[0] in kept]
    self._write_index(pruned)
    return len(index) - len(pruned)

  def _times(self):
    output = run(
      [self._configuration.rdiff_backup, '--api-version', '201',
       '--parsable-output', 'list', 'increments', self.path],
      _QUICK, capture=True).output
    return {int(when) for when in re.findall(rb'(?m)^ +time: (\d+)$', output)}

  def restore(self, label, target):
    """Restore generation `label` to directory `target`, which must not exist,
    and verify it against its own manifest.  Returns its Generation.

    Raises KeyError, process.Failed, manifest.InvalidManifest, Damaged,
    LockTimeout.
    """
    with lock(self._lock, shared=True, deadline=_QUICK):
      return self._restore(label, target)

  def _restore(self, label, target):
    found = [(when, generation) for when, generation in self.index()
             if generation.label == label]
    if not found:
      raise KeyError(label)
    when, generation = found[-1]
    self._run(['restore', '--at', str(when), self.path, target],
              self._configuration.transfer_deadline, accepted=_NO_ERROR)
    restored = manifest.read(target)
    if restored.generation != generation:
      raise Damaged('what was restored is generation %s, not %s' % (
        restored.generation.label, label))
    self._check(target, restored)
    return generation


class Damaged(Exception):
  """An archive holds something else than its manifest says."""
