"""The services of a node's instances, through their supervisor."""
import contextlib
import errno
import time

from slapos.grid.svcbackend import getSupervisorRPC

from . import processes
from .show import Failure

_PATIENCE = 15


class Services:
  """The services below `folder`, that of the instances.

  Every method raises OSError if the node is not running.
  """

  def __init__(self, folder):
    self._socket = str(folder / 'sv.sock')

  @contextlib.contextmanager
  def _supervisor(self):
    with getSupervisorRPC(self._socket) as supervisor:
      yield supervisor

  def wait(self, log):
    """Wait for a supervisor that has just been started.

    log: file that tells why it does not start.  Raises Failure.
    """
    end = time.monotonic() + _PATIENCE
    while True:
      try:
        self.all()
        return
      except OSError as error:
        if (error.errno not in (errno.ENOENT, errno.ECONNREFUSED)
            or time.monotonic() > end):
          raise Failure('the supervisor of the services does not answer: %s'
                        % error, log) from error
      time.sleep(0.1)

  def all(self):
    """Return {partition: [(name, state, pid)]}; pid is 0 if it is not running.
    """
    found = {}
    with self._supervisor() as supervisor:
      for info in supervisor.getAllProcessInfo():
        if info['group'] != 'watchdog':
          found.setdefault(info['group'], []).append(
            (info['name'], info['statename'], info['pid']))
    return found

  def start(self, partition):
    """Start what is not running in a partition; return whether there was."""
    if all(state == 'RUNNING' for _, state, _ in self.all().get(partition, ())):
      return False
    with self._supervisor() as supervisor:
      supervisor.startProcessGroup(partition)
    return True

  def kill(self, partition):
    """SIGKILL all processes of a partition; return how many.

    Its services then stay down, whoever wants to start them.
    """
    count = processes.kill(
      pid for _, _, pid in self.all().get(partition, ()) if pid)
    with self._supervisor() as supervisor:
      supervisor.stopProcessGroup(partition)
    return count

  def stop_all(self):
    """Stop all services."""
    with self._supervisor() as supervisor:
      supervisor.stopAllProcesses()
