"""Bring a bare Debian to where `slapos` and `buildout` run as this user.

Checks first and says in one line what the machine lacks; then installs the
Debian packages that are missing and makes a virtual environment of pinned
Python packages.  Can be interrupted and run again; with all in place it
changes nothing.

  /usr/bin/python3 environment/setup.py --work DIR
"""
import argparse
import contextlib
import fcntl
import pathlib
import sys

import machine
import packages
import virtual
from progress import Failure, say


def main(argv=None):
  """Set up the environment in DIR/venv.  Return the exit status."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--work', metavar='DIR', type=pathlib.Path,
                      required=True, help='folder for all that is made')
  parser.add_argument('--need-gigabytes', metavar='N', type=float, default=3,
                      help='space that must be free (default: %(default)s)')
  arguments = parser.parse_args(argv)
  try:
    set_up(arguments.work.absolute(), arguments.need_gigabytes)
  except Failure as failure:
    print('environment: %s' % failure, file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('environment: interrupted; the same command goes on from here',
          file=sys.stderr)
    return 130
  return 0


def set_up(work, gigabytes):
  """Check the machine, then install what is missing.

  ``gigabytes`` is the free space to ask for before anything is installed.
  Raise Failure, one line for the user, if something lacks or fails.
  """
  machine.check_debian()
  machine.check_python()
  machine.check_loopback()
  machine.check_shared_memory()
  machine.check_path(work)
  machine.check_writable(work)
  with locked(work / '.environment.lock'):
    venv = work / 'venv'
    complete = virtual.is_complete(venv)
    if not complete:
      machine.check_space(work, gigabytes)
    missing = packages.missing()
    become_root = packages.root_command() if missing else None

    log = work / 'log' / 'environment.log'
    if missing or not complete:
      log.parent.mkdir(exist_ok=True)
      log.write_text('')
    if missing:
      packages.install(missing, log, become_root)
    if not complete:
      virtual.build(venv, log)
    say('ready in %s' % venv)


@contextlib.contextmanager
def locked(path):
  """Let one process at a time go on, and say so if this one has to wait."""
  with path.open('w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      say('waiting for another setup in %s' % path.parent)
      fcntl.flock(lock, fcntl.LOCK_EX)
    yield


if __name__ == '__main__':
  sys.exit(main())
