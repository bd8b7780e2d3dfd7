"""What a release tells the takeover's page: its own
``resilient_software_release_information``, a module of Python whose function
``main`` returns {name: value}.
"""
import json
import logging
import sys

from .durable import encodable
from .process import Failed, run

log = logging.getLogger('resilient.information')

_DEADLINE = 10
_CALL = (
  'import json, runpy, sys\n'
  'json.dump(runpy.run_path(sys.argv[1])["main"](), sys.stdout, default=str)')
_TITLE = 'Of the release'


def facts(configuration):
  """Return [(name, value)], texts that nobody has escaped yet."""
  if not configuration.information:
    return []
  try:
    # In a process of its own: it is code of the release, and may hang.
    found = json.loads(run(
      [sys.executable, '-c', _CALL, configuration.information], _DEADLINE,
      capture=True).output)
    if not isinstance(found, dict):
      raise ValueError('main() returned no dictionary')
  except (Failed, ValueError) as error:
    log.error('%s: %s', configuration.information, error)
    return [(_TITLE, 'its information is not to be had: %s' % error)]
  return [(encodable(str(name)), encodable(str(value)))
          for name, value in found.items()]
