"""What the machine lacks, said before anything is started.

environment/setup.py, which make runs first, has looked at the system, the
folder and the packages; here is what only the node's addresses and its size
tell.
"""
import errno
import os
import shutil
import socket

import psutil

from .show import Failure

# A node's folder of 73 characters was seen to work and one of 88 not, because
# of the sockets in it.
_LONGEST_FOLDER = 73
_GIGABYTES = 1
# Of the ten ports that a partition has, the ones that are used.
_OFFSETS = (0, 1, 2, 5)
_FIRST_PORT = 22000


def partition_ports(numbers):
  """Return the ports of the partitions with those numbers."""
  return [_FIRST_PORT + 10 * number + offset
          for number in numbers for offset in _OFFSETS]


def check_ports(addresses, remedy):
  """Raise Failure unless each (ip, port) of `addresses` can be listened at.

  remedy: what the user can do if one cannot.
  """
  for ip, port in addresses:
    family = socket.AF_INET6 if ':' in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
      # As servers do: connections that were closed do not matter.
      trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      try:
        trial.bind((ip, port))
        trial.listen(1)
      except OSError as error:
        if error.errno == errno.EADDRINUSE:
          raise Failure('port %d of %s is taken%s: %s' % (
            port, ip, _by_whom(port), remedy)) from error
        raise Failure(
          'cannot listen at %s (%s): use an address of this machine:'
          ' RESILIENT_IPV6=ADDRESS make demo' % (ip, error.strerror)) from error


def _by_whom(port):
  """Return ' by ...' if that can be told, else ''."""
  try:
    for connection in psutil.net_connections('tcp'):
      if (connection.status == psutil.CONN_LISTEN and connection.pid
          and connection.laddr.port == port):
        return ' by process %d (%s)' % (
          connection.pid, psutil.Process(connection.pid).name())
  except psutil.Error:
    pass
  return ''


def check_folder(node):
  """Raise Failure if a node cannot live in folder `node`, or as this user."""
  if os.geteuid() == 0:
    raise Failure('a node cannot run as root: use make, which changes to an'
                  ' ordinary user, or become one')
  if len(str(node)) > _LONGEST_FOLDER:
    raise Failure('the path %s has more than the %d characters that leave room'
                  ' for sockets: use a shorter one, with make WORK=<path>'
                  % (node, _LONGEST_FOLDER))


def check_space(folder):
  """Raise Failure if there is too little space for the node and its data."""
  free = shutil.disk_usage(folder).free / 1e9
  if free < _GIGABYTES:
    raise Failure('%.1f GB are free for %s, and %d GB are needed: free some, or'
                  ' use make WORK=<path on another disk>'
                  % (free, folder, _GIGABYTES))
