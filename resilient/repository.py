"""What the stack asks of rdiff-backup."""
import contextlib
import datetime
import json
import os
import re
import tempfile

from . import launch_rdiff_backup, manifest
from .durable import remove, remove_tree
from .entries import ARCHIVE_DATA
from .process import Inconclusive, run
from .reserve import free

_QUICK = 3600
# rdiff-backup's exit status is a sum of flags; 1 is the one that means that it
# gave up.  The manifest says whether the others did any harm.
_FLAG_ERROR = 1
_NO_ERROR = tuple(status for status in range(16) if not status & _FLAG_ERROR)
_PLAIN = ('--no-eas', '--no-acls', '--no-carbonfile')
_MIRROR = re.compile(r'current_mirror\.(.+)\.data')
_INCREMENT = re.compile(r'increments\.([^.]+)\.[a-z]+')


def _location(remote):
  return '%s::%s' % (remote.alias, remote.peer.path)


def _schema(remote):
  return '--remote-schema', ' '.join(remote.command) + (
    ' {h} rdiff-backup server')


@contextlib.contextmanager
def _selection(directory, root, paths):
  """Yield (global options, options of the action) that select `paths` below
  `root`; None is all.  The list of them is kept in `directory` meanwhile."""
  if paths is None:
    yield (), ()
    return
  with tempfile.NamedTemporaryFile(dir=directory, prefix='.selection') as names:
    for path in paths:
      # A carriage return at the end would be taken for one of a line's.
      names.write(os.path.join(os.fsencode(root), path) + b'/\0')
    names.flush()
    yield ('--null-separator',), (
      '--include-filelist', names.name, '--exclude', '**')


class Repository:
  """The rdiff-backup repository in directory `path`: what is in it, and the
  actions of rdiff-backup on it.

  held: descriptor of a lock that rdiff-backup holds, too.  Each action raises
  process.Failed.
  """

  def __init__(self, configuration, path):
    self._configuration = configuration
    self.path = path
    self.data = os.path.join(path, ARCHIVE_DATA)

  def _times(self, pattern):
    names = os.listdir(self.data) if os.path.isdir(self.data) else ()
    found = filter(None, map(pattern.fullmatch, names))
    return {int(datetime.datetime.fromisoformat(match[1]).timestamp())
            for match in found}

  def times(self):
    """Return the times of what can be restored, in whole seconds since
    1970-01-01 UTC, oldest first."""
    return sorted(self._times(_MIRROR) | self._times(_INCREMENT))

  def last_time(self):
    """Return when the newest mirror, complete or not, claims to be from, or
    0."""
    return max(self._times(_MIRROR), default=0)

  @contextlib.contextmanager
  def _temporary(self):
    """Yield a directory for temporary files, of this repository alone.
    rdiff-backup writes whole files there to restore and to regress; they have
    no name, so none is left when it is killed."""
    inside = self.data if os.path.isdir(self.data) else self.path
    with contextlib.ExitStack() as stack:
      directory = inside
      with contextlib.suppress(OSError):
        # The other has more room when the archive's disk is full.
        if free(tempfile.gettempdir()) > free(inside):
          directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='resilient-'))
      yield directory

  def _run(self, arguments, deadline=None, accepted=_NO_ERROR, held=None,
           now=None, writable=()):
    """Run rdiff-backup, which changes no file outside of the repository and of
    the directories `writable`, whatever a peer, or what is in it, says."""
    clock = () if now is None else ('--current-time', str(now))
    with self._temporary() as temporary:
      return run(
        [*launch_rdiff_backup.command(self._configuration.rdiff_backup),
         '--api-version', '201', *clock, *arguments],
        deadline or self._configuration.transfer_deadline,
        accepted, lock=held, environment={
          'TMPDIR': temporary, launch_rdiff_backup.WRITABLE: json.dumps(
            [self.path, temporary, *writable])})

  def backup(self, remote, now, held=None):
    """Make the mirror what is behind ssh.Remote `remote`, as of time `now`."""
    if not self.last_time():
      # What a killed first backup leaves stops rdiff-backup for ever; the lock
      # that counts is ours.
      remove(os.path.join(self.data, 'lock.yml'))
    self._run([*_schema(remote), 'backup', *_PLAIN, _location(remote),
               self.path], held=held, now=now)

  @property
  def cut_short(self):
    """Whether the last backup was, and left something between two mirrors."""
    return len(self._times(_MIRROR)) > 1

  def regress(self, held=None):
    """Go back to the last complete mirror, where a backup was cut short."""
    if self.cut_short:
      self._run(['regress', self.path], held=held)

  def remove_older(self, moment, held=None):
    """Remove the increments from before time `moment`."""
    # 2 is what it returns when there is nothing to remove.
    self._run(['--force', 'remove', 'increments', '--older-than', str(moment),
               self.path], _QUICK, (0, 2), held)

  def restore(self, when, target, paths=None, deadline=None):
    """Restore what was there at time `when` to directory `target`, which must
    not exist; of it only `paths`, a list of bytes.

    deadline: in seconds; else that of a transfer."""
    try:
      # So rdiff-backup needs no right to what is beside it.
      os.mkdir(target, mode=0o700)
    except OSError as error:
      raise Inconclusive('%s cannot be made: %s' % (target, error)) from error
    with _selection(os.path.dirname(target), target, paths) as (
        options, selection):
      self._run([*options, 'restore', '--at', str(when), *selection,
                 self.path, target], deadline, writable=[target])

  def manifest(self, when, place):
    """Return the Manifest of what was there at time `when`.

    place: path of a directory for what is restored on the way.

    Raises InvalidManifest, also where there is none; Failed, if it cannot be
    restored: that may be for want of room.
    """
    try:
      remove_tree(place)
      self.restore(when, place, [os.fsencode(manifest.MANIFEST)])
      return manifest.read(place)
    finally:
      remove_tree(place)

  def fetch(self, remote, paths):
    """Make this new repository the `paths`, a list of bytes, of what is behind
    ssh.Remote `remote`; those that it does not have are left out."""
    with _selection(os.path.dirname(self.path), remote.peer.path, paths) as (
        options, selection):
      self._run([*options, *_schema(remote), 'backup', *_PLAIN, *selection,
                 _location(remote), self.path])
