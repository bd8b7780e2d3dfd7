"""Deploy the replicated service on a node, from whatever state it is in."""
import json
import time

from . import processes, release
from .show import Failure, heading, say

NAME = 'data'
NUMBER = 3
# One for the root, one for each instance and each PBS.
_PARTITIONS = 1 + NUMBER + (NUMBER - 1)
# To be had for what replaces an instance.
_SPARE = 2
_LONGEST = 12
_TAKEOVER_DEADLINE = 15 * 60
# Promises are looked at once a minute; what is only red is waited for.
_PATIENCE = 150


def deploy(node, project=release.PROJECT):
  """Start the node, build the software, request the tree; return its passes.

  Raises Failure.
  """
  files = release.content(project)
  heading(2, 'A SlapOS node, and the software from a URL')
  was_running = node.running
  free = _SPARE + _PARTITIONS - sum(
    instance.state == 'started' for instance in node.instances().values())
  node.check(free)
  node.start()
  node.ensure_partitions(free)
  say('the node %s in %s: %d partitions at [%s]' % (
    'runs already' if was_running else 'runs', node.folder,
    len(node.partitions()), node.ipv6))
  revision = release.write(files, node.work / 'release')
  url = release.serve(node.work / 'release', revision, node.ipv6, node.port,
                      node.folder, node.logs / 'release-server.log')
  say('the release is at %s' % url)
  if node.built(url):
    say('its software is built already')
  else:
    say('building its software (log: %s)' % (node.logs / 'build.log'))
    say('built in %.0f s' % node.build(url))

  heading(3, 'The service "%s": a leader, two clones, two backup servers'
          % NAME)
  _resume(node)
  fresh = not node.instances()
  node.request(url)
  passes = converge(node)
  if fresh:
    # Not of a tree that an interrupted run had begun.
    node.note_deployment(passes)
  return passes


def _resume(node):
  """Go on with what an interrupted run left half done."""
  for title, instance in sorted(node.instances().items()):
    journal = (node.partition_folder(instance.partition)
               / 'srv/resilient/takeover.json')
    if journal.exists() and 'banged' not in json.loads(
        journal.read_text())['done']:
      say('a takeover by %s was interrupted: it goes on' % title)
      run_takeover(node, instance)
  for title in node.start_services():
    say('the services of %s were down: they are started' % title)


def converge(node):
  """Run passes until the tree is deployed; return them.  Raises Failure."""
  say('passes of "slapos node instance", until one finds nothing to do'
      ' (logs: %s)' % (node.logs / 'pass-N.log'))
  passes, started, waiting = [], time.monotonic(), None
  while True:
    last = node.run_pass(NAME, NUMBER)
    passes.append(last)
    titles = {instance.partition: title
              for title, instance in node.instances().items()}
    say('  ' + pass_line(last, titles))
    if last.converged:
      say('converged after %d working passes, %.0f s' % (
        sum(item.working for item in passes), time.monotonic() - started))
      return passes
    if sum(item.working for item in passes) >= _LONGEST:
      raise Failure('not converged after %d working passes: %s' % (
        _LONGEST, _reason(last, titles)), last.log)
    if last.working:
      waiting = None
      continue
    waiting = waiting or time.monotonic()
    if time.monotonic() > waiting + _PATIENCE:
      raise Failure('nothing is left to do, yet the tree is not complete: '
                    + _reason(last, titles), last.log)
    time.sleep(5)


def _reason(last, titles):
  texts = ['%s: %s' % (titles.get(partition, partition), text)
           for partition, text in last.failures.items()]
  texts += ['%s: %s: %s' % (titles.get(partition, partition), promise, text)
            for partition, promise, text in last.missing.promises]
  return texts[0] if texts else (
    last.missing.sentence() or 'exit status %d' % last.status)


def pass_line(item, titles):
  """Return one line on a convergence.Pass.  titles: {partition: title}."""
  number = item.log.rpartition('-')[2].partition('.')[0]
  lack = item.missing.sentence(titles)
  status = '' if item.status == 0 else ', exit status %d' % item.status
  again = ', '.join(sorted(
    titles.get(partition, partition) for partition in item.failures))
  return 'pass %s: %4.1f s, %d partitions processed%s; %s' % (
    number, item.seconds, len(item.processed), status,
    lack or (again and 'to be processed again: ' + again)
    or 'nothing is missing')


def run_takeover(node, instance):
  """Run bin/takeover of an Instance.  Raises Failure unless it succeeds."""
  log = node.logs / 'takeover.log'
  offset = log.stat().st_size if log.exists() else 0
  status, seconds = processes.run(
    [str(node.partition_folder(instance.partition) / 'bin/takeover')], log,
    node.folder, _TAKEOVER_DEADLINE, finish=True)
  with log.open('rb') as output:
    output.seek(offset)
    lines = output.read().decode(errors='replace').split('\n')
  answer = next((line for line in reversed(lines)
                 if line.startswith(('Success.', 'Refused.'))), '')
  say('%s (%.1f s)' % (answer or 'bin/takeover said nothing', seconds))
  if status or not answer.startswith('Success.'):
    raise Failure('the takeover failed: %s' % (
      answer or 'exit status %d' % status), log)
