"""A root instance of a master that does not do all that it is asked: nothing is
lost by it, and it converges when it can."""
import pathlib
import unittest

from .master import MasterTestCase


class TestNotAllocated(MasterTestCase):
  """A second PBS has no place."""

  _NOWHERE = {'-sla-pbs2-computer_guid': 'elsewhere'}
  _FIRST = {'data0': 'started', 'data1': 'started', 'PBS (data / 1)': 'started'}

  def setUp(self):
    super().setUp()
    self.service(3, **self._NOWHERE)
    self.output = self.build()

  def test_it_is_said_and_the_others_get_all_that_they_need(self):
    self.assertIn('PBS (data / 2) is not allocated yet', self.output)
    self.publish()
    self.build()
    for title in ('data0', 'data1'):
      self.assertEqual('ssh-key of PBS (data / 1)',
                       self.parameters(title)['authorized-key'].strip())

  def test_the_secret_stays_what_it_is(self):
    secrets = set()
    for _ in range(3):
      secrets |= {self.parameters(title)['resilient-secret']
                  for title in self._FIRST}
      self.build()
    self.assertEqual(1, len(secrets))
    file = pathlib.Path(self.folder, '.resilient-secret-data')
    self.assertEqual(0o600, file.stat().st_mode & 0o777)
    self.service(2)
    self.converge()
    self.assertIn(self.parameters('data0')['resilient-secret'], secrets)

  def test_a_takeover_meanwhile_makes_no_empty_leader(self):
    self.publish()
    self.build()
    before = self.instances().keys()
    winner, old = (self.instances()[title].partition
                   for title in ('data1', 'data0'))
    master = self.master()
    master.request('data0', 'frozen', {}, 'stopped')
    master.rename('local/' + old, 'broken-1')
    output = self.build()
    self.assertIn('data0', output)
    self.assertEqual(before - {'data0'} | {'broken-1'}, self.instances().keys())
    master.rename('local/' + winner, 'data0')
    self.build()
    self.assertEqual(winner, self.instances()['data0'].partition)

  def test_it_can_be_given_up(self):
    for parameters in (self._NOWHERE, {}):
      with self.subTest(parameters):
        self.service(2, **parameters)
        self.converge()
        self.assertEqual(
          self._FIRST, {title: state for title, state in self.states().items()
                        if title != 'data2'})
        self.assertNotIn('PBS (data / 2)', self.states())


class TestNotFound(MasterTestCase):
  """A tree that converged, and a master that does not find all of it."""

  def setUp(self):
    super().setUp()
    self.service(3)
    self.converge()
    self.told = self.all_told()

  def all_told(self):
    """Return {title: parameters} of all instances, and what each PBS is told of
    each of its peers."""
    shared = {
      title: sorted(map(str, self.slap.registerComputerPartition(
        'local', instance.partition).getInstanceParameterDict()[
          'slave_instance_list']))
      for title, instance in self.instances().items() if 'PBS' in title}
    return shared, {
      title: self.parameters(title) for title in self.states()}

  def test_a_leader_that_is_not_found_blanks_nothing(self):
    master = self.master()
    where = 'local/' + self.instances()['data0'].partition
    master.rename(where, 'broken-1')
    self.assertIn('data0 is not found', self.build())
    master.rename(where, 'data0')
    self.assertEqual(self.told, self.all_told())
    self.converge()
    self.assertEqual(self.told, self.all_told())

  def test_a_pbs_that_is_not_found_blanks_nothing(self):
    title = 'PBS (data / 1)'
    where = 'local/' + self.instances()[title].partition
    self.service(3, **{'-sla-pbs1-computer_guid': 'elsewhere'})
    master = self.master()
    master.rename(where, 'away')
    self.assertIn(title + ' is not found', self.build())
    master.rename(where, title)
    self.assertEqual(self.told, self.all_told())
    self.converge()
    self.assertEqual(self.told, self.all_told())

  def test_a_pbs_that_is_lost_does_not_keep_a_new_leader_from_its_role(self):
    self.service(3, **{'-sla-pbs1-computer_guid': 'elsewhere'})
    master = self.master()
    old, winner, pbs = ('local/' + self.instances()[title].partition
                        for title in ('data0', 'data2', 'PBS (data / 1)'))
    master.rename(pbs, 'lost')
    master.request('data0', 'frozen', {}, 'stopped')
    master.rename(old, 'broken-1')
    master.rename(winner, 'data0')
    for _ in range(3):
      self.assertIn('PBS (data / 1) is not found', self.build())
      self.publish()
    now = self.instances()
    self.assertEqual('export', now['data0'].type)
    self.assertIn('data2', now)

  def test_a_leader_that_is_not_found_hinders_no_other_service(self):
    def ask(number):
      self.root_profile(
        '{%- for name in ("alpha", "beta") %}'
        '{{ replicated.replicate(name, number, "export", "import") }}\n'
        '{%- endfor %}', '{{ parts.replicate("alpha", number) }}'
        '{{ parts.replicate("beta", number) }}', number=number)

    ask(2)
    self.converge()
    master = self.master()
    master.rename('local/' + self.instances()['alpha0'].partition, 'away')
    ask(3)
    self.build()
    self.assertIn('beta2', self.instances())

  def test_a_retired_clone_that_is_gone_hinders_nothing(self):
    master = self.master()
    for title in ('data2', 'PBS (data / 2)'):
      master.rename('local/' + self.instances()[title].partition,
                    'gone ' + title[-2])
    self.service(2)
    self.converge()
    self.assertNotIn('data2', self.states())


if __name__ == '__main__':
  unittest.main()
