"""What the services have in common: an end that leaves nothing half done, and
a successor when another release of this code is installed, or when they are to
listen elsewhere."""
import logging
import os
import signal

log = logging.getLogger('resilient.service')


class Stopped(BaseException):
  """SIGTERM or SIGINT: end what runs, and leave.  What is due stays due."""


def _stop(*_):
  # A second signal must not interrupt the clean-up.
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
  raise Stopped


def stop_on_signal():
  """From now on a signal to end raises Stopped in the main thread."""
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, _stop)


def is_outdated(watched, began, *names):
  """Whether a service has to begin anew: the configuration `watched` is by now
  of another release than `began`, with which it began, or differs in one of
  `names`, which the service cannot change while it runs."""
  now = watched.current()
  for name in ('code', *names):
    before = getattr(began, name)
    # An instance that has no such option any more has no such service, which
    # the node is about to end.
    if getattr(now, name, before) != before:
      return True
  return False


def become_successor(configuration, name):
  """Let this process go on as service `name`, as it is installed now.
  supervisord starts no service again that ended by itself.

  Returns only if there is no such service any more.
  """
  wrapper = os.path.join(configuration.services_directory, name)
  if os.access(wrapper, os.X_OK):
    log.info('going on as %s, as it is installed now', wrapper)
    logging.shutdown()
    os.execv(wrapper, [wrapper])
