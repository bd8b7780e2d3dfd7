"""The words of the stories: a node of a tree, and what can happen to it."""
import contextlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request

import psutil

from . import clock, https

# Every wait ends; on a machine that is slow all waits can be made longer.
FACTOR = float(os.environ.get('RESILIENT_TEST_PATIENCE', 1))
_DEADLINE = 600
_ENDED = ('STOPPED', 'EXITED', 'FATAL')


def wait_until(condition, seconds, what, diagnosis=lambda: ''):
  """Wait until condition() is true, and return its value.

  Raises AssertionError that says `what` was waited for, and diagnosis().
  """
  end = time.monotonic() + seconds * FACTOR
  while True:
    value = condition()
    if value:
      return value
    if time.monotonic() > end:
      raise AssertionError('after %d s: no %s\n%s' % (
        seconds * FACTOR, what, diagnosis()))
    time.sleep(0.05)


def fetch(url, method='GET', body=None, fingerprint=None):
  """Return (status, text) of what `url` answers.

  fingerprint: SHA-256 of the certificate, if it is known.
  """
  request = urllib.request.Request(
    url, None if body is None else body.encode(), method=method)
  handlers = [urllib.request.ProxyHandler({})]
  if url.startswith('https:'):
    handlers.append(urllib.request.HTTPSHandler(
      context=https.trusting(url, fingerprint)))
  opener = urllib.request.build_opener(*handlers)
  try:
    with opener.open(request, timeout=30) as answer:
      return answer.status, answer.read().decode()
  except urllib.error.HTTPError as error:
    with error:
      return error.code, error.read().decode()


def slapos(slap, command, log, ahead=0):
  """Run ``slapos node <command>`` on StandaloneSlapOS `slap`, with its output
  to file `log`; return its exit status.  ahead: as in clock.moved."""
  with open(log, 'wb') as output:
    return subprocess.run(
      ['slapos', 'node', command, '--cfg', slap._slapos_config],
      env=clock.moved(ahead), stdin=subprocess.DEVNULL, stdout=output,
      stderr=subprocess.STDOUT, timeout=_DEADLINE * FACTOR).returncode


@contextlib.contextmanager
def configured(node, **options):
  """While inside, `node` is told other `options`, by the names of its
  configuration with "_" for "-".  Its services see it by themselves."""
  path = node.path / 'etc/resilient.json'

  def write(text):
    # As another file: it may be read at this moment.
    temporary = path.with_name('resilient.json.test')
    temporary.write_text(text)
    temporary.chmod(0o600)
    os.replace(temporary, path)

  before = path.read_text()
  write(json.dumps(dict(json.loads(before), **{
    name.replace('_', '-'): value for name, value in options.items()})))
  try:
    yield
  finally:
    write(before)


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

  def run(self, command, *arguments, status=0, ahead=0):
    """Run bin/`command`; return what it printed.

    ahead: how wrong its clock is, as in clock.moved.
    Raises AssertionError if it ends with another exit status.
    """
    result = subprocess.run(
      [self.path / 'bin' / command, *arguments], stdin=subprocess.DEVNULL,
      env=clock.moved(ahead),
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
      timeout=300 * FACTOR)
    if result.returncode != status:
      raise AssertionError('%s of %r ended with %d, not %d:\n%s' % (
        command, self, result.returncode, status, result.stdout))
    return result.stdout

  def replace(self, command, script):
    """Let bin/`command` be a shell script with text `script`; return what puts
    the old one back, which may be called more than once."""
    path = self.path / 'bin' / command
    good, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)

    def write(content):
      # As another file, for the old one may be running.
      path.unlink(missing_ok=True)
      path.write_bytes(content)
      path.chmod(mode)

    write(b'#!/bin/sh\n' + script.encode())
    return lambda: write(good)

  def state(self):
    """Return what bin/status says."""
    return json.loads(self.run('status', '--json'))

  def problems(self):
    """Return {topic: text} of what is wrong here."""
    return {problem['topic']: problem['text']
            for problem in self.state()['problems']}

  def secret(self):
    """Return the secret of the tree, as this member has it."""
    path = self.path / 'etc/resilient-secret'
    return json.loads(path.read_text())['secret']

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

  def end(self, service, number):
    """Send a signal that ends a service, even one that is stopped, and wait
    until it has ended."""
    pid = self.pid(service)
    os.kill(pid, number)
    # It may be gone at once.
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid, signal.SIGCONT)
    wait_until(lambda: self.pid(service) != pid, 60,
               'end of %s of %r' % (service, self))

  def stop_hard(self, service):
    """Kill a service, if it runs."""
    if self.pid(service):
      self.kill(service)

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
          with contextlib.suppress(ProcessLookupError):
            os.kill(process['pid'], signal.SIGKILL)
      supervisor.stopProcessGroup(self.partition)

  # The service, see service.py

  def write(self, key, value):
    """Write a record of the service; return what it answers."""
    return self._tree.service.write(self, key, value)

  def delete(self, key):
    """Delete a record of the service; return what it answers."""
    return self._tree.service.delete(self, key)

  def records(self):
    """Return {key: value} of the service."""
    return self._tree.service.records(self)
