"""Measure the stack on the demo's node: deploy it, or use the one there is.

Prints how long the tree took to converge, N backup cycles with their phases
(seconds from the start of the exporter), and how fast the machine itself is.
"""
import argparse
import os
import pathlib
import statistics
import sys
import time

from demo import cycle, deploy, story
from demo.__main__ import alone, guarded
from demo.node import Node
from demo.show import log_to, say, table

# Of the existing stack, measured on a machine like this one.
_BEFORE = '18.6-21.0 s'
_TARGET = 6.2
_PHASES = (
  ('exporter', 'bin/exporter has ended'),
  ('sealed', 'sealed by the leader'),
  ('archived', 'in both archives'),
  ('verified', 'verified on both clones'),
  ('imported', 'imported on both clones'))
_LOOP = 10_000_000


def calibrate():
  """Return the seconds that a fixed piece of work takes this machine."""
  started = time.perf_counter()
  number = 0
  for index in range(_LOOP):
    number = (number * 31 + index) % 1000003
  return time.perf_counter() - started


def phases(stages, exporter):
  """Return {phase: seconds} of one cycle, from what cycle.run returned."""
  return {'exporter': exporter, **{
    name: cycle.last(stages, name) for name, _ in _PHASES
    if name != 'exporter'}}


def summary(measured):
  """Return the table of cycles.  measured: [{phase: seconds}], one a cycle."""
  rows = []
  for name, text in _PHASES:
    seconds = [one[name] for one in measured]
    rows.append([text, *('%.2f' % one for one in (
      min(seconds), statistics.median(seconds), max(seconds)))])
  return table(('seconds after its start', 'min', 'median', 'max'), rows)


def _deployment(node):
  kept = node.deployment()
  if kept is None:
    return 'not measured, it was interrupted: make clean first'
  return '%d working passes, %.1f s from the request to converged' % (
    kept['working'], kept['seconds'])


def measure(node, cycles):
  """Deploy, run `cycles` cycles, print.  Raises demo.show.Failure."""
  noise = [calibrate()]
  deploy.deploy(node)
  say()
  say('%d cycles' % cycles)
  measured = []
  for number in range(cycles):
    story.write(node, {'bench': '%d at %s' % (number, time.time())})
    measured.append(phases(*cycle.run(node, deploy.NAME)))
    say('  cycle %d: %s' % (number + 1, ', '.join(
      '%s %.2f s' % (name, measured[-1][name]) for name, _ in _PHASES)))
  noise.append(calibrate())
  median = statistics.median(one['imported'] for one in measured)
  say()
  say('deployment of this node: ' + _deployment(node))
  say(summary(measured))
  say('one cycle, median: %.2f s; the existing stack takes %s; the target is'
      ' %.1f s: %s' % (
        median, _BEFORE, _TARGET,
        'reached' if median <= _TARGET else 'MISSED'))
  say('a fixed loop took %.2f s before and %.2f s after; load %s on %d'
      ' processors' % (*noise, '%.1f' % os.getloadavg()[0], os.cpu_count()))


def main(argv=None):
  """Run the benchmark.  Return the exit status; a missed target is no error:
  other work on the machine decides on it, too."""
  parser = argparse.ArgumentParser(
    prog='python -m bench', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--work', metavar='DIR', type=pathlib.Path,
                      default='.node',
                      help='folder of the node (default: %(default)s)')
  parser.add_argument('--cycles', type=int, default=5,
                      help='how many (default: %(default)s)')
  parser.add_argument('--ipv6', default=os.environ.get('RESILIENT_IPV6'),
                      help='as in python -m demo')
  parser.add_argument('--port', type=int,
                      default=os.environ.get('RESILIENT_PORT'),
                      help='as in python -m demo')
  arguments = parser.parse_args(argv)

  def run():
    node = Node(arguments.work, arguments.ipv6, arguments.port)
    with alone(node.work):
      log_to(node.logs / 'demo.log')
      measure(node, arguments.cycles)
  return guarded('bench', arguments.work, run)


if __name__ == '__main__':
  sys.exit(main())
