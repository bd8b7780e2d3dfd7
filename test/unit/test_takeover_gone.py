"""A takeover where the SlapOS master does not know the leader any more."""
import shutil
import time

from resilient import leadership, takeover
from resilient.master import Master, NoInstance
from resilient.takeover_journal import unfinished

from .test_takeover import TakeoverCase

_UNKNOWN = r'master does not know the leader \(COMP-1/slappart1\) any more'


class TestGone(TakeoverCase):
  """Its instance was destroyed, or its computer is gone."""

  def assertForced(self):
    """Who does not insist is refused; who does leads, and nobody else."""
    self.assertRefused(_UNKNOWN, forcible=True)
    self.take_over(force=True)
    self.assertAlone()

  def assertAlone(self):
    """The clone leads, also when the root has been processed."""
    self.proxy.root_pass()
    self.assertEqual(self.proxy.titled('data0'), ['slappart2'])
    self.assertEqual(self.proxy.instances()['slappart2'][1], 'data-export')
    self.assertEqual(unfinished(self.clone.configuration), '')

  def test_whose_instance_was_destroyed(self):
    self.load()
    self.proxy.free('slappart1')
    self.assertForced()

  def test_whose_computer_is_gone(self):
    self.load()
    self.proxy.free('slappart1')
    master = self.master_that_raises(NoInstance('no such computer'))
    self.assertRefused(_UNKNOWN, forcible=True, master=master)
    self.take_over(force=True, master=master)
    self.assertAlone()

  def test_whose_partition_has_another_instance_of_the_tree(self):
    self.load()
    self.proxy.free('slappart1')
    self.proxy.request('PBS (data / 2)', 'pull-backup', {'namebase': 'data'})
    pbs = self.proxy.instances()['slappart1']
    self.assertEqual(pbs[0], 'PBS (data / 2)')
    self.assertForced()
    self.assertEqual(self.proxy.instances()['slappart1'], pbs)

  def test_who_is_not_known_for_a_moment_is_replaced_all_the_same(self):
    self.load()
    master, answers = Master(self.clone.configuration), []
    real = master.look

    def look(address):
      found = real(address)
      if address == 'COMP-1/slappart1' and not answers:
        answers.append(found)
        return found._replace(title='', type='')
      return found
    master.look = look
    self.take_over(master=master)
    self.assertTrue(answers)
    self.assertTakenOver()

  def test_who_is_gone_when_an_interrupted_takeover_is_run_again(self):
    self.load()
    self.half_way(self.clone, 'request')
    self.proxy.free('slappart1')
    self.assertForced()

  def test_interrupted_it_is_run_again(self):
    self.load()
    self.proxy.free('slappart1')
    self.half_way(self.clone, 'rename', force=True)
    # Another clone may have come to lead: nothing is known to be ours.
    self.assertRefused(_UNKNOWN, forcible=True)
    self.half_way(self.clone, 'bang', force=True)
    self.assertEqual(self.proxy.titled('data0'), ['slappart2'])
    self.take_over()
    self.assertAlone()

  def test_one_that_leads_meanwhile_is_replaced(self):
    self.load()
    self.take_over(self.clone)
    self.proxy.root_pass()
    self.proxy.free('slappart1')
    self.take_over(self.other, force=True)
    self.assertLeads(self.other, self.clone)


class TestSuccessorGone(TakeoverCase):
  """The leader was replaced by data1, and that by data2; then data1 was
  destroyed, and a new clone got its partition."""

  def setUp(self):
    super().setUp()
    self.take_over_from_exporter()
    self.load(self.other, leader='COMP-1/slappart2', epoch=4, sequence=8)
    # The time tells its title from that of the takeover before.
    time.sleep(1)
    self.take_over(self.other)
    self.proxy.root_pass()
    self.proxy.free('slappart2')
    self.proxy.request('data3', 'data-import', {'namebase': 'data'})
    self.new = self.proxy.instances()['slappart2']
    self.assertEqual(self.new[0], 'data3')
    self.freeze(self.leader)

  def assertLater(self, winner):
    """`winner` leads in a later epoch than any other one, though nobody could
    tell it of that of data2."""
    self.assertGreater(leadership.own_epoch(winner.configuration),
                       leadership.own_epoch(self.other.configuration))

  def test_who_is_brought_back_takes_over_from_who_leads(self):
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, r'does not know its successor'
        r' \(COMP-1/slappart2\) any more'):
      self.take_over(self.leader)
    self.take_over(self.leader, bring_back=True)
    self.assertLeads(self.leader, self.other)
    self.assertLater(self.leader)
    self.assertEqual(self.proxy.instances()['slappart2'], self.new)

  def test_who_is_brought_back_where_nobody_leads_leads(self):
    self.proxy.free('slappart3')
    self.take_over(self.leader, bring_back=True)
    self.assertEqual(self.proxy.titled('data0'), ['slappart1'])
    self.assertLater(self.leader)
    self.assertEqual(self.proxy.instances()['slappart2'], self.new)

  def test_a_clone_in_its_partition_takes_over_from_who_leads(self):
    shutil.rmtree(self.clone.path)
    clone = self.member('import', 2)
    self.load(clone, leader='COMP-1/slappart2', epoch=4, sequence=8)
    self.assertRefused(
      r'does not know the leader \(COMP-1/slappart2\) any more', clone,
      forcible=True)
    self.take_over(clone, force=True)
    self.assertLeads(clone, self.other)
    self.assertLater(clone)

  def test_a_clone_of_it_takes_over_from_who_leads(self):
    clone = self.member('import', 4)
    self.load(clone)
    self.assertRefused(
      r'does not know the leader \(COMP-1/slappart2\) any more', clone,
      forcible=True)
    self.take_over(clone, force=True)
    self.assertLeads(clone, self.other)
    self.assertLater(clone)
    self.assertEqual(self.proxy.instances()['slappart2'], self.new)
