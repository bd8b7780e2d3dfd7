"""The story: a replicated service, its backups, and the loss of its leader.

Each step looks at what is there, so that a second run, or one after Ctrl-C,
goes on from it.
"""
import http.client
import time
import urllib.parse
import urllib.request

from . import convergence, cycle, report
from .deploy import converge, deploy, NAME, NUMBER, run_takeover
from .show import duration, Failure, heading, say


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
  run_takeover(node, instances[title])
  return converge(node)


def lose_leader(node, records):
  """Kill the leader, take over from clone 1, and read `records` back."""
  leader = node.instances()[NAME + '0']
  count = node.services.kill(leader.partition)
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
