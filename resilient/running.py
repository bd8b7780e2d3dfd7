"""Does an export or an import run, or was it interrupted?"""
from .durable import is_locked


def _content(path):
  """Return what is in file `path`, which need not make sense, or None."""
  try:
    with open(path, 'rb') as source:
      return source.read()
  except FileNotFoundError:
    return None


def running(configuration, name, marker, shared=False):
  """Return (whether what holds the lock `name` runs, whether it was
  interrupted: its file `marker` is left)."""
  marker = configuration.state(marker)
  before = _content(marker)
  held = is_locked(configuration.state(name), shared)
  # Else it is of one that began meanwhile, or that ended.
  left = before is not None and _content(marker) == before
  return held, left and not held
