"""A takeover that was interrupted and is run again much later, at a real
slapproxy."""
import pathlib
import time

from resilient import clone, importer, leadership, takeover
from resilient.status import problems
from resilient.takeover_journal import unfinished

from .test_takeover import TakeoverCase


class TestLater(TakeoverCase):
  """The old leader had the time to go on, for nobody had told it to stop."""

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


class TestPromoted(TakeoverCase):
  """The clone's service took writes, and its takeover was lost after that;
  another clone took over from it.  The node has not yet come."""

  def setUp(self):
    super().setUp()
    self.load()
    self.clone.configure(
      fencer=self.clone.program('fencer', 'touch "%s"\n' % (
        self.clone.at('srv/fenced'))))
    self.half_way(self.clone, 'bang')
    self.arrive()
    self.take_over(self.other, force=True)

  def test_run_again_it_says_who_leads_and_is_fenced_and_loads_nothing(self):
    for _ in range(2):
      with self.assertRaisesRegex(
          takeover.TakeoverRefused,
          r'this clone was replaced: data2 \(COMP-1/slappart3\) took over'):
        self.take_over()
    configuration = self.clone.configuration
    self.assertTrue(importer.task(configuration))
    self.assertTrue(pathlib.Path(self.clone.at('srv/fenced')).exists())
    self.assertEqual(clone.imported(configuration)[0].label, '3.7')
    found, = (item.text for item in problems(configuration)
              if item.topic == 'takeover')
    self.assertIn('this leader has been replaced: data2', found)
    self.assertLeads(self.other, self.clone)
    with self.subTest('frozen, it is brought back as any other'):
      self.freeze(self.clone)
      self.assertEqual(problems(self.clone.configuration), [])
      with self.assertRaisesRegex(
          takeover.TakeoverRefused, 'This instance is frozen'):
        self.take_over()
      # The time tells its title from that of the takeover before.
      time.sleep(1)
      self.take_over(bring_back=True)
      self.assertLeads(self.clone, self.other)
      self.assertGreater(leadership.own_epoch(configuration),
                         leadership.own_epoch(self.other.configuration))
