"""Pickles that are data: what rdiff-backup may take from its peer.

The two sides of rdiff-backup send each other pickles, and to load a pickle is
to run whatever it asks for: ``--restrict-mode`` looks at requests only after
that.  So the key of a PBS could run anything on the leader, and a leader
anything on its PBS, which keeps the history.  Here a pickle holds data, and the
few classes that the protocol needs.

It imports nothing of ours, for it runs in rdiff-backup's own interpreter.
"""
import io
import pickle
import sys

# What a transfer sends, beside exceptions.
_CLASSES = frozenset((
  ('rdiff_backup.connection', 'ConnectionRequest'),
  ('rdiff_backup.hash', 'Report'),
  ('rdiff_backup.iterfile', 'MiscIterFlush'),
  ('rdiff_backup.iterfile', 'MiscIterFlushRepeat'),
  ('rdiff_backup.rpath', 'RPath'),
  ('rdiffbackup.locations.fs_abilities', 'FSAbilities'),
  ('re', '_compile'),
  # So a refusal of the other side is told by its own words.
  ('_pickle', 'UnpicklingError'),
))
_PACKAGES = ('builtins', 'rdiff_backup', 'rdiffbackup')


class _Unpickler(pickle.Unpickler):

  def find_class(self, module, name):
    """Return a class that may be in a pickle.  Raises UnpicklingError."""
    # A name with a dot would lead through the attributes of an exception.
    if '.' not in name:
      if (module, name) in _CLASSES:
        return super().find_class(module, name)
      if module.partition('.')[0] in _PACKAGES and module in sys.modules:
        found = getattr(sys.modules[module], name, None)
        if isinstance(found, type) and issubclass(found, Exception):
          return found
    raise pickle.UnpicklingError(
      'the peer sent %s.%s, which is no data' % (module, name))


def loads(data):
  """Return the value in `data`.  Raises pickle.UnpicklingError."""
  return _Unpickler(io.BytesIO(data)).load()


def restrict():
  """From now on this process loads no other pickles."""
  pickle.loads = loads
