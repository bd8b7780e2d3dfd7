"""The story: a replicated service, its backups, and the loss of its leader.

Each step looks at what is there, so that a second run, or one after Ctrl-C,
goes on from it.
"""
import http.client
import json
import time
import urllib.parse
import urllib.request

from . import convergence, cycle, processes, release, report
from .show import duration, Failure, heading, say

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


def _open(url, data=None, method=None):
  """Return what is at `url`.  No proxy: it is this machine's.

  Raises Failure.
  """
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  try:
    with opener.open(urllib.request.Request(url, data, method=method),
                     timeout=30) as answer:
      return answer.read().decode()
  except (OSError, http.client.HTTPException) as error:
    raise Failure('%s %s: %s' % (method or 'GET', url, error)) from error


def _record(url, key):
  return urllib.parse.urljoin(url, 'records/' + urllib.parse.quote(key))


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
      _run_takeover(node, instance)
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


def write(node, records):
  """Write records, {key: value}, to the leader; return its URL."""
  url = service_url(node)
  for key, value in records.items():
    _open(_record(url, key), value.encode(), 'PUT')
  return url


def back_up(node, records):
  """Write records, run the exporter, show where the generation arrives.

  records: {key: value}.  Returns ([cycle.Stage], exporter's seconds).
  """
  say('wrote to the leader, %s: %s' % (
    write(node, records), ', '.join(sorted(records))))
  instances = node.instances()
  say('running %s' % (node.partition_folder(
    instances[NAME + '0'].partition) / 'bin/exporter'))
  words = {'sealed': 'sealed by the leader', 'archived': 'in the archive of',
           'verified': 'verified on clone', 'imported': 'loaded by clone'}

  def shown(stage):
    where = '' if stage.what == 'sealed' else ' ' + stage.title
    say('  after %4.1f s: generation %s %s%s' % (
      stage.seconds, stage.label, words[stage.what], where))

  stages, took = cycle.run(node, NAME, shown)
  say('everywhere %.1f s after the start of the exporter, which itself took'
      ' %.1f s' % (cycle.last(stages, 'imported'), took))
  for index in range(1, NUMBER):
    clone = node.instances()['%s%d' % (NAME, index)]
    _expect(clone.parameters['url'], records, clone.title)
  say('both clones serve these records, read-only')
  return stages, took


def _expect(url, records, who):
  """Raise Failure unless the service at `url` has the records."""
  for key, value in records.items():
    found = _open(_record(url, key))
    if found != value:
      raise Failure('%s serves %r as record %s, not %r' % (
        who, found, key, value))


def service_url(node):
  """Return the URL that the root instance publishes.  Raises Failure."""
  root = node.instances().get(convergence.ROOT)
  if root is None or not root.parameters.get('url'):
    raise Failure('the service has no URL yet: run make demo')
  return root.parameters['url']


def _run_takeover(node, instance):
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


def take_over(node, title):
  """Make clone `title` the leader; return the passes until all is deployed.

  Raises Failure.
  """
  instances = node.instances()
  clones = ['%s%d' % (NAME, index) for index in range(1, NUMBER)]
  if title not in clones or title not in instances:
    raise Failure('%s is no clone; there is: %s' % (
      title, ', '.join(name for name in clones if name in instances)
      or 'none, run make demo'))
  node.ensure_partitions(1)
  say('running bin/takeover of %s in %s (log: %s)' % (
    title, instances[title].partition, node.logs / 'takeover.log'))
  _run_takeover(node, instances[title])
  return converge(node)


def lose_leader(node, records):
  """Kill the leader, take over from clone 1, and read `records` back."""
  leader = node.instances()[NAME + '0']
  count = node.kill_services(leader.partition)
  say('killed %s: SIGKILL to all %d processes of %s, which then stay down' % (
    leader.title, count, leader.partition))
  started = time.monotonic()
  take_over(node, NAME + '1')
  url = service_url(node)
  _expect(url, records, 'the new leader')
  say('the new leader, %s, has the records: %s' % (
    url, ', '.join(sorted(records))))
  say('%.0f s from the loss to here' % (time.monotonic() - started))


def tell(node):
  """Tell the whole story.  Raises Failure."""
  heading(1, 'The environment')
  say('is in %s; all that is shown here is kept in %s' % (
    node.work / 'venv', node.logs / 'demo.log'))
  deploy(node)
  heading(4, 'Write and back up')
  before = {'before': 'written before the loss, at ' + time.strftime('%T')}
  back_up(node, before)
  heading(5, 'Lose the leader, take over from clone 1')
  lose_leader(node, before)
  say('and once more, now to the replacement of %s1' % NAME)
  back_up(node, {**before,
                 'after': 'written after the loss, at ' + time.strftime('%T')})
  heading(6, 'Who is what')
  wrong = show_status(node)
  say()
  say('the service runs at %s and stays so; what you may want now:' %
      service_url(node))
  say('  make status     who is what, and how old each backup is')
  say('  make takeover   make a clone the leader (ARGS=%s2: that one)' % NAME)
  say('  make stop       end it, and keep its data')
  if wrong:
    raise Failure('there are %d problems, see above' % len(wrong))


def show_status(node):
  """Print the table and what is wrong; return the latter."""
  text, wrong = report.report(node, NAME, NUMBER)
  say(text)
  for sentence in wrong:
    say('PROBLEM: ' + sentence)
  return wrong


def stop(node):
  """End all processes of the node."""
  started = time.monotonic()
  count = node.stop()
  if count:
    say('ended %d processes in %s; none is left' % (
      count, duration(time.monotonic() - started)))
  else:
    say('nothing was running')
