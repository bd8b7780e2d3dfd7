"""``resilient key``: make an ssh key pair while the instance is built.

So nothing waits for a service to invent one.
"""
import os
import subprocess

from .durable import fsync, fsync_directory


def ensure(path, comment, ssh_keygen):
  """Make an Ed25519 key pair at `path`, unless there is one; return the public
  key, without comment.

  A key that is there is never replaced: its peers know it.  Raises
  subprocess.CalledProcessError, OSError.
  """
  # One that is empty was not on the disk yet when the machine stopped.
  if not os.path.exists(path) or not os.path.getsize(path):
    # Asked for while the partition's directories are not made yet.
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = '%s.%d.tmp' % (path, os.getpid())
    subprocess.run(
      [ssh_keygen, '-q', '-t', 'ed25519', '-N', '', '-C', comment,
       '-f', temporary],
      check=True, stdin=subprocess.DEVNULL)
    os.unlink(temporary + '.pub')
    fsync(temporary)
    os.rename(temporary, path)
    fsync_directory(os.path.dirname(path))
  # The public half is derived, so that the two can never differ.
  result = subprocess.run(
    [ssh_keygen, '-y', '-f', path], check=True, stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE, encoding='ascii')
  return ' '.join(result.stdout.split()[:2])
