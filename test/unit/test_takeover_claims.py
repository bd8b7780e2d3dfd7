"""Claims that are left over from an earlier takeover, at a real slapproxy."""
import time

from resilient import leadership, succession, takeover
from resilient.master import Master, MasterError

from .test_takeover import TakeoverCase


class TestLeftOver(TakeoverCase):
  """The leader was brought back, and the root instance not yet processed: its
  parameters still say that clone data1 took over."""

  def setUp(self):
    super().setUp()
    self.take_over_from_exporter()
    self.freeze(self.leader)
    self.take_over(self.leader, bring_back=True)
    self.assertLeads(self.leader, self.clone)
    self.assertEqual(self.look(self.leader).parameters['successor'],
                     self.clone.configuration.address)

  def test_a_clone_can_take_over(self):
    self.take_over(self.other)
    self.assertLeads(self.other, self.leader)
    self.assertGreater(leadership.own_epoch(self.other.configuration),
                       leadership.own_epoch(self.leader.configuration))

  def test_who_made_the_claim_can_take_over_and_makes_a_new_one(self):
    self.freeze(self.clone)
    # The time tells its title from that of the takeover before.
    time.sleep(1)
    self.take_over(self.clone, bring_back=True)
    self.assertLeads(self.clone, self.leader)
    self.assertEqual(self.look(self.leader).parameters['epoch'], '6')
    self.proxy.root_pass()
    time.sleep(1)
    self.take_over(self.leader, bring_back=True)
    self.assertLeads(self.leader, self.clone)
    self.assertEqual(leadership.own_epoch(self.leader.configuration), 7)

  def test_a_claim_that_comes_meanwhile_is_that_of_another_one(self):
    master = Master(self.other.configuration)
    real = master.mark

    def mark(*arguments):
      master.mark = real
      self.take_over(self.third, force=True)
      real(*arguments)
    master.mark = mark
    self.third = self.member('import', 4)
    self.load(self.third)
    with self.assertRaisesRegex(takeover.TakeoverRefused, 'took over on'):
      self.take_over(self.other, master=master)
    self.assertLeads(self.third, self.leader)
    self.assertUntouched(self.other)


class TestParameter(TakeoverCase):
  """A parameter of the leader has the name of a claim, as it could be given by
  a root instance of an earlier release."""

  def test_it_prevents_no_takeover(self):
    self.load()
    self.proxy.request('data0', 'data-export', {
      'namebase': 'data', 'successor': 'Smith'})
    self.take_over()
    self.assertLeads(self.clone, self.leader)

  def test_what_is_no_address_is_not_looked_for(self):
    with self.assertRaisesRegex(MasterError, "'Smith' is no address"):
      Master(self.clone.configuration).look('Smith')
    self.proxy.request('data2', 'frozen', {'successor': 'Smith'})
    with self.assertRaises(MasterError):
      succession.head(Master(self.clone.configuration), 'COMP-1/slappart3',
                      'data0')
