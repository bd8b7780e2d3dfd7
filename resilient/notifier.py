"""Service ``notifier``: takes hints, serves feeds and the partition's status.

A hint changes one thing: the tasks of this partition look now.  What they find
they ask their peers themselves.  door.py says who may ask what.
"""
import logging

import flask

from . import exporter, feed, service, web
from .authentication import FEEDS, STATUS
from .configuration import Watched
from .door import Door, harden
from .durable import lock
from .status import status
from .tasks import tasks

log = logging.getLogger('resilient.notifier')

_LARGEST_BODY = 64 << 10


def _feeds(configuration):
  """Return the names of the tasks that have a feed."""
  if configuration.role == 'export':
    return [exporter.TASK]
  return list(tasks(configuration))


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

  @app.get('/get/<token>/')
  def list_feeds(token):  # pylint: disable=unused-variable
    return door.refusal(FEEDS, token) or flask.jsonify(
      {'feeds': _feeds(current())})

  @app.get('/get/<token>/<name>')
  def get(token, name):  # pylint: disable=unused-variable
    refusal = door.refusal(FEEDS, token)
    if refusal:
      return refusal
    configuration = current()
    if name not in _feeds(configuration):
      return 'there is no feed of this name\n', 404
    return flask.Response(
      feed.atom(flask.request.base_url, configuration.instance, name,
                configuration.store.runs(name)),
      content_type='application/atom+xml; charset=utf-8')

  @app.get('/status/<token>')
  def get_status(token):  # pylint: disable=unused-variable
    return door.refusal(STATUS, token) or door.sign(
      flask.jsonify(status(current())))

  return app


def main(configuration):
  """Serve until SIGTERM.  Returns the exit status."""
  configuration.store.create()
  watched = Watched(configuration)
  # The promise looks whether the lock is held: by the service itself, not by
  # another partition that happens to use the port.
  with lock(configuration.state('notifier.lock'), deadline=10):
    web.serve(
      application(watched.current), configuration.ip,
      configuration.notifier_port,
      lambda: service.is_outdated(watched, configuration.code))
  if service.is_outdated(watched, configuration.code):
    service.become_successor(watched.current(), 'notifier')
  return 0
