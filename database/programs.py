"""Run the programs of a database: never with a secret in a command line."""
import os
import subprocess

from resilient.process import Failed, run as _run

_QUERY = 600  # seconds
# What a user of the service has in the environment is not meant for us.
_ENVIRONMENT = {
  **{name: value for name, value in os.environ.items()
     if not name.startswith(('PG', 'MYSQL', 'MARIADB'))},
  'LC_ALL': 'C.UTF-8'}


def run(command, deadline, source=None):
  """Run `command`, at the longest for `deadline` seconds; its output is in the
  log.  Raises resilient.process.Failed.

  source: an open file that it reads as its standard input.
  """
  return _run(command, deadline, environment={'LC_ALL': 'C.UTF-8'},
              source=source)


def query(command, text, check=True):
  """Run `command` with `text` as its input; return its CompletedProcess.

  Raises resilient.process.Failed, with what it said, unless `check` is false.
  """
  try:
    done = subprocess.run(
      command, input=text, timeout=_QUERY, env=_ENVIRONMENT, check=False,
      encoding='utf-8', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  except subprocess.TimeoutExpired as error:
    raise Failed('%s did not end within %d s' % (
      os.path.basename(command[0]), _QUERY)) from error
  if check and done.returncode:
    raise Failed('%s failed with status %d: %s' % (
      os.path.basename(command[0]), done.returncode,
      ' '.join(done.stderr.split())[-300:]), done.returncode)
  return done
