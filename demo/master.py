"""The master of a SlapOS node, and how long it may take to answer."""
import os
import time
import urllib.error

from slapos.slap.standalone import StandaloneSlapOS

from .show import Failure

# An IPv4 address is only needed for the master; partitions use IPv6.
MASTER_IP = '127.0.0.1'
_PATIENCE = 60


class Slapos(StandaloneSlapOS):
  """As it is, but a master that does not start is an error in time."""

  def _ensureSlapOSAvailable(self):
    log = os.path.join(self._log_directory, 'slapos-proxy.log')
    with self.system_supervisor_rpc as supervisor:
      # One that ended is not started again by the supervisor.
      if supervisor.getProcessInfo('slapos-proxy')['statename'] in (
          'STOPPED', 'EXITED', 'FATAL'):
        supervisor.startProcess('slapos-proxy')
    end = time.monotonic() + _PATIENCE
    while True:
      try:
        if self._isSlapOSAvailable():
          return
        reason = 'nobody listens'
      except (OSError, urllib.error.URLError) as error:
        reason = str(error)
      if time.monotonic() > end:
        raise Failure('the SlapOS master does not answer at %s after %d s (%s)'
                      % (self._master_url, _PATIENCE, reason), log)
      time.sleep(0.1)
