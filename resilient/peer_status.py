"""What other partitions of the tree say of themselves: their ``/status``.

It helps to decide, and nothing depends on an answer.
"""
import concurrent.futures
import json
import logging
import urllib.parse

from . import authentication, http_client

log = logging.getLogger('resilient.peer_status')


def ask(configuration, url, timeout=5):
  """Return the status of the member of our tree that serves `url`, any of its
  URLs, or None if it gives none that it signed.

  timeout: seconds.
  """
  if not url.startswith(('http://', 'https://')):
    return None
  path = configuration.secret_file
  try:
    question = authentication.new_question(urllib.parse.urlsplit(url).netloc)
    headers, body = http_client.ask(
      urllib.parse.urljoin(url, '/status/%s?question=%s' % (
        authentication.token(path, authentication.STATUS),
        urllib.parse.quote(question, safe=''))),
      timeout)
    signature = headers.get(authentication.ANSWER_SIGNATURE, '')
    if not authentication.same(signature, authentication.answer_signature(
        path, question, body)):
      raise ValueError('the signature of its answer is wrong')
    status = json.loads(body)
  except (OSError, ValueError, RecursionError) as error:
    # What follows is a token, which is no log's.
    log.info('%s does not tell its status: %s', '/'.join(url.split('/')[:3]),
             error)
    return None
  return status if isinstance(status, dict) else None


def ask_all(configuration, urls, timeout=5):
  """Return {url: status or None}, all asked at the same time."""
  urls = list(urls)
  if not urls:
    return {}
  with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
    return dict(zip(urls, pool.map(
      lambda url: ask(configuration, url, timeout), urls)))


def epoch(status, name):
  """Return the largest epoch of service `name` that `status`, of a leader, a
  clone or a PBS, knows of; 0 for none."""
  if not isinstance(status, dict):
    return 0
  archive = _object(_object(status.get('archives')).get(name))
  leadership = _object(status.get('leadership'))
  return max(_number(found, 'epoch') for found in (
    status.get('generation'), archive.get('generation'), archive.get('leader'),
    leadership))


def archived(status, name):
  """Return the newest generation, as JSON, that a PBS with `status` holds or
  knows the leader to have; None if it says nothing of it."""
  archive = _object(_object(_object(status).get('archives')).get(name))
  found = [item for item in (archive.get('generation'), archive.get('leader'))
           if _number(item, 'epoch')]
  return max(found, key=lambda item: (
    item['epoch'], _number(item, 'sequence')), default=None)


def has_stopped(status):
  """Whether `status` is that of a leader that refuses writes."""
  return bool(_object(_object(status).get('leadership')).get('stopped'))


def _object(value):
  return value if isinstance(value, dict) else {}


def _number(value, key):
  number = _object(value).get(key)
  return number if isinstance(number, int) else 0
