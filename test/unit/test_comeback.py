"""A frozen leader is brought back, at a real slapproxy."""
import pathlib

from resilient import exporter, leadership, takeover
from resilient.durable import read_json, write_json
from resilient.generation import is_newer
from resilient.master import Master, MasterError

from .proxy import FamilyCase
from .support import killed_before


class TestComeback(FamilyCase):
  """bin/takeover of the old leader, after clone data1 took over."""

  def setUp(self):
    super().setUp()
    self.leader.serve({'marker': 'old'})
    write_json(self.leader.configuration.state('leadership.json'), {'epoch': 3})
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.sealed = exporter.sealed_dump(self.leader.configuration)[0]
    self.load()
    takeover.takeover(self.clone.configuration)
    self.proxy.root_pass()
    self.assertLeads(self.clone, self.leader)
    self.leader.configure(role='frozen', **{'ip': '', 'notifier-port': ''})

  def come_back(self, **keywords):
    """Run it."""
    return takeover.takeover(self.leader.configuration, **keywords)[0]

  def test_it_says_first_what_would_be_replaced_and_does_nothing(self):
    before = self.proxy.save()
    for keywords in ({}, {'force': True}):
      with self.assertRaises(takeover.TakeoverRefused) as caught:
        self.come_back(**keywords)
      text = str(caught.exception)
      for part in (
          'data0 (COMP-1/slappart2) leads', 'took over on',
          'epoch 4', 'last backup: generation 3.1',
          'no longer served', 'bin/takeover --bring-back'):
        self.assertIn(part, text)
    self.assertEqual(self.proxy.save(), before)
    self.assertIsNone(read_json(self.leader.configuration.state(
      'takeover.json')))

  def test_it_leads_again_and_its_generations_are_the_newest(self):
    self.assertIn('is now data0, with generation 3.1', self.come_back(
      bring_back=True))
    self.assertLeads(self.leader, self.clone)
    self.proxy.root_pass()
    self.assertLeads(self.leader, self.clone)
    self.leader.configure(role='export', **{'ip': '::1', 'notifier-port': 1})
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    found, _, _ = exporter.sealed_dump(self.leader.configuration)
    self.assertEqual(found.order, (5, 2))
    # What the successor may have sealed meanwhile.
    self.assertTrue(is_newer(found, self.sealed._replace(
      epoch=4, sequence=1000)))

  def test_with_a_damaged_seal_the_manifest_in_its_dump_is_believed(self):
    path = pathlib.Path(self.leader.configuration.state('sealed.json'))
    for damage in (b'', b'{"epoch": 3}', b'7'):
      with self.subTest(damage):
        path.write_bytes(damage)
        with self.assertRaisesRegex(
            takeover.TakeoverRefused, 'last backup: generation 3.1'):
          self.come_back()
    self.assertIn('is now data0, with generation 3.1', self.come_back(
      bring_back=True))
    self.assertLeads(self.leader, self.clone)

  def test_run_again_it_says_that_it_leads(self):
    self.come_back(bring_back=True)
    before = self.proxy.save()
    self.assertIn('leads already', self.come_back())
    self.assertEqual(self.proxy.save(), before)

  def test_killed_at_any_moment_the_rerun_completes(self):
    saved = self.proxy.save()
    places = [pathlib.Path(self.leader.configuration.state(name))
              for name in ('takeover.json', 'leadership.json')]
    before = [place.exists() and place.read_bytes() for place in places]
    for number in range(1, 200):
      self.proxy.restore(saved)
      for place, content in zip(places, before):
        place.unlink(missing_ok=True)
        if content:
          place.write_bytes(content)
      died = killed_before(number, lambda: self.come_back(bring_back=True),
                           also=('http.client.send',))
      self.come_back(bring_back=True)
      self.assertLeads(self.leader, self.clone)
      self.assertEqual(leadership.own_epoch(self.leader.configuration), 5)
      if not died:
        self.assertGreater(number, 15)
        return
    self.fail('it never completes')

  def test_without_the_facts_the_leader_is_found_by_its_name(self):
    Master(self.clone.configuration).request(
      self.look(self.leader).title, 'frozen', {}, 'stopped')
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, 'Who leads now is not known here'):
      self.come_back()
    self.come_back(bring_back=True)
    self.assertLeads(self.leader, self.clone)
    self.assertGreater(leadership.own_epoch(self.leader.configuration),
                       leadership.own_epoch(self.clone.configuration))

  def test_without_a_master_nothing_changes(self):
    self.proxy.stop()
    with self.assertRaises(MasterError):
      self.come_back(bring_back=True)
    self.assertIsNone(read_json(self.leader.configuration.state(
      'takeover.json')))
