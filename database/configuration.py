"""What a partition's database was told: ``etc/database.json``, checked.

The keys are those of section ``database-configuration`` of the profile, and
the user's parameters.
"""
import json
import re

from resilient import parameter
from resilient.durable import read_json

_REQUIRED = object()


class InvalidParameter(Exception):
  """A parameter is wrong; the message names it, its value and the remedy."""


def _role(value):
  if value not in ('leader', 'clone'):
    raise ValueError('"leader" or "clone"')
  return value


def _whole(least, most):
  def check(value):
    if not (re.fullmatch(r'\d{1,9}', str(value))
            and least <= int(value) <= most):
      raise ValueError('a whole number from %d to %d' % (least, most))
    return int(value)
  return check


def _identifier(value):
  if not re.fullmatch(r'[a-z][a-z0-9_]{0,30}', str(value)):
    raise ValueError('at most 31 small letters, digits and "_", a letter first')
  return value


def _settings(value):
  try:
    value = json.loads(value) if isinstance(value, str) else value
  except ValueError:
    value = None
  if not isinstance(value, dict) or not all(
      re.fullmatch(r'[A-Za-z][A-Za-z0-9_.-]*', name)
      and isinstance(setting, (str, int, float))
      and str(setting).isprintable() for name, setting in value.items()):
    raise ValueError('an object with the names of settings and their values,'
                     ' like {"name": "value"}')
  return {name.lower().replace('-', '_'):
          str(setting).lower() if isinstance(setting, bool) else str(setting)
          for name, setting in sorted(value.items())}


def _url(value):
  if value and not re.fullmatch(r'https?://\S+', str(value)):
    raise ValueError('the URL, http or https, of a tar archive')
  return value


def _sha256(value):
  if value and not re.fullmatch(r'[0-9a-fA-F]{64}', str(value)):
    raise ValueError('a SHA-256, which has 64 hexadecimal digits')
  return str(value).lower()


# name: (check, default)
_KEYS = {
  'role': (_role, _REQUIRED),
  # Where the contents are: see contents.py.
  'contents-directory': (parameter.path, _REQUIRED),
  # Of sockets and what a server writes while it runs.
  'run-directory': (parameter.path, _REQUIRED),
  'host': (parameter.text, _REQUIRED),
  # The page that a new document root has.
  'sample': (parameter.path, _REQUIRED),
  'port': (parameter.port, _REQUIRED),
  # The user's parameters, which a leader alone has.
  'database-port': (_whole(1024, 65535), None),
  'database-name': (_identifier, 'application'),
  'database-memory': (_whole(16, 1 << 20), 128),
  'database-connections': (_whole(10, 10000), 100),
  'database-settings': (_settings, '{}'),
  'document-root-url': (_url, ''),
  'document-root-sha256': (_sha256, ''),
}


class Configuration:
  """The checked configuration; keys are attributes."""

  def __init__(self, values):
    for key in values.keys() - _KEYS.keys():
      raise InvalidParameter('parameter %s is not known; these are: %s' % (
        key, ', '.join(name for name in _KEYS
                       if name.startswith(('database-', 'document-')))))
    for key, (check, default) in _KEYS.items():
      value = values.get(key)
      if value in (None, ''):
        if default is _REQUIRED:
          raise InvalidParameter('%s is missing' % key)
        value = default
      try:
        value = None if value is None else check(value)
      except ValueError as error:
        raise InvalidParameter('parameter %s is %r, and must be %s' % (
          key, value, error)) from error
      setattr(self, key.replace('-', '_'), value)
    self.port = self.database_port or self.port
    if bool(self.document_root_url) != bool(self.document_root_sha256):
      raise InvalidParameter(
        'parameter document-root-url is %r and document-root-sha256 is %r, and'
        ' they must be given together' % (
          self.document_root_url, self.document_root_sha256))

  @property
  def is_leader(self):
    """Whether the database takes writes."""
    return self.role == 'leader'


def load(path):
  """Return the Configuration in file `path`.

  Raises InvalidParameter, ValueError, OSError.
  """
  return Configuration(read_json(path, {}))
