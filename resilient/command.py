"""The one console script of the stack: ``resilient COMMAND``.

The wrappers in a partition (``bin/exporter``, ``bin/takeover``...) call it with
the partition's configuration.
"""
import argparse
import importlib
import json
import logging
import logging.handlers
import os
import pwd
import sys
import time

from . import configuration as configuration_module
from .durable import LockTimeout
from .essential import DamagedState


def _parser():
  parser = argparse.ArgumentParser(prog='resilient', description=__doc__)
  commands = parser.add_subparsers(dest='command', required=True)

  def add(name, help_text):
    command = commands.add_parser(name, help=help_text)
    command.add_argument('--configuration', required=True)
    command.add_argument('--log', help='a file that logrotate may move away')
    return command

  add('exporter', 'dump the service, seal the dump, notify the PBS')
  add('gate', 'answer one request of a PBS; run by sshd')
  add('equeue', 'run the queue')
  add('notifier', 'take hints and serve feeds')
  request = add('request', 'have the queue run a task now')
  request.add_argument('task')
  takeover = add('takeover', 'make this instance the leader')
  takeover.add_argument(
    '--force', action='store_true',
    help='of a clone: although its data is not the newest')
  takeover.add_argument(
    '--bring-back', action='store_true',
    help='of a frozen leader: although its successor took writes')
  page = add('takeover-page', 'serve the page of the takeover')
  page.add_argument('--template', required=True)
  status = add('status', 'say what this partition holds and what is wrong')
  status.add_argument('--json', action='store_true')
  restore = add('restore', 'list or restore the generations of an archive')
  restore.add_argument('name')
  restore.add_argument('--generation')
  restore.add_argument('--to')
  restore.add_argument(
    '--drill', action='store_true',
    help='restore any generation, verify it, and record how long that took')
  restore.add_argument('--json', action='store_true')
  adopt = add('adopt', 'take the archive of a sibling PBS as this one\'s own')
  adopt.add_argument('name')
  adopt.add_argument('source', help='a copy of its srv/backup/pbs/<name>')
  adopt.add_argument(
    '--force', action='store_true', help='even if that loses generations')
  secret = commands.add_parser('secret', help=(
    'keep the secret in standard input, or one that is made if that is empty,'
    ' and print the token of the feeds'))
  secret.add_argument('path')
  certificate = commands.add_parser(
    'certificate', help='make a certificate, or keep it, and print its'
    ' fingerprint')
  certificate.add_argument('path')
  certificate.add_argument('--address', required=True)
  parameters = commands.add_parser(
    'parameters', help='check parameters, JSON from the standard input')
  parameters.add_argument('schema')
  parameters.add_argument(
    '--more', action='append', default=[], help='a folder of more schemas')
  key = commands.add_parser('key', help='make an ssh key and print it')
  key.add_argument('path')
  key.add_argument('--comment', default='')
  key.add_argument('--ssh-keygen', default='ssh-keygen')
  return parser


# What a person runs, and wants to watch.
_INTERACTIVE = ('adopt', 'exporter', 'takeover', 'restore')
# Where a command is, when the module has another name.
_MODULES = {'adopt': 'history'}


def _start_logging(command, path):
  handlers = []
  if path:
    # What failed is in the log, whatever a peer put into the reason.
    handlers.append(logging.handlers.WatchedFileHandler(
      path, errors='backslashreplace'))
  if not path or command in _INTERACTIVE:
    handlers.append(logging.StreamHandler(sys.stderr))
  logging.basicConfig(
    level=logging.INFO, handlers=handlers, force=True,
    format='%(asctime)s %(levelname)-7s %(name)s %(message)s')
  logging.Formatter.converter = time.gmtime
  # Tornado reports every client that is broken.
  logging.getLogger('tornado').setLevel(logging.ERROR)


