"""A root instance that is asked for more clones, or for fewer."""
import json
import pathlib
import tempfile
import unittest
import unittest.mock

import slapos.slap

from resilient import root

from .master import MasterTestCase


class TestNumberOfClones(MasterTestCase):
  """It is raised and lowered on a running tree."""

  _ALL = {'data0', 'data1', 'data2', 'PBS (data / 1)', 'PBS (data / 2)'}
  _SECOND = {'data2', 'PBS (data / 2)'}

  def assertStopped(self, titles, of):
    """Of all instances `of`, these are stopped, and the others started."""
    self.assertEqual(
      {title: 'stopped' if title in titles else 'started' for title in of},
      self.states())

  def test_a_clone_that_is_not_asked_for_any_more_is_stopped(self):
    parameters = {'-sla-2-computer_guid': 'local', 'remove-backup-older-than':
                  '1M', 'resiliency-import-deadline': 60}
    self.service(3, **parameters)
    self.converge()
    before = {title: instance.partition
              for title, instance in self.instances().items()}
    told = {title: self.parameters(title) for title in self._SECOND}
    self.assertStopped((), self._ALL)
    self.service(2, **parameters)
    output = self.converge()
    self.assertIn('clone data2 and its PBS are not asked for any more', output)
    self.assertStopped(self._SECOND, self._ALL)
    self.assertEqual(told, {
      title: self.parameters(title) for title in self._SECOND})
    self.assertFalse([name for name in self.published() if '-2-' in name])
    self.assertEqual('ssh-key of PBS (data / 1)',
                     self.parameters('data0')['authorized-key'])
    self.assertNotIn('Installing', self.build(0))
    with self.subTest('down to the leader alone'):
      self.service(1, **parameters)
      self.converge()
      self.assertStopped(self._ALL - {'data0'}, self._ALL)
    with self.subTest('and all up again, where they were'):
      self.service(3, **parameters)
      self.converge()
      self.assertStopped((), self._ALL)
      self.assertEqual(before, {
        title: instance.partition
        for title, instance in self.instances().items()})
      self.assertEqual(10, len(self.published()))

  def test_a_clone_that_was_never_deployed_is_stopped_too(self):
    self.service(3)
    self.build()
    self.service(2)
    self.converge()
    self.assertStopped(self._SECOND, self._ALL)

  def test_destroyed_is_asked_once_if_the_user_wants_it(self):
    self.service(3)
    self.converge()
    self.service(2, resilient_retired_clones='destroyed')
    output = self.converge()
    self.assertIn('clone data2 and its PBS', output)
    self.assertEqual({title: 'destroyed' if title in self._SECOND else 'started'
                      for title in self._ALL}, self.states())
    self.assertEqual({'known': [1], 'destroyed': [2]}, self.memory())
    self.report()
    for _ in range(2):
      self.converge()
      self.assertStopped((), self._ALL - self._SECOND)
    with self.subTest('its places are no mistake'):
      self.service(2, resilient_retired_clones='destroyed',
                   **{'-sla-2-computer_guid': 'local'})
      self.converge()
      self.assertStopped((), self._ALL - self._SECOND)
    with self.subTest('a new one is made when it is asked for again'):
      self.service(3, resilient_retired_clones='destroyed')
      self.converge()
      self.assertStopped((), self._ALL)
      self.assertEqual({'known': [1, 2], 'destroyed': []}, self.memory())

  def test_those_that_were_stopped_are_destroyed_later(self):
    self.service(3)
    self.converge()
    self.service(1)
    self.converge()
    self.service(1, resilient_retired_clones='destroyed')
    self.converge()
    self.report()
    self.converge()
    self.assertStopped((), {'data0'})

  def test_a_takeover_with_a_clone_that_is_stopped(self):
    self.service(3)
    self.converge()
    self.service(2)
    self.converge()
    old, winner = (self.instances()[title].partition
                   for title in ('data0', 'data1'))
    master = self.master()
    master.request('data0', 'frozen', {}, 'stopped')
    master.rename('local/' + old, 'broken-1')
    master.rename('local/' + winner, 'data0')
    self.converge()
    self.assertStopped({*self._SECOND, 'broken-1'}, self._ALL | {'broken-1'})
    now = self.instances()
    self.assertEqual((winner, old), (
      now['data0'].partition, now['broken-1'].partition))
    self.assertNotIn(now['data1'].partition, (winner, old))
    self.service(3)
    self.converge()
    self.assertStopped({'broken-1'}, self._ALL | {'broken-1'})

  def test_a_damaged_memory_is_an_error_and_nothing_is_lost(self):
    self.service(3)
    self.converge()
    (self.folder / 'srv/resilient/clones-data.json').write_text('{')
    self.service(2)
    self.assertIn('clones-data.json is damaged', self.build(1))
    self.assertStopped((), self._ALL)

  def test_the_master_is_down_when_they_are_to_be_destroyed(self):
    self.service(3)
    self.converge()
    self.service(2, url='http://127.0.0.1:1',
                 resilient_retired_clones='destroyed')
    self.build(1)
    self.assertEqual({'known': [1, 2], 'destroyed': []}, self.memory())


class TestNoAddress(unittest.TestCase):
  """A master that has no address for what is to be destroyed, as that of ERP5:
  slapos.slap makes of its answer an instance that is not ready."""

  def test_clone_and_pbs_are_destroyed_and_that_is_noted(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    memory = pathlib.Path(folder.name, 'srv/resilient/clones-data.json')
    memory.parent.mkdir(parents=True)
    memory.write_text('{"known": [1, 2], "destroyed": []}')
    buildout = {
      'buildout': {'directory': folder.name},
      'replicated-service-data': {
        'namebase': 'data', 'number': '2', 'import-type': 'import',
        'parameters': {'resilient-retired-clones': 'destroyed'}},
      'slap-connection': {
        'computer-id': 'local', 'partition-id': 'p0',
        'server-url': 'http://127.0.0.1:1', 'software-release-url': 's'}}
    with unittest.mock.patch.object(
        slapos.slap.ComputerPartition, 'request',
        return_value=slapos.slap.ComputerPartition(request_dict={})) as asked:
      for _ in range(2):
        root.retire(buildout, 'data')
    self.assertEqual(
      [('data2', 'destroyed'), ('PBS (data / 2)', 'destroyed')],
      [(call.kwargs['partition_reference'], call.kwargs['state'])
       for call in asked.call_args_list])
    self.assertEqual({'known': [1], 'destroyed': [2]},
                     json.loads(memory.read_text()))


if __name__ == '__main__':
  unittest.main()
