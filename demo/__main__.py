"""The demo of the resilient stack: a replicated service on a node of its own.

  run       deploy, back up, lose the leader, take over; leave it running
  status    who is what, and what is wrong (exit status 1 if anything is)
  takeover  make a clone the leader: data1, or the one that is named
  stop      end all processes, keep the data
  clean     stop, and remove all that the demo made
"""
import argparse
import contextlib
import fcntl
import os
import pathlib
import signal
import sys
import traceback

from slapos.util import rmtree

from . import deploy, story
from .node import Node
from .show import Failure, log_to, say


def _parser():
  parser = argparse.ArgumentParser(
    prog='python -m demo', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('command', choices=(
    'run', 'status', 'takeover', 'stop', 'clean'))
  parser.add_argument('name', nargs='?', help='the clone that takes over')
  parser.add_argument('--work', metavar='DIR', type=pathlib.Path,
                      default='.node',
                      help='folder for all that is made (default: %(default)s)')
  parser.add_argument('--ipv6', default=os.environ.get('RESILIENT_IPV6'),
                      help='address of this machine for the services (default:'
                      ' $RESILIENT_IPV6, else ' + Node.DEFAULT_IPV6 + ')')
  parser.add_argument('--port', type=int,
                      default=os.environ.get('RESILIENT_PORT'),
                      help='first of two ports, for the release and the master'
                      ' (default: $RESILIENT_PORT, else %d)'
                      % Node.DEFAULT_PORT)
  return parser


@contextlib.contextmanager
def alone(work):
  """Be the only one that changes the node in folder `work`.

  Raises Failure if somebody else does.
  """
  work.mkdir(parents=True, exist_ok=True)
  with (work / '.demo.lock').open('a') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise Failure('another demo is at work in %s: let it end, or end it with'
                    ' Ctrl-C' % work) from None
    yield


def _status(node, _):
  if not node.exists:
    raise Failure('there is no node in %s: make demo' % node.folder)
  return 1 if story.show_status(node) else 0


def _run(node, _):
  with alone(node.work):
    log_to(node.logs / 'demo.log')
    story.tell(node)


def _takeover(node, name):
  if not node.running:
    raise Failure('the node is not running: make demo')
  with alone(node.work):
    log_to(node.logs / 'demo.log')
    node.start()
    story.take_over(node, name or deploy.NAME + '1')
    story.show_status(node)


def _stop(node, _):
  with alone(node.work):
    story.stop(node)


def _clean(node, _):
  with alone(node.work):
    story.stop(node)
    for folder in (node.folder, node.work / 'release'):
      if folder.exists():
        rmtree(str(folder))
    for pattern in ('pass-*.log', 'build.log', 'demo.log', 'exporter.log',
                    'format.log', 'release-server.log', 'takeover.log',
                    'error.log'):
      for path in node.logs.glob(pattern):
        path.unlink()
    with contextlib.suppress(OSError):
      node.logs.rmdir()
    (node.work / '.demo.lock').unlink()
  say('removed all that the demo made in %s' % node.work)


def _interrupt(*_):
  raise KeyboardInterrupt


def report_failure(failure, program):
  """Say in one line on standard error what failed."""
  log = '' if failure.log is None else ' (log: %s)' % failure.log
  print('%s: %s%s' % (program, ' '.join(str(failure).split()), log),
        file=sys.stderr, flush=True)


def guarded(program, work, function):
  """Return the exit status of `function()`, whatever it does.

  program: name in messages.  work: folder of the demo.
  """
  for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, _interrupt)
  # slapos, supervisord... are run by name.
  os.environ['PATH'] = os.pathsep.join((
    os.path.dirname(sys.executable), os.environ.get('PATH', os.defpath)))
  try:
    return function() or 0
  except Failure as failure:
    report_failure(failure, program)
  except KeyboardInterrupt:
    print('%s: interrupted; the same command goes on from here' % program,
          file=sys.stderr, flush=True)
    return 130
  except Exception as error:  # A defect of ours: one line, the rest in a file.
    log = pathlib.Path(work, 'log', 'error.log').absolute()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(traceback.format_exc())
    report_failure(Failure(
      'unexpected %s: %s' % (type(error).__name__, error), log), program)
  return 1


def main(argv=None):
  """Run a command.  Return the exit status."""
  parser = _parser()
  arguments = parser.parse_args(argv)
  if arguments.name and arguments.command != 'takeover':
    parser.error('only takeover takes a name')
  command = {'run': _run, 'status': _status, 'takeover': _takeover,
             'stop': _stop, 'clean': _clean}[arguments.command]
  return guarded('demo', arguments.work, lambda: command(
    Node(arguments.work, arguments.ipv6, arguments.port), arguments.name))


if __name__ == '__main__':
  sys.exit(main())
