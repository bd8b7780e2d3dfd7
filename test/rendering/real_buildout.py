"""The real buildout of the environment, in a folder."""
import os
import pathlib
import subprocess
import sys

_BIN = pathlib.Path(sys.executable).parent


def buildout(directory):
  """Run buildout in `directory`.  Raises AssertionError."""
  result = subprocess.run(
    [_BIN / 'buildout'], cwd=directory, stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
    timeout=300, check=False,
    env=dict(os.environ, PATH='%s:%s' % (_BIN, os.environ['PATH'])))
  if result.returncode:
    raise AssertionError(result.stdout[-4000:])
