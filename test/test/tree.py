"""The words of the stories: a tree, its nodes, and what can happen to them."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import psutil

from demo import convergence

# Every wait ends; on a machine that is slow all waits can be made longer.
_FACTOR = float(os.environ.get('RESILIENT_TEST_PATIENCE', 1))
_DEADLINE = 600
_ENDED = ('STOPPED', 'EXITED', 'FATAL')


def wait_until(condition, seconds, what, diagnosis=lambda: ''):
  """Wait until condition() is true, and return its value.

  Raises AssertionError that says `what` was waited for, and diagnosis().
  """
  end = time.monotonic() + seconds * _FACTOR
  while True:
    value = condition()
    if value:
      return value
    if time.monotonic() > end:
      raise AssertionError('after %d s: no %s\n%s' % (
        seconds * _FACTOR, what, diagnosis()))
    time.sleep(0.05)


def fetch(url, method='GET', body=None):
  """Return (status, text) of what `url` answers."""
  request = urllib.request.Request(
    url, None if body is None else body.encode(), method=method)
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  try:
    with opener.open(request, timeout=30) as answer:
      return answer.status, answer.read().decode()
  except urllib.error.HTTPError as error:
    with error:
      return error.code, error.read().decode()


def slapos(slap, command, log):
  """Run ``slapos node <command>`` on StandaloneSlapOS `slap`, with its output
  to file `log`; return its exit status."""
  with open(log, 'wb') as output:
    return subprocess.run(
      ['slapos', 'node', command, '--cfg', slap._slapos_config],
      stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
      timeout=_DEADLINE * _FACTOR).returncode


class Node:
  """A partition, by the title of its instance when it was looked up."""

  def __init__(self, tree, instance):
    self._tree = tree
    self.title = instance.title
    self.partition = instance.partition
    self.type = instance.type
    self.parameters = instance.parameters
    self.path = pathlib.Path(tree.instance_root, instance.partition)

  def __repr__(self):
    return '%s (%s)' % (self.title, self.partition)

  def run(self, command, *arguments, status=0):
    """Run bin/`command`; return what it printed.

    Raises AssertionError if it ends with another exit status.
    """
    result = subprocess.run(
      [self.path / 'bin' / command, *arguments], stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
      timeout=300 * _FACTOR)
    if result.returncode != status:
      raise AssertionError('%s of %r ended with %d, not %d:\n%s' % (
        command, self, result.returncode, status, result.stdout))
    return result.stdout

  def state(self):
    """Return what bin/status says."""
    return json.loads(self.run('status', '--json'))

  def problems(self):
    """Return {topic: text} of what is wrong here."""
    return {problem['topic']: problem['text']
            for problem in self.state()['problems']}

  def log(self, name='equeue'):
    """Return the text of a log."""
    path = self.path / 'var/log' / (name + '.log')
    return path.read_text(errors='replace') if path.exists() else ''

  # Services

  def _service(self, supervisor, service):
    for process in supervisor.getAllProcessInfo():
      name = process['name'].removesuffix('-on-watch')
      if process['group'] == self.partition and (
          name == service or name.startswith(service + '-')):
        return process
    raise AssertionError('%r has no service %s' % (self, service))

  def pid(self, service):
    """Return the process identifier of a service, 0 if it does not run."""
    with self._tree.supervisor as supervisor:
      return self._service(supervisor, service)['pid']

  def stop(self, *services):
    """Stop services, as an operator would."""
    with self._tree.supervisor as supervisor:
      for service in services:
        process = self._service(supervisor, service)
        if process['statename'] not in _ENDED:
          supervisor.stopProcess(
            '%s:%s' % (process['group'], process['name']))

  def start(self, *services):
    """Start services that were stopped, or killed."""
    with self._tree.supervisor as supervisor:
      for service in services:
        process = self._service(supervisor, service)
        if process['statename'] in _ENDED:
          supervisor.startProcess(
            '%s:%s' % (process['group'], process['name']))

  def kill(self, service, number=signal.SIGKILL):
    """Send a signal to a service."""
    pid = self.pid(service)
    os.kill(pid, number)
    if number == signal.SIGKILL:
      wait_until(lambda: self.pid(service) != pid, 10,
                 'end of %s of %r' % (service, self))

  def processes(self):
    """Return the processes that work in the partition, by their folder or
    their command line."""
    found = []
    for process in psutil.process_iter():
      try:
        if process.cwd().startswith(str(self.path)) or any(
            str(self.path) + '/' in word for word in process.cmdline()):
          found.append(process)
      except psutil.Error:
        continue
    return found

  def kill_all(self):
    """Kill all services at once, and keep them from being started again: a
    computer that is lost."""
    with self._tree.supervisor as supervisor:
      for process in supervisor.getAllProcessInfo():
        if process['group'] == self.partition and process['pid']:
          os.kill(process['pid'], signal.SIGKILL)
      supervisor.stopProcessGroup(self.partition)

  # The payload

  def _record_url(self, key):
    return self.parameters['url'] + 'records/' + urllib.parse.quote(key)

  def write(self, key, value):
    """Write a record of the payload; return the status of the answer."""
    return fetch(self._record_url(key), 'PUT', value)[0]

  def delete(self, key):
    """Delete a record of the payload; return the status of the answer."""
    return fetch(self._record_url(key), 'DELETE')[0]

  def records(self):
    """Return {key: value} of the payload."""
    status, text = fetch(self.parameters['url'] + 'records')
    assert status == 200, (status, text)
    return {record['key']: record['value'] for record in json.loads(text)}


class Tree:
  """The instances of one replicated service on a StandaloneSlapOS."""

  def __init__(self, slap, name, number):
    self._slap = slap
    self.name = name
    self.number = number
    self.instance_root = slap._instance_root
    self._database = slap._proxy_database
    self._passes = 0
    self._seen_tracebacks = set()

  @property
  def supervisor(self):
    """The supervisor of all services."""
    return self._slap.instance_supervisor_rpc

  def run_pass(self):
    """Run ``slapos node instance`` once; return a convergence.Pass."""
    self._passes += 1
    log = pathlib.Path(self._slap._log_directory, 'pass-%d.log' % self._passes)
    started = time.monotonic()
    status = slapos(self._slap, 'instance', log)
    return convergence.outcome(
      status, time.monotonic() - started, log,
      convergence.missing(
        self._database, self.instance_root, self.name, self.number))

  def check_promises(self):
    """Look at every promise now; return {(title, promise): what it says} of
    those that are red."""
    slapos(self._slap, 'promise', os.devnull)
    titles = {node.partition: node.title for node in self.nodes().values()}
    return {(titles[partition], promise): text
            for partition, promise, text in convergence.red_promises(
              self.instance_root, titles)}

  def nodes(self, state='started'):
    """Return {title: Node}; of the instances in `state`, or of all for
    None."""
    return {instance.title: Node(self, instance)
            for instance in convergence.instances(self._database)
            if state in (None, instance.state)}

  def roles(self):
    """Return {title: partition} of all instances."""
    return {title: node.partition for title, node in self.nodes(None).items()}

  @property
  def root(self):
    """The root instance."""
    return self.nodes()[convergence.ROOT]

  @property
  def leader(self):
    """The leader."""
    return self.nodes()[self.name + '0']

  def clone(self, number):
    """Clone `number`."""
    return self.nodes()['%s%d' % (self.name, number)]

  def clones(self):
    """All clones."""
    return [self.clone(number) for number in range(1, self.number)]

  def pbs(self, number):
    """PBS `number`."""
    return self.nodes()['PBS (%s / %d)' % (self.name, number)]

  def all_pbs(self):
    """All PBS."""
    return [self.pbs(number) for number in range(1, self.number)]

  # Backups

  def export(self):
    """Run bin/exporter of the leader; return the label of the generation."""
    leader = self.leader
    leader.run('exporter')
    return _label(leader.state()['generation'])

  def archived(self, pbs):
    """Return the label of the newest generation in the archive of `pbs`."""
    archive = pbs.state()['archives'].get(self.name)
    return archive and _label(archive['generation'])

  def wait_for_archive(self, label, *all_pbs, seconds=60):
    """Wait until generation `label` is in the archives."""
    for pbs in all_pbs or self.all_pbs():
      wait_until(lambda: self.archived(pbs) == label, seconds,
                 'generation %s in the archive of %r' % (label, pbs),
                 self.diagnosis)

  def wait_for_clones(self, label, *clones, seconds=60):
    """Wait until the clones hold generation `label`, and have loaded it."""
    for clone in clones or self.clones():
      wait_until(lambda: _label(clone.state()['imported']) == label, seconds,
                 'generation %s imported by %r' % (label, clone),
                 self.diagnosis)

  def back_up(self):
    """Export, and wait until every archive and clone has it; return its
    label."""
    label = self.export()
    self.wait_for_archive(label)
    self.wait_for_clones(label)
    return label

  # Diagnosis

  def diagnosis(self):
    """Return what an operator would look at first."""
    lines = []
    for title, node in sorted(self.nodes().items()):
      if title == convergence.ROOT:
        continue
      lines.append('--- %r: %s' % (node, node.problems() or 'no problem'))
      lines += node.log().splitlines()[-8:]
    return '\n'.join(lines)

  def tracebacks(self):
    """Return the tracebacks in the services' logs that were not returned
    before, each with the name of its log."""
    found = []
    root = pathlib.Path(self.instance_root)
    # The services' own logs, and what supervisor got of them.
    for path in [*root.glob('*/var/log/*.log'), *root.glob('*/.*_*.log')]:
      text = path.read_text(errors='replace')
      for position in range(text.count('Traceback (most recent call last)')):
        if (path, position) not in self._seen_tracebacks:
          self._seen_tracebacks.add((path, position))
          part = text.split('Traceback (most recent call last)')[position + 1]
          found.append('%s: %s' % (path, part[:1500]))
    return found


def _label(generation):
  return generation and '%d.%d' % (
    generation['epoch'], generation['sequence'])
