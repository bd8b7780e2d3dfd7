"""The payload's service: records in one SQLite database, over HTTP.

A leader takes writes; a clone, whose database the importer replaces, shows
what it holds.  The role may change while it runs: see ``role.py``.  A request
opens the database by its name and closes it, so the first request after a swap
sees the new content, without a restart.
"""
import contextlib
import logging
import logging.handlers
import os
import sqlite3
import sys
import time

import flask
import waitress
import werkzeug.exceptions
import werkzeug.routing

from . import role as roles
from .payload import APPLICATION_ID, check_owner, connect

log = logging.getLogger('payload.web')

LARGEST_VALUE = 1 << 20  # bytes
_LARGEST_KEY = 1 << 10   # bytes
_LISTED = 20             # records on the page
_PREFIX = '/records/'
_SCHEMA = (
  'CREATE TABLE records ('
  'key TEXT PRIMARY KEY, value TEXT NOT NULL, changed INTEGER NOT NULL)',
  'CREATE INDEX records_changed ON records (changed)',
  # Number of writes that made the content.
  'CREATE TABLE content (generation INTEGER NOT NULL)',
  'INSERT INTO content VALUES (0)',
  'PRAGMA application_id = %d' % APPLICATION_ID,
)
_PAGE = '''<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Records</title></head>
<body>
<h1>Records</h1>
<p>{{ about }}.</p>
<p>{{ state.records }} records, generation {{ state.generation }}.</p>
<table>
{% for key, value in records %}<tr><th>{{ key }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
</body>
</html>
'''


class _Unreadable(Exception):
  """There is no database yet: a clone before its first import."""


@contextlib.contextmanager
def _writing(connection):
  """One transaction: all that is done inside is kept, or nothing."""
  # IMMEDIATE waits for others here, and then for nobody.
  connection.execute('BEGIN IMMEDIATE')
  try:
    yield
    connection.execute('COMMIT')
  finally:
    if connection.in_transaction:
      connection.execute('ROLLBACK')


def prepare(path):
  """Make an empty database in file `path`, unless there is a database.

  Raises PayloadError if it is of another program, sqlite3.Error, OSError.
  """
  os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
  with connect(path) as connection:
    connection.execute('PRAGMA journal_mode = DELETE')
    with _writing(connection):
      if not connection.execute('PRAGMA schema_version').fetchone()[0]:
        for statement in _SCHEMA:
          connection.execute(statement)
    check_owner(connection)


def _text(data, what, limit):
  """Return bytes `data` as text, or end the request."""
  if len(data) > limit:
    flask.abort(413, 'a %s has at most %d bytes' % (what, limit))
  try:
    return data.decode()
  except UnicodeDecodeError:
    return flask.abort(400, 'a %s is UTF-8 text' % what)


class _AnyKey(werkzeug.routing.BaseConverter):
  """The rest of a path: any characters, also "/" and line ends."""

  regex = '(?s:.+)'
  part_isolating = False


def _key():
  # From the bytes of the path: the router replaces what is not UTF-8, and so
  # would take one record for another.
  path = flask.request.environ['PATH_INFO'].encode('latin-1')
  return _text(path[len(_PREFIX):], 'key', _LARGEST_KEY)


