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


def run(command, deadline, environment=()):
  """Run `command`, at the longest for `deadline` seconds; its output is in the
  log.  Raises resilient.process.Failed.

  environment: variables to add.
  """
  return _run(command, deadline,
              environment=dict(environment, LC_ALL='C.UTF-8'))


def query(command, text='', check=True, source=None, deadline=_QUERY,
          environment=()):
  """Run `command` with `text` as its input; return its CompletedProcess.

  source: an open file, which is its input instead.
  deadline: in seconds.
  environment: variables to add.

  Raises resilient.process.Failed, with what it said, unless `check` is false.
  """
  name = os.path.basename(command[0])
  try:
    done = subprocess.run(
      command, timeout=deadline, env=dict(_ENVIRONMENT, **dict(environment)),
      encoding='utf-8', stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      check=False,
      **({'input': text} if source is None else {'stdin': source}))
  except subprocess.TimeoutExpired as error:
    raise Failed('%s did not end within %d s' % (name, deadline)) from error
  if check and done.returncode:
    # Some repeat the statement, with its data: an error's own line is enough.
    lines = done.stderr.splitlines()
    said = [line for line in lines if 'ERROR' in line] or lines[-3:]
    raise Failed('%s failed with status %d: %s' % (
      name, done.returncode, ' '.join(' '.join(said).split())[-300:]),
                 done.returncode)
  return done
