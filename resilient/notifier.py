"""Service ``notifier``: takes hints, serves feeds and the partition's status.

A hint changes one thing: the tasks of this partition look now.  What they find
they ask their peers themselves.
"""
import logging
import urllib.parse

import flask
import waitress

from . import exporter, feed, former, service
from .configuration import Watched
from .durable import lock, read_json
from .status import status
from .tasks import tasks

log = logging.getLogger('resilient.notifier')

# A leader of the former stack sends what its exporter ever printed.
_LARGEST_BODY = 4 << 20
_THREADS = 4
_CONNECTIONS = 50


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
    links = {each: urllib.parse.urljoin(
      flask.request.base_url, urllib.parse.quote(each))
      for each in sorted(own)}
  deployed = read_json(configuration.state('deployed.json'), {'at': 0})
  response = flask.Response(
    feed.atom(flask.request.base_url, configuration.instance, runs,
              deployed['at'], task, links),
    content_type=feed.CONTENT_TYPE)
  # A reader that has it already gets no more than that: 304.
  response.add_etag()
  return response.make_conditional(flask.request)


def application(current):
  """Return the WSGI application.

  current: returns the Configuration as it is at the moment.
  """
  app = flask.Flask(__name__)
  app.config['MAX_CONTENT_LENGTH'] = _LARGEST_BODY

  # With a number: how the former stack notifies.
  @app.post('/notify')
  @app.post('/notify/<int:number>')
  def notify(number=None):  # pylint: disable=unused-variable
    # What it says does not matter, but how much it says does.
    flask.request.get_data()
    configuration = current()
    for task in tasks(configuration).values():
      if task.timed:
        configuration.store.request(task.name)
    return '', 204

  @app.get('/get/')
  @app.get('/get/<name>')
  def get(name=None):  # pylint: disable=unused-variable
    return _feed(current(), name)

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
