"""A disk that is too small: a tmpfs that only one process, and what it starts,
can see.  That needs no root, but a kernel that lets users have namespaces."""
import ctypes
import os
import pathlib
import sys
import traceback

_NEW_NAMESPACES = 0x10000000 | 0x00020000  # of users, of mounts
_REMOUNT = 32
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result):
  if result:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def mount(path, size, flags=0):
  """Let `path` be a disk of `size` bytes; only `inside` can do so."""
  _check(_libc.mount(b'none', os.fsencode(path), b'tmpfs', flags,
                     b'size=%d' % size))


def resize(path, size):
  """Let the disk at `path` have `size` bytes from now on."""
  mount(path, size, _REMOUNT)


def _enter():
  user, group = os.getuid(), os.getgid()
  _check(_libc.unshare(_NEW_NAMESPACES))
  # The same user as before, in there too: programs that are started have no
  # right that an ordinary user has not.
  for name, text in (('setgroups', 'deny'), ('uid_map', '%d %d 1' % (
      user, user)), ('gid_map', '%d %d 1' % (group, group))):
    pathlib.Path('/proc/self', name).write_text(text, encoding='ascii')


def inside(function):
  """Run `function` in a process of its own, which may `mount`.  Raises
  AssertionError with what it raises."""
  reading, writing = os.pipe()
  pid = os.fork()
  if not pid:
    try:
      os.close(reading)
      _enter()
      function()
      os._exit(0)
    except BaseException:
      os.write(writing, traceback.format_exc().encode()[-60000:])
      os._exit(1)
  os.close(writing)
  with os.fdopen(reading, encoding='utf-8') as output:
    text = output.read()
  if os.waitpid(pid, 0)[1]:
    raise AssertionError(text)


def possible():
  """Whether this kernel lets an ordinary user do so."""
  try:
    inside(lambda: mount('/mnt', 1 << 20))
  except AssertionError as error:
    sys.stderr.write('no disks for tests: %s\n' % str(error).splitlines()[-1])
    return False
  return True
