"""One backup cycle, as the demo sees it and the benchmark measures it."""
import json

from bench.__main__ import phases, summary
from demo import cycle
from demo.convergence import Instance
from demo.show import Failure

from .demo_support import generation, TestCase


class TestCycle(TestCase):
  """A generation travels."""

  def test_each_place_is_seen_once_and_the_numbers_follow(self):
    program = self.write('slappart0/bin/exporter', (
      '#!/bin/sh\ncd %s\nput() { echo "$2" > $1.tmp; mv $1.tmp $1; }\n'
      'put slappart0/srv/resilient/sealed.json \'%s\'\n'
      'put slappart2/srv/resilient/archive-data.json \'[{"generation":%s}]\'\n'
      'put slappart1/srv/resilient/staged.json \'{"generation":%s}\'\n'
      'put slappart1/srv/resilient/imported.json \'{"generation":%s}\'\n') % (
        self.folder, *[json.dumps(generation(2, 5))] * 4))
    program.chmod(0o755)
    # A leader that has just taken over has sealed nothing; the rest is old.
    (self.folder / 'slappart0/srv/resilient').mkdir(parents=True)
    self.write('slappart2/srv/resilient/archive-data.json',
               json.dumps([{'generation': generation(1, 4)}]))
    for name in ('verified', 'imported'):
      self.write('slappart1/srv/resilient/%s.json' % name,
                 json.dumps({'generation': generation(1, 4)}))
    folder = self.folder

    class FakeNode:
      """As much of a node as a cycle needs."""

      logs = folder

      def __init__(self):
        self.folder = folder

      def instances(self):
        """Return {title: Instance}."""
        return {title: Instance(title, partition, '', 'started', {})
                for title, partition in (
                  ('data0', 'slappart0'), ('data1', 'slappart1'),
                  ('PBS (data / 1)', 'slappart2'), ('root', 'slappart3'),
                  ('broken-20261123', 'slappart4'))}

      def partition_folder(self, partition):
        """Return the path of a partition."""
        return folder / partition

    shown = []
    stages, took = cycle.run(FakeNode(), 'data', shown.append)
    self.assertEqual(stages, shown)
    self.assertEqual(sorted((stage.what, stage.title, stage.label)
                            for stage in stages), [
      ('archived', 'PBS (data / 1)', '2.5'), ('imported', 'data1', '2.5'),
      ('sealed', 'data0', '2.5'), ('verified', 'data1', '2.5')])
    measured = phases(stages, took)
    self.assertEqual(set(measured), {
      'exporter', 'sealed', 'archived', 'verified', 'imported'})
    self.assertEqual(len(summary([measured]).splitlines()), 7)
    program.write_text('#!/bin/sh\nexit 1\n')
    with self.assertRaisesRegex(Failure, 'exporter failed with status 1'):
      cycle.run(FakeNode(), 'data')
