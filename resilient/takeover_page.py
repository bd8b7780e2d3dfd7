"""Service ``resilient-web-takeover-httpd``: the page with the one button."""
import datetime
import functools
import json
import logging
import threading
import time

import flask

from . import clone, information, service, web
from .authentication import same
from .clock import ahead
from .configuration import Watched
from .door import harden, Strangers
from .doubts import NO_BACKUP
from .durable import encodable, is_locked
from .limits import Guesses, Seldom
from .master import MasterError
from .takeover import takeover, TakeoverRefused
from .takeover_journal import leader_name, unfinished

log = logging.getLogger('resilient.takeover_page')

_LARGEST_BODY = 16 << 10


def _age(moment, now, form='%d s'):
  """Return in words, by `form`, how long ago `moment` was."""
  wrong = ahead(moment, now)
  if wrong:
    return 'not known, it is dated %d s ahead of the clock here' % wrong
  return form % max(0, now - moment)


def _facts(configuration, now):
  """Return [(name, value)] that an operator decides by."""
  generation, since = clone.imported(configuration)
  newest = clone.newest(configuration)
  facts = []
  if generation is None:
    facts.append(('Last valid backup', NO_BACKUP))
  else:
    sealed = datetime.datetime.fromtimestamp(
      generation.sealed, datetime.timezone.utc)
    facts += [
      ('Last valid backup', sealed.strftime('%Y-%m-%d %H:%M:%S UTC')),
      ('Age', _age(generation.sealed, now)),
      ('Generation', generation.label),
      ('Loaded', _age(since, now, '%d s ago')),
    ]
  if newest and newest != generation:
    facts.append(('Verified, not loaded yet', 'generation ' + newest.label))
  facts.append(('Import script(s) currently running', (
    'Yes' if is_locked(configuration.state('import.lock')) else 'No')))
  begun = unfinished(configuration)
  if begun:
    facts.append(('Takeover', begun))
  return facts


class _OfRelease:
  """What the release tells, for some seconds: strangers ask often, and it takes
  a program to know."""

  _SECONDS = 10

  def __init__(self):
    self._lock = threading.Lock()
    self._facts, self._end = None, 0

  def facts(self, configuration):
    """As information.facts; who comes while that runs gets the last ones."""
    if not self._lock.acquire(blocking=self._facts is None):
      return self._facts
    try:
      if self._facts is None or time.monotonic() > self._end:
        self._facts = information.facts(configuration)
        self._end = time.monotonic() + self._SECONDS
      return self._facts
    finally:
      self._lock.release()


def _expected_password(path):
  """Return the password in the file of slapos.cookbook's
  generate.password: JSON, with hashes beside it, or the password alone."""
  with open(path, encoding='utf-8') as source:
    text = source.read().strip()
  try:
    return json.loads(text)['']
  except (ValueError, TypeError, KeyError):
    return text


def application(current, template, clock=time.time):
  """Return the WSGI application.

  current: returns the Configuration as it is at the moment.
  template: text of templates/takeover.html.
  clock: returns the seconds since 1970-01-01 UTC.
  """
  app = flask.Flask(__name__)
  harden(app, _LARGEST_BODY)
  guesses, strangers = Guesses(), Strangers()
  warn = Seldom(log.warning, interval=5)
  release = _OfRelease()

  def right(password):
    expected = _expected_password(current().takeover_password_file)
    return bool(expected) and same(password, expected)

  def page(message='', status=200, forcible=False):
    configuration = current()
    try:
      facts = _facts(configuration, clock())
    except ValueError as error:
      # The button stays: what is not needed for it does not prevent it.
      facts = [('Last valid backup', 'not known: %s' % error)]
    return flask.render_template_string(
      template, message=encodable(message),
      facts=facts + release.facts(configuration),
      forcible=forcible, name=leader_name(configuration)), status

  def page_for_strangers(*arguments):
    return strangers.refusal() or page(*arguments)

  @app.route('/', methods=('GET', 'POST'))
  def root():  # pylint: disable=unused-variable
    if current().role != 'import':
      return ('This instance is no clone any more, so its page ends: see'
              ' bin/status.\n'), 410
    password = flask.request.values.get('password')
    # HEAD asks whether there is a page, and nothing else.
    if password is None or flask.request.method == 'HEAD':
      return page_for_strangers()
    address = flask.request.remote_addr
    wait = guesses.wait(address)
    if wait:
      return page_for_strangers(
        'Error. Too many wrong passwords came from this address: try again in'
        ' %d s, or from another address.' % (wait + 1), 429)
    if not right(password):
      count = guesses.wrong(address)
      warn('%s gave a wrong password, %d by now; all addresses together %d',
           address, count, guesses.total)
      return page_for_strangers('Error. Password is invalid.', 403)
    guesses.right(address)
    # Offered by the page after a refusal, with its reasons, and there alone.
    force = flask.request.form.get('force') == 'yes'
    log.info('%s asked for a takeover%s', address,
             ', whatever speaks against it' if force else '')
    try:
      answer, problem = takeover(current(), force)
    except TakeoverRefused as error:
      log.error('takeover refused: %s', error)
      return page('Error. %s' % error, 409, error.forcible)
    except MasterError as error:
      log.error('takeover failed: %s', error)
      return page('Error. %s. %s' % (
        error, unfinished(current()) or 'Nothing was changed.'), 409)
    # Users of the stack look for this word at the beginning of the answer.
    return flask.Response(
      'Success. %s\n%sThe next runs of the SlapOS node complete it.\n' % (
        answer, problem and problem + '\n'),
      content_type='text/plain; charset=utf-8')

  return app


def main(configuration, template_path):
  """Serve until SIGTERM.  Returns the exit status."""
  with open(template_path, encoding='utf-8') as source:
    template = source.read()
  watched = Watched(configuration)
  outdated = functools.partial(
    service.is_outdated, watched, configuration, 'ip', 'takeover_port',
    'takeover_certificate')
  goes_on = web.serve(
    application(watched.current, template), configuration.ip,
    configuration.takeover_port, outdated, configuration.takeover_certificate)
  if goes_on:
    service.become_successor(watched.current(), 'resilient-web-takeover-httpd')
  return 0
