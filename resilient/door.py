"""Who may ask a service what: members of the tree all of it, strangers little.
See "Security" in README.rst.
"""
import logging

import flask

from . import authentication
from .authentication import NotAuthentic
from .limits import Rate, Seldom

log = logging.getLogger('resilient.door')

_HEADERS = {
  # An URL may have a token or a password in it.
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Content-Security-Policy': (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"),
  'Server': 'resilient',
}
_TOO_MANY = ('too many requests\n', 429, {'Retry-After': '5'})


def _add_headers(response):
  for name, value in _HEADERS.items():
    response.headers.setdefault(name, value)
  return response


def harden(app, largest_body):
  """Let `app`, of Flask, take small requests alone, and let no browser keep,
  frame or pass on what it answers.

  largest_body: in bytes.
  """
  app.config['MAX_CONTENT_LENGTH'] = largest_body
  app.after_request(_add_headers)
  app.url_map.merge_slashes = False


class Strangers:
  """What may be asked without a proof, so many times."""

  def __init__(self, rate=None):
    self._rate = rate or Rate()

  def refusal(self):
    """Return the answer to one who asks too much, None to others."""
    return None if self._rate.take(flask.request.remote_addr) else _TOO_MANY


class Door:
  """Tells requests of members from others.

  current: returns the Configuration as it is at the moment.
  """

  def __init__(self, current, rate=None):
    self._current = current
    self._strangers = Strangers(rate)
    self._hints = authentication.Hints(current().state('hints.json'))
    self._warn = Seldom(log.warning)
    if not authentication.is_shared(current().secret_file):
      log.warning(
        'this instance was given no resilient-secret by its root instance, so'
        ' hints are refused: what is due is found by the timer, every %d s',
        current().check_interval)

  def hint(self, act):
    """Answer the request, a hint: call act() if a member sent it, and it is
    new.  A member is heard whatever strangers do."""
    configuration, request = self._current(), flask.request
    body = request.get_data()
    try:
      sender = authentication.sender_of(
        configuration.secret_file, request.headers.get('Authorization'),
        request.method, request.path, body)
      self._hints.accept(sender, body, act)
    except NotAuthentic as error:
      self._warn('a hint from %s is refused: %s', request.remote_addr, error)
      return self._strangers.refusal() or (
        'this hint is refused: %s\n' % error, 403)
    return '', 204

  def ignore_former(self):
    """Answer a hint of the former stack, which has no signature.  It changes
    nothing; but a refusal would keep its sender from telling others."""
    self._warn(
      'a hint of the former stack from %s changes nothing: what is due is found'
      ' by the timer', flask.request.remote_addr)
    return self._strangers.refusal() or ('', 204)

  def sign(self, response):
    """Return `response`, signed for who asked; or another one, if somebody else
    was asked: an answer is not to be passed on as his."""
    configuration = self._current()
    question = flask.request.args.get('question', '')
    if not authentication.is_asked(
        question, configuration.ip, configuration.notifier_port):
      return 'another address was asked\n', 421
    response.headers[authentication.ANSWER_SIGNATURE] = (
      authentication.answer_signature(
        configuration.secret_file, question, response.get_data()))
    return response

  def refusal(self, purpose, token):
    """Return the answer to a request whose URL has not the right `token`, and
    None to others, unless there are too many; members that ask for the status
    are heard whatever strangers do."""
    right = authentication.same(
      token, authentication.token(self._current().secret_file, purpose))
    if right and purpose == authentication.STATUS:
      return None
    refusal = self._strangers.refusal()
    if refusal or right:
      return refusal
    return 'there is no such page\n', 404