def application(database, started_as):
  """Return the WSGI application for the database in file `database`.

  started_as: 'leader' or 'clone', which may change while it runs.
  """
  app = flask.Flask(__name__)

  def role():
    return roles.current(database, started_as)

  app.url_map.converters['key'] = _AnyKey

  @contextlib.contextmanager
  def reading():
    if not os.path.exists(database):
      raise _Unreadable
    with connect(database, read_only=True) as connection:
      # One transaction: all that an answer says is of one moment.
      connection.execute('BEGIN')
      yield connection

  @contextlib.contextmanager
  def changing():
    """One write: yields the connection and the new generation."""
    with connect(database) as connection, _writing(connection):
      # Again, for the fencer waits for the writes that have begun.
      refuse_writes()
      connection.execute('UPDATE content SET generation = generation + 1')
      yield connection, _generation(connection)

  def _generation(connection):
    return connection.execute('SELECT generation FROM content').fetchone()[0]

  def _state(connection):
    count = connection.execute('SELECT count(*) FROM records').fetchone()[0]
    return {'role': role(), 'records': count,
            'generation': _generation(connection)}

  @app.before_request
  def refuse_writes():  # pylint: disable=unused-variable
    if role() != roles.LEADER and flask.request.method in ('PUT', 'DELETE'):
      flask.abort(403, roles.REFUSAL[role()])

  @app.get('/')
  def page():  # pylint: disable=unused-variable
    with reading() as connection:
      return flask.render_template_string(
        _PAGE, about=roles.ABOUT[role()], state=_state(connection),
        records=connection.execute(
          'SELECT key, substr(value, 1, 200) FROM records'
          ' ORDER BY changed DESC LIMIT ?', (_LISTED,)).fetchall())

  @app.get('/state')
  def state():  # pylint: disable=unused-variable
    try:
      with reading() as connection:
        return _state(connection)
    except _Unreadable:
      return {'role': role(), 'records': 0, 'generation': None}

  @app.get('/records')
  def list_records():  # pylint: disable=unused-variable
    with reading() as connection:
      rows = connection.execute('SELECT key, value FROM records ORDER BY key')
      return flask.jsonify([{'key': key, 'value': value}
                            for key, value in rows])

  @app.get('/records/<key:_>')
  def get(_):  # pylint: disable=unused-variable
    with reading() as connection:
      row = connection.execute(
        'SELECT value FROM records WHERE key = ?', (_key(),)).fetchone()
    return _plain(row[0]) if row else flask.abort(404, 'no such record')

  @app.put('/records/<key:_>')
  def put(_):  # pylint: disable=unused-variable
    key = _key()
    value = _text(flask.request.get_data(), 'value', LARGEST_VALUE)
    with changing() as (connection, generation):
      connection.execute(
        'INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE'
        ' SET value = excluded.value, changed = excluded.changed',
        (key, value, generation))
    return '', 204

  @app.delete('/records/<key:_>')
  def delete(_):  # pylint: disable=unused-variable
    key = _key()
    with changing() as (connection, _):
      if not connection.execute(
          'DELETE FROM records WHERE key = ?', (key,)).rowcount:
        flask.abort(404, 'no such record')
    return '', 204

  @app.errorhandler(werkzeug.exceptions.HTTPException)
  def refuse(error):  # pylint: disable=unused-variable
    answer = _plain('%s\n' % error.description)
    answer.status_code = error.code
    if isinstance(error, werkzeug.exceptions.MethodNotAllowed):
      answer.allow.update(error.valid_methods or ())
    return answer

  @app.errorhandler(_Unreadable)
  def unreadable(_):  # pylint: disable=unused-variable
    return _plain('nothing has been imported yet\n'), 503

  @app.errorhandler(sqlite3.Error)
  def broken(error):  # pylint: disable=unused-variable
    log.error('%s %r: %s', flask.request.method, flask.request.path, error)
    return _plain('the database fails: %s\n' % error), 503

  return app


def _plain(text):
  response = flask.Response(text, content_type='text/plain; charset=utf-8')
  # A record is never a page, whatever a browser thinks of it.
  response.headers['X-Content-Type-Options'] = 'nosniff'
  return response


def serve(database, role, host, port, log_path=None):
  """Serve for ever at [host]:port.

  log_path: file of the log, else stderr.  Raises what `prepare` does.
  """
  handler = logging.StreamHandler(sys.stderr)
  if log_path:
    handler = logging.handlers.WatchedFileHandler(log_path)
  logging.basicConfig(
    level=logging.INFO, handlers=[handler],
    format='%(asctime)s %(levelname)-7s %(name)s %(message)s')
  logging.Formatter.converter = time.gmtime
  if role == 'leader':
    prepare(database)
  server = waitress.create_server(
    application(database, role), host=host, port=port, threads=4,
    # Who sends a little too much is told so, by `_text`; who sends more is cut
    # off at once.
    max_request_body_size=2 * LARGEST_VALUE, connection_limit=50,
    channel_timeout=60, ident=None)
  log.info('%s, serving %s at [%s]:%s', role, database, host,
           server.effective_port)
  server.run()
