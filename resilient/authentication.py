"""The secret of a tree, and what it proves.

The root instance makes one secret and gives it to leader, clones and PBS.  With
it a member signs its hints, and derives the parts of URLs that nobody else can
guess.  See "Security" in README.rst.
"""
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import secrets
import threading
import urllib.parse

from .durable import read_json, read_note, write_json
from .generation import from_json

log = logging.getLogger('resilient.authentication')

FEEDS, STATUS = 'feeds', 'status'
# A header of answers.
ANSWER_SIGNATURE = 'Resilient-Signature'
_SHORTEST = 16
_SENDERS = 64
_HEADER = re.compile(
  r'Resilient sender="([^"]{1,300})", signature="([0-9a-f]{64})"')


class NotAuthentic(Exception):
  """A message is not from a member of the tree, or is not new."""


def ensure_secret(path, given):
  """Keep the secret `given` to this instance in file `path`.

  An instance that was given none, because its root instance is of an earlier
  release, makes one for itself: what it serves stays private, and what others
  sign is refused until they have the same secret.

  Raises ValueError, OSError.
  """
  if given and len(given) < _SHORTEST:
    raise ValueError(
      'parameter resilient-secret has %d characters, and must have at least %d'
      % (len(given), _SHORTEST))
  try:
    record = read_json(path)
  except ValueError:
    # Damage: hints are refused until the root instance has told us again.
    record = None
  if given:
    wanted = {'secret': given, 'given': True}
  elif record and not record['given']:
    return
  else:
    wanted = {'secret': secrets.token_hex(32), 'given': False}
  if record != wanted:
    # Asked for while the partition's directories are not made yet.
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_json(path, wanted)


def is_shared(path):
  """Whether the secret in file `path` is that of a tree."""
  return _read(path)['given']


def _read(path):
  record = read_json(path)
  if record is None:
    raise FileNotFoundError('%s is missing: deploy the instance' % path)
  return record


def _mac(path, purpose, *parts):
  # A key of its own for each purpose; the parts cannot run into each other.
  key = hmac.digest(_read(path)['secret'].encode(), purpose.encode(),
                    'sha256')
  message = json.dumps(parts).encode()
  return hmac.new(key, message, hashlib.sha256).hexdigest()


def token(path, purpose):
  """Return the part of an URL that only members know.

  path: file of the secret.  purpose: FEEDS or STATUS.
  """
  return _mac(path, purpose)[:32]


def same(first, second):
  """Whether two texts are equal; takes the same time wherever they differ."""
  return hmac.compare_digest(
    first.encode('utf-8', 'replace'), second.encode('utf-8', 'replace'))


def _signature(path, sender, method, where, body):
  return _mac(path, 'hint', method, where, sender,
              hashlib.sha256(body).hexdigest())


def sign(path, sender, method, where, body):
  """Return the value of the header ``Authorization`` of a request.

  path: file of the secret.  sender: the instance that says it.  where: path of
  the URL.  body: bytes.
  """
  return 'Resilient sender="%s", signature="%s"' % (
    urllib.parse.quote(sender, safe=''),
    _signature(path, sender, method, where, body))


def sender_of(path, header, method, where, body):
  """Return the instance that signed a request.  Raises NotAuthentic.

  header: value of ``Authorization``; otherwise as for `sign`.
  """
  match = _HEADER.fullmatch(header or '')
  if not match:
    raise NotAuthentic('it is not signed')
  sender = urllib.parse.unquote(match[1])
  if not same(match[2], _signature(path, sender, method, where, body)):
    raise NotAuthentic('its signature is wrong')
  return sender


def new_question(netloc):
  """Return a text that was never used before, to ask who serves at `netloc` of
  an URL."""
  return '%s@%s' % (secrets.token_hex(16), netloc)


def is_asked(question, ip, port):
  """Whether `question` is for who serves at `ip` and `port`, as far as it says.

  One of an older release names nobody; and one by a name, instead of a number,
  is for whomever that leads to.
  """
  try:
    asked = urllib.parse.urlsplit('//' + question.partition('@')[2])
    address = ipaddress.ip_address(asked.hostname or ''), asked.port
  except ValueError:
    return True
  return address == (ipaddress.ip_address(ip), port)


def answer_signature(path, question, answer):
  """Return the signature of `answer`, bytes, to `question`, a text that was
  never used before and says who is asked: so an answer can neither be forged,
  nor be an old one, nor that of another."""
  return _mac(path, 'answer', question, hashlib.sha256(answer).hexdigest())


def _heard(note):
  if not isinstance(note, list):
    raise ValueError('it is no list')
  return [[str(sender), int(epoch), int(sequence)]
          for sender, epoch, sequence in note]


class Hints:
  """Which hints were accepted: each sender is heard once for each generation,
  and never again for an older one.  No clock is asked.

  Durable in file `path`, for the `_SENDERS` senders that were heard last.
  """

  def __init__(self, path):
    self._path = path
    self._lock = threading.Lock()

  def accept(self, sender, body, act):
    """Call act() if the hint `body` of `sender` is new, and remember it.

    Raises NotAuthentic.
    """
    try:
      generation = from_json(json.loads(body)['generation'])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
      raise NotAuthentic('it cannot be read: %s' % error) from error
    if generation is None:
      raise NotAuthentic('it names no generation')
    with self._lock:
      heard = read_note(self._path, _heard, [])
      for known, *order in heard:
        if known == sender and tuple(order) >= generation.order:
          raise NotAuthentic('generation %s was heard of before' % (
            '%d.%d' % tuple(order)))
      # What is due first: were it lost, the hint would be lost for good.
      act()
      heard = [entry for entry in heard if entry[0] != sender]
      heard.append([sender, *generation.order])
      write_json(self._path, heard[-_SENDERS:])
