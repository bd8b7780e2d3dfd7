"""What must hold, whatever happened: the invariants of docs/design.rst.

A story says what it was told (``export``), breaks things, makes them good, and
then asks for ``check``: one judgement for all stories.
"""
import random
import shutil

from resilient import manifest
from resilient.generation import from_json

from .node import wait_until
from .tree import label_of


class Checker:
  """The invariants of one tree.

  acknowledged: the labels of the exports that exited 0, oldest first.
  written: {key: value} that the leader acknowledged, as it was last; at first
    what it has.
  """

  def __init__(self, tree, seed=None):
    self._tree = tree
    self.random = random.Random(seed)
    self.acknowledged = []
    self.written = dict(tree.leader.records())
    # {label: what that export must have carried}.
    self._carried = {}

  def write(self, key, value):
    """Write a record to the leader; it counts if it was answered."""
    if self._tree.leader.write(key, value) == 204:
      self.written[key] = value

  def export(self, ahead=0):
    """Run bin/exporter of the leader; return the label of the generation.
    ahead: how wrong its clock is (clock.moved)."""
    carried = dict(self.written)
    label = self._tree.export(ahead)
    self.acknowledged.append(label)
    self._carried[label] = carried
    return label

  def took_over(self, winner):
    """Clone `winner` leads: with exactly what one export carried.  What was
    acknowledged after that is lost, as who insisted was told."""
    label = label_of(winner.state()['imported'])
    records = winner.records()
    assert records == self._carried[label], (
      winner, label, records, self._carried[label])
    self.acknowledged = [one for one in self.acknowledged
                         if _label_order(one) <= _label_order(label)]
    self.written = records

  def check(self, seconds=120):
    """Everything is healed: all invariants hold.  Raises AssertionError.

    seconds: until everything has caught up.
    """
    self.check_archives(seconds)
    self.check_clones(seconds)
    self.check_history()
    self.check_leadership()
    wait_until(lambda: not self._tree.check_promises(), seconds,
               'tree without a red promise', self._tree.diagnosis)

  def _newest(self):
    state = self._tree.leader.state()['generation']
    assert state and _order(state) >= _label_order(self.acknowledged[-1]), (
      'the leader lost an acknowledged export', state, self.acknowledged)
    return from_json(state)

  def check_archives(self, seconds):
    """N1: the newest export is in every archive, byte for byte."""
    newest = self._newest()
    self._tree.wait_for_archive(newest.label, seconds=seconds)
    for pbs in self._tree.all_pbs():
      _verify(pbs.path / 'srv/backup/pbs' / self._tree.name, newest, pbs)

  def check_clones(self, seconds):
    """N1 and N3: each clone holds the newest export, whole, serves all that was
    acknowledged before, nothing that nobody wrote, and knows its age."""
    newest = self._newest()
    self._tree.wait_for_clones(newest.label, seconds=seconds)
    for clone in self._tree.clones():
      _verify(clone.path / 'srv/backup' / self._tree.name, newest, clone)
      records = clone.records()
      lost = {key for key, value in self._carried[
        self.acknowledged[-1]].items()
              if records.get(key) != value}
      unexpected = {key for key in records if key not in self.written}
      assert not lost, 'lost at %r: %s' % (clone, sorted(lost))
      assert not unexpected, 'unexpected at %r: %s' % (
        clone, sorted(unexpected))
      assert clone.state()['imported']['sealed'] == newest.sealed, clone

  def check_copies(self):
    """N3, at any moment: each clone that ever had a copy has a whole one."""
    for clone in self._tree.clones():
      if clone.state()['verified']:
        root = clone.path / 'srv/backup' / self._tree.name
        # A swap may change the copy while it is looked at.
        wait_until(lambda: not _differences(root), 30,  # noqa: B023
                   'whole copy at %r' % clone, self._tree.diagnosis)

  def check_history(self, samples=2):
    """N2: retained generations restore to their own manifests; the oldest, and
    `samples` others of each archive."""
    for pbs in self._tree.all_pbs():
      labels = pbs.state()['archives'][self._tree.name]['generations']
      chosen = {labels[0], *self.random.sample(
        labels, min(samples, len(labels)))}
      for label in chosen:
        target = pbs.path / 'srv/checked'
        pbs.run('restore', self._tree.name, '--generation', label,
                '--to', str(target))
        shutil.rmtree(target)

  def check_leadership(self):
    """N4: one instance accepts writes, and it is the leader."""
    accepting = [
      title for title, node in self._tree.nodes().items()
      if 'url' in node.parameters and title != 'root'
      and node.write('leader?', title) == 204]
    assert accepting == [self._tree.leader.title], accepting
    self.written['leader?'] = accepting[0]

  def check_visible(self, title, *promises, seconds=60):
    """N5: the failure shows as red promises of instance `title`."""
    for promise in promises:
      wait_until(
        lambda: (title, promise) in self._tree.check_promises(),  # noqa: B023
        seconds, 'red %s of %s' % (promise, title), self._tree.diagnosis)


def _order(generation):
  return generation['epoch'], generation['sequence']


def _label_order(label):
  return tuple(map(int, label.split('.')))


def _differences(root):
  try:
    return manifest.compare(root, manifest.read(root))
  except (manifest.InvalidManifest, OSError) as error:
    return [error]


def _verify(root, generation, node):
  found = manifest.read(root)
  assert found.generation == generation, (node, found.generation, generation)
  differences = manifest.compare(root, found)
  assert not differences, (node, list(map(str, differences)))
