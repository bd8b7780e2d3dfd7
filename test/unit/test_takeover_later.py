"""A takeover that was interrupted and is run again much later, at a real
slapproxy."""
from resilient import clone, importer, leadership, takeover
from resilient.takeover_journal import unfinished

from .support import sealed
from .test_takeover import TakeoverCase


class TestLater(TakeoverCase):
  """The old leader had the time to go on, for nobody had told it to stop."""

  def arrive(self):
    """Generation 3.300 of the leader arrives at the clone."""
    configuration = self.clone.configuration
    clone.accept(configuration, sealed(
      configuration.state('staging'), {'marker': 'newer'}, epoch=3,
      sequence=300, leader='COMP-1/slappart1'))

  def interrupt(self, step='mark', **keywords):
    """The clone's takeover is lost before `step`, and said to be unfinished."""
    self.load()
    self.half_way(self.clone, step, **keywords)
    self.assertIn('run bin/takeover', unfinished(self.clone.configuration))

  def assertBehind(self):
    """It is refused as if it had not been begun; then it loads what arrived,
    and takes over with that."""
    self.assertRefused('is 293 generations and .* behind', forcible=True)
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertIn('with generation 3.300', self.take_over())
    self.assertTakenOver()

  def test_while_the_leader_leads_on_all_is_checked_again(self):
    self.interrupt()
    self.arrive()
    # Who has begun to take over loads nothing.
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertEqual(
      clone.imported(self.clone.configuration)[0].label, '3.7')
    self.assertBehind()

  def test_so_it_is_where_its_address_is_not_known(self):
    self.load(leader='SOFTINST-1')
    self.half_way(self.clone, 'request')
    self.arrive()
    self.assertBehind()

  def test_a_leader_that_was_found_by_its_name_was_stopped(self):
    self.load(leader='SOFTINST-1')
    self.half_way(self.clone, 'mark')
    self.assertEqual(self.look(self.leader).type, 'frozen')
    self.arrive()
    self.assertIn('with generation 3.7', self.take_over())
    self.assertTakenOver()

  def test_who_insists_is_taken_over_with_what_was_loaded(self):
    self.interrupt()
    self.arrive()
    self.assertIn('with generation 3.7', self.take_over(force=True))
    self.assertTakenOver()

  def test_who_insisted_need_not_again_when_the_reason_is_gone(self):
    self.load()
    self.arrive()
    self.half_way(self.clone, 'mark', force=True)
    self.assertRefused('behind', forcible=True)
    self.assertTrue(importer.task(self.clone.configuration))
    self.take_over()
    self.assertTakenOver()

  def test_when_the_leader_was_stopped_it_only_goes_on(self):
    self.interrupt('request', force=True)
    self.assertTrue(leadership.task(self.leader.configuration))
    self.assertIn('replaced', leadership.replaced(self.leader.configuration))
    self.arrive()
    self.assertIn('with generation 3.7', self.take_over())
    self.assertTakenOver()

  def test_to_bring_a_leader_back_is_to_be_asked_for_again(self):
    self.leader.serve({'marker': 'old'})
    self.load()
    self.take_over()
    self.proxy.root_pass()
    self.freeze(self.leader)
    self.half_way(self.leader, 'mark', bring_back=True)
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, 'This instance is frozen'):
      self.take_over(self.leader)
    self.assertEqual(unfinished(self.leader.configuration), '')
    self.take_over(self.leader, bring_back=True)
    self.assertLeads(self.leader, self.clone)
