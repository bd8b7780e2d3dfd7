"""What must be so before anything is started: checks, each with its remedy.

Each function returns None if all is well and raises Failure, one line for the
user, if not.
"""
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile

from progress import Failure, say

PYTHON = '/usr/bin/python3'
# Below the work folder live unix sockets, whose paths end at 107 characters.
# A node's folder of 73 was seen to work and one of 88 not; ours is a little
# below the work folder.
WORK_PATH_LIMIT = 60


def check_debian():
  """Warn, no more, if this is not a Debian that the stack was tried on."""
  release = {}
  for name in ('/etc/os-release', '/usr/lib/os-release'):
    if os.path.exists(name):
      for line in pathlib.Path(name).read_text().splitlines():
        key, _, value = line.partition('=')
        release[key] = value.strip('"')
      break
  if release.get('ID') != 'debian' or release.get('VERSION_ID') not in (
      '12', '13'):
    say('this is %s; only Debian 12 and 13 were tried'
        % release.get('PRETTY_NAME', 'an unknown system'))


def check_python():
  """Raise Failure if the system's Python is missing or older than 3.11.

  No other Python will do: one below a home folder may be closed to the user
  that runs the node, and may lack modules.
  """
  command = [PYTHON, '-c', 'import sys; sys.exit(sys.version_info < (3, 11))']
  try:
    too_old = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
  except OSError as error:
    raise Failure('cannot run %s (%s): install Debian\'s package python3'
                  % (PYTHON, error.strerror)) from error
  if too_old:
    raise Failure('%s is older than 3.11: use Debian 12 or later' % PYTHON)


def check_loopback():
  """Raise Failure if services cannot listen on ::1."""
  try:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
      trial.bind(('::1', 0))
  except OSError as error:
    raise Failure('no IPv6 on the loopback device (%s): as root run '
                  'sysctl net.ipv6.conf.lo.disable_ipv6=0, or start the '
                  'container with that setting' % error.strerror) from error


def check_shared_memory():
  """Raise Failure if processes of users cannot share semaphores.

  slapgrid's do.  Root asks this too, for the user that it makes.
  """
  shared = pathlib.Path('/dev/shm')
  if not (shared.exists() and shared.stat().st_mode & stat.S_IWOTH):
    raise Failure('/dev/shm is not writable: as root run mount -t tmpfs -o '
                  'mode=1777 tmpfs /dev/shm, or chmod 1777 /dev/shm')


def check_path(work):
  """Raise Failure if sockets below the work folder would not work."""
  if len(str(work)) > WORK_PATH_LIMIT:
    raise Failure('the path %s has %d characters, more than the %d that leave '
                  'room for sockets: put the project elsewhere, or use '
                  'make WORK=<shorter path>'
                  % (work, len(str(work)), WORK_PATH_LIMIT))
  if any(character.isspace() for character in str(work)):
    raise Failure('the path %s has blanks, which buildout cannot bear: put the '
                  'project elsewhere, or use make WORK=<other path>' % work)


def check_writable(work):
  """Make the work folder.  Raise Failure if it cannot be written to."""
  try:
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=work):
      pass
  except OSError as error:
    raise Failure('cannot write to %s (%s): give it to your user, or use '
                  'make WORK=<other path>' % (work, error.strerror)) from error


def check_space(work, gigabytes):
  """Raise Failure if there is less than that much space for the work folder."""
  free = shutil.disk_usage(work).free / 1e9
  if free < gigabytes:
    raise Failure('%.1f GB are free for %s, and %g GB are needed: free some, '
                  'or use make WORK=<path on another disk>'
                  % (free, work, gigabytes))
