"""The one command of lapp, and of lamp: ``lapp COMMAND``.

``prepare`` is run when the instance is built: it reads the parameters, as JSON,
from its input, and prints what is to be published.  ``serve`` is the service,
``keep`` runs those of Apache and PHP; the stack runs ``export`` and ``import``.
A failure is an exit status, and one line that says why.
"""
import argparse
import json
import logging
import logging.handlers
import os
import secrets
import sys
import time

from resilient.durable import read_json, write_bytes, write_if_changed
from resilient.process import Failed

from . import configuration as configuration_module, documents, transfer
from .child import keep
from .contents import Contents, CREDENTIALS, SETTINGS, sync_tree
from .server import serve, ServerError

_USER = 'application'


def _check_reserved(engine, settings):
  for name in sorted(settings):
    if name in engine.RESERVED:
      raise configuration_module.InvalidParameter(
        'parameter database-settings has %r, which is not to be changed, or has'
        ' a parameter of its own: leave it out' % name)


def _set_settings(engine, configuration, content):
  """Write the file of settings; an old one stays if the server refuses."""
  path = os.path.join(content, SETTINGS)
  old = None
  if os.path.exists(path):
    with open(path, 'rb') as file:
      old = file.read()
  new = engine.settings(configuration).encode()
  if new == old:
    return
  write_bytes(path, new)
  try:
    engine.check_settings(content)
  except ServerError as error:
    if old is not None:
      write_bytes(path, old)
    raise configuration_module.InvalidParameter(
      'parameter database-settings is %r: %s' % (
        configuration.database_settings, error)) from error


def _set_credentials(configuration, content):
  path = os.path.join(content, CREDENTIALS)
  credentials = read_json(path, {
    'user': _USER, 'password': secrets.token_urlsafe(24)})
  if 'database' not in credentials or configuration.is_leader:
    credentials['database'] = configuration.database_name
  write_if_changed(path, json.dumps(
    credentials, indent=2, sort_keys=True).encode() + b'\n')
  return credentials


def prepare(engine, configuration):
  """Have a content, as the parameters want it; return what to publish.

  Raises InvalidParameter, DocumentsError, ServerError, Failed, OSError.
  """
  _check_reserved(engine, configuration.database_settings)
  contents = Contents(configuration.contents_directory)
  content = contents.current()
  if content is None:
    with contents.new() as content:
      transfer.make_database(engine, content)
      documents.make_sample(content, configuration.sample)
      _set_settings(engine, configuration, content)
      _set_credentials(configuration, content)
      sync_tree(content)
      contents.switch(content)
  elif configuration.is_leader:
    _set_settings(engine, configuration, content)
  if configuration.is_leader:
    documents.replace(content, configuration.document_root_url,
                      configuration.document_root_sha256)
  return dict(_set_credentials(configuration, content),
              port=str(configuration.port))


def _prepare(make_engine, path):
  values = json.load(sys.stdin)
  configuration = configuration_module.Configuration(values)
  published = prepare(make_engine(configuration), configuration)
  write_if_changed(path, json.dumps(
    values, indent=2, sort_keys=True).encode() + b'\n')
  json.dump(published, sys.stdout)


def _start_logging(path, level):
  handler = (logging.handlers.WatchedFileHandler(path) if path
             else logging.StreamHandler(sys.stderr))
  logging.basicConfig(
    level=level, handlers=[handler], force=True,
    format='%(asctime)s %(levelname)-7s %(name)s %(message)s')
  logging.Formatter.converter = time.gmtime


def _parser(name):
  parser = argparse.ArgumentParser(prog=name)
  commands = parser.add_subparsers(dest='command', required=True)
  for command, help_text in (
      ('prepare', 'make what is missing, as the parameters say'),
      ('serve', 'run the server'),
      ('keep', 'run another program, whose command line follows'),
      ('export', 'dump database and application while they are in use'),
      ('import', 'let the server serve a dump')):
    parsed = commands.add_parser(command, help=help_text)
    if command in ('serve', 'keep'):
      parsed.add_argument('--log', help='a file that logrotate may move away')
    if command == 'keep':
      parsed.add_argument('program', nargs=argparse.REMAINDER)
      continue
    parsed.add_argument('--configuration', required=True, metavar='FILE')
    if command in ('export', 'import'):
      parsed.add_argument('--dump', required=True, metavar='DIRECTORY')
  return parser


def main(name, make_engine, argv=None):
  """Run the command in `argv`.  Returns the exit status.

  name: of the command.  make_engine: the class of the database.
  """
  arguments = _parser(name).parse_args(argv)
  os.umask(0o077)
  _start_logging(getattr(arguments, 'log', None), logging.WARNING
                 if arguments.command == 'prepare' else logging.INFO)
  try:
    if arguments.command == 'keep':
      keep(arguments.program)
      return 0
    if arguments.command == 'prepare':
      _prepare(make_engine, arguments.configuration)
      return 0
    configuration = configuration_module.load(arguments.configuration)
    engine = make_engine(configuration)
    if arguments.command == 'serve':
      serve(engine, configuration)
    elif arguments.command == 'export':
      transfer.export(engine, configuration, arguments.dump)
    else:
      transfer.import_(engine, configuration, arguments.dump)
  except (configuration_module.InvalidParameter, documents.DocumentsError,
          ServerError, Failed, OSError, ValueError) as error:
    sys.stderr.write('%s failed: %s\n' % (
      arguments.command, ' '.join(str(error).split())))
    return 1
  return 0
