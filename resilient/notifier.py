"""Service ``notifier``: takes hints, serves feeds and the partition's status.

A hint changes one thing: the tasks of this partition look now.  What they find
they ask their peers themselves.
"""
import logging

import flask
import waitress

from . import exporter, feed, service
from .configuration import Watched
from .durable import lock
from .status import status
from .tasks import tasks

log = logging.getLogger('resilient.notifier')

_LARGEST_BODY = 64 << 10
_THREADS = 4
_CONNECTIONS = 50


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
  app.config['MAX_CONTENT_LENGTH'] = _LARGEST_BODY

  @app.post('/notify')
  def notify():  # pylint: disable=unused-variable
    # What it says does not matter, but how much it says does.
    flask.request.get_data()
    configuration = current()
    for task in tasks(configuration).values():
      if task.timed:
        configuration.store.request(task.name)
    return '', 204

  @app.get('/get/')
  def list_feeds():  # pylint: disable=unused-variable
    return flask.jsonify({'feeds': _feeds(current())})

  @app.get('/get/<name>')
  def get(name):  # pylint: disable=unused-variable
    configuration = current()
    if name not in _feeds(configuration):
      return 'there is no feed of this name\n', 404
    return flask.Response(
      feed.atom(flask.request.base_url, configuration.instance, name,
                configuration.store.runs(name)),
      content_type='application/atom+xml; charset=utf-8')

  @app.get('/status')
  def get_status():  # pylint: disable=unused-variable
    return flask.jsonify(status(current()))

  return app


def main(configuration):
  """Serve until SIGTERM.  Returns the exit status."""
  configuration.store.create()
  watched = Watched(configuration)
  # The promise looks whether the lock is held: by the service itself, not by
  # another partition that happens to use the port.
  with lock(configuration.state('notifier.lock'), deadline=10):
    server = waitress.create_server(
      application(watched.current), host=configuration.ip,
      port=configuration.notifier_port, threads=_THREADS,
      connection_limit=_CONNECTIONS, max_request_body_size=_LARGEST_BODY,
      channel_timeout=30, ident=None)
    log.info('serving at [%s]:%d', configuration.ip,
             configuration.notifier_port)
    service.serve(server, watched, configuration.code)
  if service.is_outdated(watched, configuration.code):
    service.become_successor(watched.current(), 'notifier')
  return 0
