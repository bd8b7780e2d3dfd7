"""Hints: tell other partitions to look now.  A lost hint costs time alone."""
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from . import authentication
from .durable import write_json

log = logging.getLogger('resilient.notify')


def post(configuration, url, generation, timeout):
  """POST the hint that `generation` exists to `url`, signed.

  timeout: seconds for each step of the exchange.  Raises OSError, ValueError.
  """
  body = json.dumps({'generation': generation.to_json()}).encode()
  request = urllib.request.Request(url, body, {
    'Content-Type': 'application/json',
    'Authorization': authentication.sign(
      configuration.secret_file, configuration.instance, 'POST',
      urllib.parse.urlsplit(url).path, body)}, method='POST')
  # No proxy: the peers are addressed directly, whatever the environment says.
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  with opener.open(request, timeout=timeout) as answer:
    answer.read(1 << 16)


class _Notification(threading.Thread):

  def __init__(self, configuration, url, generation, timeout):
    super().__init__(daemon=True)
    self.configuration = configuration
    self.url, self.generation, self.timeout = url, generation, timeout
    self.problem = 'no answer within %s s' % timeout

  def run(self):
    try:
      post(self.configuration, self.url, self.generation, self.timeout)
      self.problem = ''
    except (OSError, ValueError) as error:
      self.problem = str(error)


def notify_all(configuration, generation):
  """Notify every URL at the same time, each with its own time limit.

  Returns {URL: problem} of those that could not be told, and keeps the outcome
  in ``notified.json`` for the promise.
  """
  limit = configuration.notification_deadline
  threads = [_Notification(configuration, url, generation, limit)
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
  """Whether something answers at `url` by now."""
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  try:
    opener.open(urllib.parse.urljoin(url, '/'), timeout=timeout).close()
  except urllib.error.HTTPError:
    return True
  except (OSError, ValueError):
    return False
  return True
