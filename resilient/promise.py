"""Promises: each can fail, and says in one line what is wrong.

``templates/promise.py.in`` makes these classes known to slapos.cookbook's
promise.plugin.
"""
import os
import socket
import time

from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise
import zope.interface

from . import (
  configuration as configuration_module,
  heartbeat,
  http_client,
  notify,
)
from .durable import is_locked
from .status import DAMAGE, problems

# A promise is asked right after its service was started.
_PATIENCE = 6
# Seconds for an answer: so long a server waits for a request.
_ANSWER = 10
_STAMP_AGE = 180


class _Promise(GenericPromise):
  """A promise that fails as long as `problem` returns a sentence."""

  def __init__(self, config):
    super().__init__(config)
    self.setPeriodicity(minute=1)

  def problem(self):
    """Return what is wrong, or ''."""
    raise NotImplementedError

  def sense(self):
    """Log the state: an error makes the promise red."""
    text = self.problem()
    if text:
      self.logger.error('%s', text)
    else:
      self.logger.info('OK')

  def anomaly(self):
    """Red at once: backups have no failure that may be ignored."""
    return self._anomaly(result_count=1, failure_amount=1)

  def test(self):
    """Green or red by the last look."""
    return self._test(result_count=1, failure_amount=1)

  def _wait_for(self, look):
    """Return '' as soon as look() does, else what it last said."""
    end = time.monotonic() + float(self.getConfig('patience', _PATIENCE))
    while True:
      text = look()
      if not text or time.monotonic() >= end:
        return text
      time.sleep(0.1)


@zope.interface.implementer(interface.IPromise)
class Listening(_Promise):
  """Something accepts connections at `host`, `port`, or at the path `socket`;
  if `banner` is given, it begins to talk with it."""

  def problem(self):
    return self._wait_for(self._look)

  def _connect(self):
    path = self.getConfig('socket')
    if path:
      connection = socket.socket(socket.AF_UNIX)
      connection.settimeout(5)
      try:
        connection.connect(path)
      except OSError:
        connection.close()
        raise
      return connection
    return socket.create_connection(
      (self.getConfig('host'), int(self.getConfig('port'))), timeout=5)

  def _look(self):
    place = self.getConfig('socket') or '[%s]:%s' % (
      self.getConfig('host'), self.getConfig('port'))
    banner = self.getConfig('banner', '').encode()
    try:
      with self._connect() as connection:
        if banner and not connection.recv(len(banner)) == banner:
          return '%s does not answer as it should' % place
    except OSError as error:
      return '%s does not answer: %s' % (place, error)
    return ''


@zope.interface.implementer(interface.IPromise)
class Answering(_Promise):
  """An HTTP server answers at `url`, whatever it says: one that hangs still
  accepts connections."""

  def problem(self):
    return self._wait_for(self._look)

  def _look(self):
    url = self.getConfig('url')
    try:
      # Nothing is changed by that, and nobody limits or counts it.
      http_client.ask(url, _ANSWER, 'OPTIONS', trusted=False)
    except http_client.Refused:
      pass
    except OSError as error:
      return '%s does not answer: %s' % (url, error)
    return ''


class _Configured(_Promise):

  def load(self):
    """Return the partition's Configuration."""
    return configuration_module.load(self.getConfig('configuration'))


@zope.interface.implementer(interface.IPromise)
class Alive(_Configured):
  """Service `service` holds its lock and gives signs of life."""

  def problem(self):
    return self._wait_for(self._look)

  def _look(self):
    service = self.getConfig('service')
    configuration = self.load()
    if not is_locked(configuration.state(service + '.lock')):
      return '%s is not running' % service
    if self.getConfig('heartbeat', 'true') == 'true':
      return heartbeat.problem(
        configuration, service, configuration.longest_task)
    return ''


@zope.interface.implementer(interface.IPromise)
class Backup(_Configured):
  """None of `topics` has a problem."""

  def problem(self):
    topics = [*self.getConfig('topics').split(), DAMAGE]
    return '; '.join(problem.text for problem in problems(self.load())
                     if problem.topic in topics)


@zope.interface.implementer(interface.IPromise)
class Stamped(_Configured):
  """Something touches file `stamp` at least every three minutes."""

  def problem(self):
    stamp = self.getConfig('stamp')
    # It had no time yet to do so when the partition was just configured.
    now = time.time()
    moments = [os.stat(path).st_mtime for path in (
      stamp, self.getConfig('configuration')) if os.path.exists(path)]
    # One that a wrong clock wrote says nothing, and hides nothing.
    age = min((abs(now - moment) for moment in moments), default=now)
    if age < _STAMP_AGE:
      return ''
    return '%s was last touched %d s ago' % (stamp, age)


@zope.interface.implementer(interface.IPromise)
class Notified(_Configured):
  """Every PBS that the last export could not notify answers by now."""

  def problem(self):
    configuration = self.load()
    found = [problem for problem in problems(configuration)
             if problem.topic == 'notification']
    return '; '.join(problem.text for problem in found
                     if not notify.answers(problem.text.split()[0]))
