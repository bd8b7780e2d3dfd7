"""The words of the stories: a tree of nodes, and its backups."""
import contextlib
import os
import pathlib
import re
import time

from demo import convergence

from . import service as service_module
from .node import Node, slapos, wait_until

_TRACEBACK = re.compile(r'^Traceback \(most recent call last\):', re.MULTILINE)


class Tree:
  """The instances of one replicated service on a StandaloneSlapOS.

  published: what the root publishes beside the stack's own.
  service: how to write and read what is replicated, see service.py.
  """

  def __init__(self, slap, name, number, published=(),
               service=service_module.Records):
    self._slap = slap
    self.name = name
    self.number = number
    self.published = published
    self.service = service
    self.instance_root = slap._instance_root
    self._database = slap._proxy_database
    self._passes = 0
    self._seen_tracebacks = set()

  @property
  def supervisor(self):
    """The supervisor of all services."""
    return self._slap.instance_supervisor_rpc

  @contextlib.contextmanager
  def master_down(self):
    """While inside, nobody answers at the address of the SlapOS master."""
    with self._slap.system_supervisor_rpc as supervisor:
      supervisor.stopProcess('slapos-proxy')
    try:
      yield
    finally:
      with self._slap.system_supervisor_rpc as supervisor:
        supervisor.startProcess('slapos-proxy')
      wait_until(self._slap._isSlapOSAvailable, 60, 'SlapOS master')

  def run_pass(self):
    """Run ``slapos node instance`` once; return a convergence.Pass."""
    self._passes += 1
    log = pathlib.Path(self._slap._log_directory, 'pass-%d.log' % self._passes)
    started = time.monotonic()
    status = slapos(self._slap, 'instance', log)
    return convergence.outcome(
      status, time.monotonic() - started, log,
      convergence.missing(
        self._database, self.instance_root, self.name, self.number,
        self.published))

  def check_promises(self, ahead=0):
    """Look at every promise now; return {(title, promise): what it says} of
    those that are red.  ahead: how wrong their clock is (clock.moved)."""
    slapos(self._slap, 'promise', os.devnull, ahead)
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

  def export(self, ahead=0):
    """Run bin/exporter of the leader; return the label of the generation.
    ahead: how wrong its clock is (clock.moved)."""
    leader = self.leader
    leader.run('exporter', ahead=ahead)
    return label_of(leader.state()['generation'])

  def archived(self, pbs):
    """Return the label of the newest generation in the archive of `pbs`."""
    archive = pbs.state()['archives'].get(self.name)
    return archive and label_of(archive['generation'])

  def wait_for_archive(self, label, *all_pbs, seconds=120):
    """Wait until generation `label` is in the archives."""
    for pbs in all_pbs or self.all_pbs():
      wait_until(lambda: self.archived(pbs) == label, seconds,
                 'generation %s in the archive of %r' % (label, pbs),
                 self.diagnosis)

  def wait_for_clones(self, label, *clones, seconds=120):
    """Wait until the clones hold generation `label`, and have loaded it."""
    for clone in clones or self.clones():
      wait_until(lambda: label_of(clone.state()['imported']) == label, seconds,
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
      # Those of our own begin a line; what other programs print does not.
      parts = _TRACEBACK.split(path.read_text(errors='replace'))
      for position, part in enumerate(parts[1:]):
        if (path, position) not in self._seen_tracebacks:
          self._seen_tracebacks.add((path, position))
          found.append('%s: %s' % (path, part[:1500]))
    return found


def label_of(generation):
  """Return the label of a generation, as bin/status has it, or None."""
  return generation and '%d.%d' % (
    generation['epoch'], generation['sequence'])
