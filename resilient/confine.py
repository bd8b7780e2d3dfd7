"""Take rights away from this process, for good: Landlock, Linux 5.13 and later.

What a key of a PBS can have started is a large program that reads what its peer
sends, and so is the rdiff-backup of a PBS.  Where it has a defect, the kernel
still says no.
"""
import contextlib
import ctypes
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

# Names and numbers of linux/landlock.h: all that changes files.
_WRITE_FILE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_READ_FILE = 1 << 2
_CHANGE = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
# TCP: to bind, and to connect.
_NET = 0b11


def _syscall(number, *arguments):
  libc = ctypes.CDLL(None, use_errno=True)
  result = libc.syscall(ctypes.c_long(number), *arguments)
  if result < 0:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
  return result


def _allow(ruleset, path, rights):
  descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
  try:
    _syscall(_ADD_RULE, ruleset, _PATH_BENEATH,
             struct.pack('=Qi', rights, descriptor), 0)
  finally:
    os.close(descriptor)


def _beside(path):
  """Yield what is not below `path`: all that is beside it and its parents."""
  path = os.path.realpath(path)
  while path != '/':
    parent = os.path.dirname(path)
    with contextlib.suppress(PermissionError):
      for name in os.listdir(parent):
        if os.path.join(parent, name) != path:
          yield os.path.join(parent, name)
    path = parent


def confine(*directories, hidden=None, readable=(), linking=False):
  """From now on this process, and what it starts, changes no file outside of
  `directories`, and uses no TCP but the connections that are open.

  hidden: a directory of whose files none can be read but those below
    `directories`, or `readable`.
  linking: whether it has to link or move files from one directory into another,
    which a kernel before 5.19 lets nobody who is confined.

  Returns whether the kernel knows how: an old one leaves everything as it is.
  Raises OSError.
  """
  try:
    version = _syscall(_CREATE_RULESET, None, 0, _VERSION)
  except OSError:
    return False
  if linking and version < 2:
    return False
  rights = (_CHANGE | (_REFER if version >= 2 else 0)
            | (_TRUNCATE if version >= 3 else 0)
            | (_READ_FILE if hidden else 0))
  attributes = struct.pack('=QQ', rights, _NET)[:16 if version >= 4 else 8]
  ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
  try:
    for directory in directories:
      _allow(ruleset, directory, rights)
    for path in (*_beside(hidden), *readable) if hidden else ():
      # A link that leads nowhere, or what is gone by now.
      with contextlib.suppress(OSError):
        _allow(ruleset, path, _READ_FILE)
    with contextlib.suppress(FileNotFoundError):
      _allow(ruleset, os.devnull,
             rights & (_WRITE_FILE | _TRUNCATE | _READ_FILE))
    if ctypes.CDLL(None, use_errno=True).prctl(
        _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
      raise OSError(ctypes.get_errno(), 'no_new_privs')
    _syscall(_RESTRICT_SELF, ruleset, 0)
  finally:
    os.close(ruleset)
  return True
