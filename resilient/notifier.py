"""Service ``notifier``: takes hints, serves feeds and the partition's status.

A hint changes one thing: the tasks of this partition look now.  What they find
they ask their peers themselves.  door.py says who may ask what.
"""
import functools
import logging
import urllib.parse

import flask

from . import exporter, feed, former, service, web
from .authentication import FEEDS, STATUS
from .clock import deployed
from .configuration import Watched
from .door import Door, harden
from .durable import lock
from .essential import DamagedState
from .status import status
from .tasks import tasks

log = logging.getLogger('resilient.notifier')

_LARGEST_BODY = 64 << 10


def _feeds(configuration):
  """Return {name: task} of the feeds; some tasks have two names."""
  if configuration.role == 'export':
    return {exporter.TASK: exporter.TASK}
  known = {name: name for name in tasks(configuration)}
  return {**former.feed_names(configuration, known), **known}


def _feed(configuration, name=None):
  """Return the response with the feed `name`, or with all runs."""
  feeds = _feeds(configuration)
  if name is not None and name not in feeds:
    return 'there is no feed of this name\n', 404
  store, task = configuration.store, feeds.get(name)
  if task:
    runs, links = store.runs(task), {}
  else:
    own = set(feeds.values())
    runs = sorted((run for each in own for run in store.runs(each)),
                  key=lambda run: run.number, reverse=True)
    links = {each: '%s/%s' % (
      flask.request.base_url.rstrip('/'), urllib.parse.quote(each))
      for each in sorted(own)}
  response = flask.Response(
    feed.atom(flask.request.base_url, configuration.instance, runs,
              deployed(configuration) or 0, task, links),
    content_type=feed.CONTENT_TYPE)
  # A reader that has it already gets no more than that: 304.
  response.add_etag()
  return response.make_conditional(flask.request)


def application(current):
  """Return the WSGI application.

  current: returns the Configuration as it is at the moment.
  """
  app = flask.Flask(__name__)
  harden(app, _LARGEST_BODY)
  door = Door(current)

  def look():
    configuration = current()
    for task in tasks(configuration).values():
      if task.timed:
        configuration.store.request(task.name)

  @app.get('/')
  def root():  # pylint: disable=unused-variable
    return '', 204

  @app.post('/notify')
  def notify():  # pylint: disable=unused-variable
    return door.hint(look)

  @app.post('/notify/<int:number>')
  def notify_formerly(number):  # pylint: disable=unused-variable
    return door.ignore_former()

  @app.get('/get/<token>/')
  @app.get('/get/<token>/<name>')
  def get(token, name=None):  # pylint: disable=unused-variable
    return door.refusal(FEEDS, token) or _feed(current(), name)

  @app.get('/status/<token>')
  def get_status(token):  # pylint: disable=unused-variable
    refusal = door.refusal(STATUS, token)
    if refusal:
      return refusal
    try:
      return door.sign(flask.jsonify(status(current())))
    except DamagedState as error:
      # Flask would log the URL, which has a token in it.
      log.warning('no status is told: %s', error)
      return 'a file here is damaged\n', 503

  return app


def main(configuration):
  """Serve until SIGTERM.  Returns the exit status."""
  configuration.store.create()
  watched = Watched(configuration)
  outdated = functools.partial(
    service.is_outdated, watched, configuration, 'ip', 'notifier_port')
  # The promise looks whether the lock is held: by the service itself, not by
  # another partition that happens to use the port.
  with lock(configuration.state('notifier.lock'), deadline=10):
    goes_on = web.serve(
      application(watched.current), configuration.ip,
      configuration.notifier_port, outdated)
  if goes_on:
    service.become_successor(watched.current(), 'notifier')
  return 0
