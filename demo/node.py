"""A standalone SlapOS node in a folder: start, build, request, pass, stop."""
import concurrent.futures
import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import subprocess
import sys

from . import checks, convergence, processes
from .master import MASTER_IP, Slapos
from .services import Services
from .show import Failure

_BUILD_DEADLINE = 30 * 60
_PASS_DEADLINE = 15 * 60
_STATUS_DEADLINE = 60
_PARTITION = 'slappart'


class Node:
  """The node in folder ``node`` of `work`.

  ipv6: address of all partitions.  port: the first of two, for the release's
  server and the master.  None: what the node was made with, else the default.
  Raises Failure if the node there has others.
  """

  DEFAULT_IPV6, DEFAULT_PORT = '::1', 21990

  def __init__(self, work, ipv6=None, port=None):
    self.work = pathlib.Path(work).absolute()
    self.folder = self.work / 'node'
    self.instances_folder = self.folder / 'inst'
    self.logs = self.work / 'log'
    self.database = self.folder / 'var' / 'proxy.db'
    self._settings = self.folder / 'settings.json'
    known = {}
    with contextlib.suppress(FileNotFoundError):
      known = json.loads(self._settings.read_text())
    for name, value in (('ipv6', ipv6), ('port', port)):
      if value is not None and known.get(name, value) != value:
        raise Failure('the node in %s was made with --%s %s: use the same, or'
                      ' make clean first' % (self.folder, name, known[name]))
    self.ipv6 = ipv6 or known.get('ipv6', self.DEFAULT_IPV6)
    self.port = port or known.get('port', self.DEFAULT_PORT)
    self.services = Services(self.instances_folder)
    self._slapos = None

  @property
  def exists(self):
    """Whether a node was ever started here."""
    return self._settings.exists()

  def _supervisor(self):
    """Return the psutil.Process of the node's first process, or None."""
    marked = {process.pid: process for process in processes.of_node(
      self.folder)}
    with contextlib.suppress(OSError, ValueError):
      return marked.get(int(
        (self.folder / 'var/run/supervisord.pid').read_text()))
    return None

  @property
  def running(self):
    """Whether the node's processes run."""
    return self._supervisor() is not None

  def check(self, free):
    """Raise Failure if the machine lacks what the node needs.

    free: how many partitions it needs for new instances.
    """
    checks.check_folder(self.folder)
    checks.check_space(self.work)
    if self.running:
      return
    # Nothing may be left of an earlier run that came to a violent end: it
    # would have our ports.
    processes.end_node(self.folder)
    checks.check_ports(
      [(self.ipv6, self.port), (MASTER_IP, self.port + 1)],
      'end that program, or use other ports: RESILIENT_PORT=N make demo')
    self._check_partition_ports(range(max(
      len(self.partitions()), len(self.instances()) + free)))

  def _check_partition_ports(self, numbers):
    checks.check_ports(
      [(self.ipv6, port) for port in checks.partition_ports(numbers)],
      'end that program (another node? make stop there), or use another address'
      ' of this machine: RESILIENT_IPV6=ADDRESS make demo')

  def start(self):
    """Start the node, or find it running.  Raises Failure."""
    self.logs.mkdir(parents=True, exist_ok=True)
    self.folder.mkdir(exist_ok=True)
    self._settings.write_text(json.dumps(
      {'ipv6': self.ipv6, 'port': self.port}))
    # The supervisor, and all that it starts, inherit it.
    os.environ[processes.MARK] = str(self.folder)
    supervisor = self._supervisor()
    if supervisor is not None:
      processes.end_orphans(self.folder, supervisor)
    logging.getLogger('slapos').addHandler(logging.NullHandler())
    logging.getLogger('slapos').propagate = False
    try:
      self._slapos = Slapos(
        str(self.folder), MASTER_IP, self.port + 1,
        slapos_bin=os.path.join(os.path.dirname(sys.executable), 'slapos'))
    except (OSError, subprocess.CalledProcessError) as error:
      raise Failure('the node does not start: %s' % error,
                    self.folder / 'var/log/supervisord.log') from error

  def stop(self):
    """End all processes of the node; return how many.  Raises Failure."""
    count = len(processes.of_node(self.folder))
    if self.running:
      # From the inside out: who ends first cannot restart the others.
      with contextlib.suppress(OSError):
        self.services.stop_all()
    processes.end_node(self.folder)
    return count

  def partitions(self):
    """Return the numbers of the partitions, in order."""
    return sorted(
      int(path.name[len(_PARTITION):])
      for path in self.instances_folder.glob(_PARTITION + '*')
      if path.name[len(_PARTITION):].isdigit())

  def ensure_partitions(self, free):
    """Have at least `free` partitions for new instances.  Raises Failure."""
    present = self.partitions()
    needed = len(self.instances()) + free
    if len(present) >= needed:
      return
    self._check_partition_ports(range(len(present), needed))
    try:
      self._slapos.format(needed, MASTER_IP, self.ipv6, _PARTITION)
    except subprocess.CalledProcessError as error:
      (self.logs / 'format.log').write_bytes(error.output or b'')
      raise Failure('slapos node format failed', self.logs / 'format.log'
                    ) from error

  def _command(self, *words):
    return [str(self.folder / 'bin/slapos'), 'node', *words, '--cfg',
            str(self.folder / 'etc/slapos.cfg')]

  def built(self, url):
    """Whether the software at `url` is built."""
    name = hashlib.md5(url.encode()).hexdigest()
    return (self.folder / 'soft' / name / '.completed').exists()

  def build(self, url):
    """Build the software at `url`; return the seconds.  Raises Failure."""
    self._slapos.supply(url)
    log = self.logs / 'build.log'
    status, seconds = processes.run(
      self._command('software'), log, self.folder, _BUILD_DEADLINE)
    if status:
      raise Failure('the software could not be built (exit status %d)' % status,
                    log)
    return seconds

  def request(self, url):
    """Request the root instance, of the default type, of software `url`."""
    self._slapos.request(url, convergence.ROOT, state='started')

  def run_pass(self, name, number):
    """Run ``slapos node instance`` once; return the convergence.Pass.

    name, number: of the service and of its instances.
    Raises Failure if it does not end.
    """
    numbers = [int(match[1]) for path in self.logs.glob('pass-*.log')
               if (match := re.fullmatch(r'pass-(\d+)\.log', path.name))]
    log = self.logs / ('pass-%d.log' % (max(numbers, default=0) + 1))
    status, seconds = processes.run(
      self._command('instance'), log, self.folder, _PASS_DEADLINE)
    return convergence.outcome(status, seconds, log, convergence.missing(
      self.database, self.instances_folder, name, number))

  def note_deployment(self, passes):
    """Keep how the tree was deployed on this node, from nothing, in one go."""
    (self.folder / 'deployment.json').write_text(json.dumps({
      'working': sum(item.working for item in passes), 'passes': len(passes),
      'seconds': sum(item.seconds for item in passes)}))

  def deployment(self):
    """Return what note_deployment kept, a dict, or None."""
    try:
      return json.loads((self.folder / 'deployment.json').read_text())
    except FileNotFoundError:
      return None

  def instances(self):
    """Return {title: convergence.Instance}."""
    return {instance.title: instance
            for instance in convergence.instances(self.database)}

  def partition_folder(self, partition):
    """Return the path of a partition."""
    return self.instances_folder / partition

  def status(self, partitions):
    """Return {partition: what its bin/status says}; a text if it fails."""
    def ask(partition):
      program = self.partition_folder(partition) / 'bin/status'
      try:
        return json.loads(subprocess.run(
          [program, '--json'], stdin=subprocess.DEVNULL, capture_output=True,
          timeout=_STATUS_DEADLINE, check=True).stdout)
      except FileNotFoundError:
        return 'is not deployed yet'
      except (OSError, ValueError, subprocess.SubprocessError) as error:
        return 'bin/status failed: %s' % error
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      return dict(zip(partitions, pool.map(ask, partitions)))

  def start_services(self):
    """Start the services of started instances that are not running: the node
    was stopped, or a run was interrupted after it killed a leader.

    Returns the titles of the instances.  Raises Failure.
    """
    instances = self.instances()
    if not instances:
      return []
    self.services.wait(self.folder / 'var/log/slapos-instance-supervisord.log')
    return [title for title, instance in sorted(instances.items())
            if instance.state == 'started'
            and self.services.start(instance.partition)]
