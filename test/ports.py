"""Ports for the servers of tests."""
import contextlib
import os
import socket

# Below those that the kernel gives to who asks for any, and to each outgoing
# connection (32768 and more by default): else one that was free might be taken
# before the server that it is for has started.  Each job of test/run that runs
# beside others has its own.
_FIRST = 12000
_OF_A_JOB = 300
_JOBS = 64
_given = 0


def _is_free(port):
  with contextlib.suppress(OSError):
    for address, family in (
        ('::1', socket.AF_INET6), ('127.0.0.1', socket.AF_INET)):
      socket.create_server((address, port), family=family).close()
    return True
  return False


def free_port():
  """Return a port that nobody uses now, neither of ::1 nor of 127.0.0.1, and
  that nobody else is given soon."""
  global _given
  first = _FIRST + _OF_A_JOB * (
    int(os.environ.get('RESILIENT_TEST_SLOT', 0)) % _JOBS)
  for _ in range(_OF_A_JOB):
    # Two that run by hand, side by side, begin somewhere else.
    port = first + (os.getpid() + _given) % _OF_A_JOB
    _given += 1
    if _is_free(port):
      return port
  raise AssertionError('each port from %d on is taken' % first)
