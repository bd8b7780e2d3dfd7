"""Hints: tell other partitions to look now.  A lost hint costs time alone."""
import json
import logging
import threading
import time
import urllib.parse

from . import authentication, former, http_client
from .durable import write_json

log = logging.getLogger('resilient.notify')


def _post(url, body, content_type, timeout, **headers):
  http_client.ask(url, timeout, 'POST', body, {
    'Content-Type': content_type, **headers})


def post(configuration, url, generation, timeout, source=''):
  """POST the hint that `generation` exists to `url`, signed.

  timeout: seconds.
  source: URL of the feed of exports, by which a PBS of the former stack knows
    us.

  Raises OSError, ValueError.
  """
  body = json.dumps({'generation': generation.to_json()}).encode()
  try:
    _post(url, body, 'application/json', timeout,
          Authorization=authentication.sign(
            configuration.secret_file, configuration.instance, 'POST',
            urllib.parse.urlsplit(url).path, body))
  except http_client.Refused as error:
    if error.code != former.NO_SUCH_PAGE or not source:
      raise
    log.info('%s does not take our hints; telling it as the former stack does',
             url)
    try:
      _post(*former.hint(url, source, generation), timeout)
    except http_client.Refused as refusal:
      raise OSError('it is of the former stack, and refuses to be told (%s):'
                    ' upgrade it' % refusal) from refusal


class _Notification(threading.Thread):

  def __init__(self, configuration, url, generation, timeout, source):
    super().__init__(daemon=True)
    self.configuration = configuration
    self.url, self.generation, self.timeout = url, generation, timeout
    self.source = source
    self.problem = 'no answer within %s s' % timeout

  def run(self):
    try:
      post(self.configuration, self.url, self.generation, self.timeout,
           self.source)
      self.problem = ''
    except (OSError, ValueError) as error:
      self.problem = str(error)


def notify_all(configuration, generation):
  """Notify every URL at the same time, each with its own time limit.

  Returns {URL: problem} of those that could not be told, and keeps the outcome
  in ``notified.json`` for the promise.
  """
  limit = configuration.notification_deadline
  threads = [
    _Notification(configuration, url, generation, limit,
                  configuration.notification_id)
    for url in configuration.notify]
  end = time.monotonic() + limit
  for thread in threads:
    thread.start()
  failures = {}
  for thread in threads:
    thread.join(max(0, end - time.monotonic()))
    # Read once: a thread that ends later must not change what is reported.
    problem = thread.problem
    if problem:
      log.warning('%s was not notified: %s', thread.url, problem)
      failures[thread.url] = problem
    else:
      log.info('%s was notified', thread.url)
  write_json(configuration.state('notified.json'), {
    'at': time.time(), 'generation': generation.label, 'failures': failures})
  return failures


def answers(url, timeout=5):
  """Whether a PBS of ours answers at `url` by now: it finds out by itself what
  it was not told.  One of the former stack never does."""
  try:
    http_client.ask(urllib.parse.urljoin(url, '/'), timeout)
  except (OSError, ValueError):
    return False
  return True