def _print_status(configuration, as_json):
  from .status import status
  state = status(configuration)
  if as_json:
    print(json.dumps(state, sort_keys=True))
  else:
    problems = state.pop('problems')
    print(json.dumps(state, indent=2, sort_keys=True))
    for problem in problems:
      print('PROBLEM: ' + problem['text'])
    if not problems:
      print('no problem')
  return 0


def _check_parameters(path, more):
  from . import schema
  try:
    return schema.main(path, more, sys.stdin, sys.stdout)
  except schema.InvalidParameters as error:
    sys.stderr.write('%s\n' % error)
    return 1


def _make(arguments):
  """Make what an instance needs before it has a configuration, and print what
  others may know of it.  Raises ValueError."""
  if arguments.command == 'key':
    from . import keys
    print(keys.ensure(
      arguments.path, arguments.comment, arguments.ssh_keygen))
  elif arguments.command == 'certificate':
    from . import certificate
    print(certificate.ensure(arguments.path, arguments.address))
  else:
    from . import authentication
    # Not an argument: those are seen by everybody on the computer.
    authentication.ensure_secret(arguments.path, sys.stdin.read().strip())
    print(authentication.token(arguments.path, authentication.FEEDS))


def _dispatch(arguments):
  if arguments.command in ('key', 'secret', 'certificate'):
    try:
      _make(arguments)
    except ValueError as error:
      sys.stderr.write('%s: %s\n' % (arguments.command, error))
      return 1
    return 0
  if arguments.command == 'parameters':
    return _check_parameters(arguments.schema, arguments.more)
  configuration = configuration_module.load(arguments.configuration)
  if arguments.command == 'request':
    configuration.store.request(arguments.task)
    return 0
  if arguments.command == 'restore':
    from . import restore
    return restore.main(
      configuration, arguments.name, arguments.generation, arguments.to,
      drill=arguments.drill, as_json=arguments.json)
  if arguments.command == 'status':
    return _print_status(configuration, arguments.json)
  # Imported when needed: a gate must not wait for a web framework.
  module = importlib.import_module('.' + _MODULES.get(
    arguments.command, arguments.command.replace('-', '_')), __package__)
  extra = {
    'takeover': lambda: (arguments.force, arguments.bring_back),
    'takeover-page': lambda: (arguments.template,),
    'adopt': lambda: (arguments.name, arguments.source, arguments.force),
  }.get(arguments.command, tuple)
  return module.main(configuration, *extra())


def _owner_problem(path):
  """Return why whoever runs this must not work with configuration `path`, or
  '': what somebody else writes, the services of the partition cannot read."""
  try:
    owner = os.stat(path).st_uid
  except OSError:
    # To be said by who reads it.
    return ''
  if owner == os.geteuid():
    return ''
  try:
    owner = pwd.getpwuid(owner).pw_name
  except KeyError:
    owner = '#%d' % owner
  return ('%s belongs to user %s: run this as that user, for instance with'
          ' runuser -u %s --' % (path, owner, owner))


def main(argv=None):
  """Run the command in `argv`.  Returns the exit status."""
  arguments = _parser().parse_args(argv)
  problem = _owner_problem(getattr(arguments, 'configuration', ''))
  if problem:
    sys.stderr.write(problem + '\n')
    return 1
  if arguments.command == 'restore' and bool(arguments.generation) != bool(
      arguments.to):
    sys.stderr.write('restore: --generation and --to go together\n')
    return 2
  os.umask(0o077)
  _start_logging(arguments.command, getattr(arguments, 'log', None))
  try:
    return _dispatch(arguments) or 0
  except configuration_module.InvalidConfiguration as error:
    sys.stderr.write('invalid configuration: %s\n' % error)
  except DamagedState as error:
    sys.stderr.write('%s\n' % error)
  except LockTimeout as error:
    sys.stderr.write('%s: already running? %s\n' % (arguments.command, error))
  return 1


if __name__ == '__main__':
  sys.exit(main())
