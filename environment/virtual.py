"""The virtual environment: the pinned packages, and buildout's dialect."""
import hashlib
import os
import pathlib
import shutil
import tempfile

import repack
from machine import PYTHON
from progress import Failure, run, say

HERE = pathlib.Path(__file__).resolve().parent
STAMP = '.complete'
TOOLS = ['pip', 'setuptools', 'wheel', 'setuptools_scm']


def foundation(folder):
  """Return the text that differs if only a new environment will do."""
  return '%s %s\n' % (folder, os.path.realpath(PYTHON))


def inputs():
  """Return the text that differs if other packages are wanted."""
  digest = hashlib.sha256()
  for path in [HERE / 'requirements.txt', HERE / 'stock-buildout.txt',
               HERE / 'repack.py', HERE / 'virtual.py',
               *sorted(HERE.glob('dialect/*.py'))]:
    digest.update(path.read_bytes())
  return digest.hexdigest() + '\n'


def is_complete(folder):
  """Tell whether an environment was made to its end from today's inputs."""
  try:
    return (folder / STAMP).read_text() == foundation(folder) + inputs()
  except OSError:
    return False


def build(folder, log):
  """Make an environment, or bring a complete one up to date.

  One that an interrupted run left is made anew: the stamp is written last.
  Raise Failure if Python or pip fails, or zc.buildout is not the expected.
  """
  stamp = folder / STAMP
  if stamp.exists() and stamp.read_text().startswith(foundation(folder)):
    say('updating %s (log: %s)' % (folder, log))
    stamp.unlink()
  else:
    say('making %s (log: %s)' % (folder, log))
    shutil.rmtree(folder, ignore_errors=True)
    run('venv', [PYTHON, '-I', '-m', 'venv', str(folder)], log)

  # -I and these: a user's own settings for Python must not leak in.
  environ = {name: value for name, value in os.environ.items()
             if not name.startswith('PYTHON')}
  environ.update(PIP_USER='0', PIP_DISABLE_PIP_VERSION_CHECK='1',
                 PIP_NO_INPUT='1', PIP_PROGRESS_BAR='off')
  pip = [str(folder / 'bin/python'), '-I', '-m', 'pip']
  pins = str(HERE / 'requirements.txt')
  run('pip', pip + ['install', '-c', pins] + TOOLS, log, environ)
  with tempfile.TemporaryDirectory(prefix='buildout-', dir=folder) as name:
    wheels = pathlib.Path(name)
    run('pip', pip + ['download', '--no-deps', '--require-hashes',
                      '--only-binary', ':all:', '-d', name,
                      '-r', str(HERE / 'stock-buildout.txt')], log, environ)
    stock, = wheels.iterdir()
    try:
      ours = repack.repack(stock, wheels)
    except LookupError as error:
      raise Failure('cannot add the dialect to buildout: %s' % error) from error
    say('installing Python packages, some are compiled')
    # Without isolation builds use the tools pinned here, in half of the time.
    run('pip', pip + ['install', '--no-build-isolation', '-r', pins,
                      str(ours)], log, environ)
  new = folder / (STAMP + '.new')
  new.write_text(foundation(folder) + inputs())
  new.rename(stamp)
