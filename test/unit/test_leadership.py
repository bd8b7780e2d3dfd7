"""An old leader finds out that it was replaced, and stops."""
import json
import pathlib
import unittest.mock

from resilient import (
  authentication,
  exporter,
  importer,
  leadership,
  peer_status,
  takeover,
)
from resilient.durable import read_json, write_json
from resilient.status import problems

from ..ports import free_port
from .partition import ROOT
from .proxy import FamilyCase
from .support import end, generation, wait_until
from .web_support import serve_status


class LeadershipCase(FamilyCase):
  """Task ``leadership`` of the leader."""

  def setUp(self):
    super().setUp()
    self.leader.serve({'marker': 'old'})
    self.leader.configure(
      fencer=self.leader.program('fencer', 'echo f >>"%s"\n' % (
        self.leader.at('srv/hooks'))),
      promoter=self.leader.program('promoter', 'echo p >>"%s"\n' % (
        self.leader.at('srv/hooks'))))
    self.load()

  @property
  def configuration(self):
    """Of the leader."""
    return self.leader.configuration

  def run_task(self):
    """Run the task; return the problems that it leaves."""
    self.assertTrue(leadership.task(self.configuration))
    return [item.text for item in problems(self.configuration)
            if item.topic == 'leadership']

  def hooks(self):
    """Return which hooks ran."""
    path = pathlib.Path(self.leader.at('srv/hooks'))
    return path.read_text('ascii').split() if path.exists() else []

  def serve_pbs(self, epoch, secret=None):
    """Let a PBS have an archive of `epoch`; by default it is of this tree."""
    url = serve_status(self, {'archives': {'data': {
      'generation': generation(1, epoch=epoch).to_json(), 'leader': None}}},
      secret or self.leader.options['secret-file'])
    self.leader.configure(notify='http://[::1]:1/notify %snotify' % url)

  def assertStopped(self, why):
    """It is red, fenced, and refuses to export, each for the reason `why`."""
    found, = self.run_task()
    self.assertRegex(found, 'this leader has been replaced: .*' + why)
    self.assertEqual(self.hooks(), ['f'])
    self.assertEqual(exporter.main(self.configuration), 1)
    self.assertRegex(
      self.configuration.store.last_run('export').message, why)
    # Once is enough.
    self.run_task()
    self.assertEqual(self.hooks(), ['f'])


class TestLeadership(LeadershipCase):
  """It learns it, and acts on it."""

  def test_while_it_leads_nothing_happens(self):
    self.serve_pbs(1)
    self.assertEqual(self.run_task(), [])
    self.assertEqual(exporter.main(self.configuration), 0)
    self.assertEqual(self.hooks(), [])
    self.assertEqual(self.configuration.store.runs('leadership'), [])

  def test_it_learns_it_from_the_master(self):
    takeover.takeover(self.clone.configuration)
    self.assertStopped(r'data1 \(COMP-1/slappart2\) took over on')

  def tell(self, serialised):
    """Return what the takeover says when it can tell the old leader, whose
    values are published in the form that `serialised` makes of them."""
    port = free_port()
    self.leader.configure(**{'notifier-port': port, 'check-interval': 3600})
    url = 'http://[::1]:%d/' % port
    self.publish(serialised({'notification-url': url + 'notify'}))
    services = [self.start([
      *self.leader.command(service), '--log',
      self.leader.at('var/log/%s.log' % service)], cwd=ROOT)
      for service in ('equeue', 'notifier')]
    status = wait_until(lambda: peer_status.ask(self.configuration, url),
                        'the leader answers', 30)
    self.assertFalse(status['leadership']['stopped'])
    # Should it look for the first time in the midst of the takeover, it would
    # stop then, and again as soon as it knows the epoch.
    log = pathlib.Path(self.leader.at('var/log/equeue.log'))
    wait_until(lambda: log.exists() and 'leadership finished' in (
      log.read_text('utf-8')), 'its queue has looked', 30)
    said = takeover.takeover(self.clone.configuration)[0]
    # From here on the test alone looks.
    for process in services:
      end(process)
    return said

  def assertTold(self, serialised):
    """It is told, and the takeover says that it has stopped."""
    said = self.tell(serialised)
    self.assertIn('The old leader takes no more writes.', said)
    self.assertEqual(self.hooks(), ['f'])

  def test_the_takeover_tells_it_and_says_that_it_has_stopped(self):
    self.assertTold(dict)

  def test_also_in_a_release_whose_values_are_json(self):
    self.assertTold(lambda values: {'_': json.dumps(values)})

  def test_without_a_fencer_nobody_says_that_it_has_stopped(self):
    self.leader.configure(fencer='')
    said = self.tell(dict)
    self.assertIn('The old leader did not confirm that it stopped', said)
    found, = self.run_task()
    self.assertIn('this leader has been replaced: ', found)
    self.assertFalse(leadership.stopped(self.configuration))
    # One that its release has later runs.
    self.leader.configure(fencer=self.leader.at('bin/fencer'))
    self.run_task()
    self.assertEqual(self.hooks(), ['f'])
    self.assertTrue(leadership.stopped(self.configuration))

  def test_cut_from_the_master_it_learns_it_from_a_pbs(self):
    self.proxy.stop()
    self.serve_pbs(4)
    self.assertStopped('has backups of epoch 4, and this is 1')

  def test_it_does_not_believe_who_is_not_of_the_tree(self):
    self.proxy.stop()
    other = self.path('other-secret')
    authentication.ensure_secret(other, 'the secret of another tree')
    token = authentication.token(self.leader.options['secret-file'], 'status')
    with unittest.mock.patch.object(
        authentication, 'token', lambda *_: token):
      self.serve_pbs(4, other)
      self.assertEqual(self.run_task(), [])
    self.assertEqual(self.hooks(), [])

  def test_cut_from_all_it_goes_on_and_is_not_fooled(self):
    self.proxy.stop()
    self.serve_pbs(1)
    self.assertEqual(self.run_task(), [])
    self.assertEqual(exporter.main(self.configuration), 0)

  def test_what_it_knows_it_does_not_forget_without_the_master(self):
    takeover.takeover(self.clone.configuration)
    self.assertEqual(len(self.run_task()), 1)
    self.proxy.stop()
    self.assertEqual(len(self.run_task()), 1)
    self.assertEqual(self.hooks(), ['f'])

  def test_a_fencer_that_fails_is_red_and_tried_again(self):
    takeover.takeover(self.clone.configuration)
    self.leader.configure(fencer=self.leader.program('bad', 'exit 3\n'))
    self.assertFalse(leadership.task(self.configuration))
    texts = ' '.join(item.text for item in problems(self.configuration))
    self.assertRegex(texts, 'bad failed with status 3')
    self.assertEqual(exporter.main(self.configuration), 1)
    self.leader.configure(fencer=self.leader.at('bin/fencer'))
    self.run_task()
    self.assertEqual(self.hooks(), ['f'])

  def test_when_its_node_restarts_it_is_fenced_again(self):
    takeover.takeover(self.clone.configuration)
    self.assertStopped('took over')
    self.proxy.stop()
    self.start([*self.leader.command('equeue'), '--log',
                self.leader.at('var/log/equeue.log')], cwd=ROOT)
    wait_until(lambda: self.hooks() == ['f', 'f']
               and leadership.stopped(self.configuration),
               'the fencer runs again', 30)
    self.run_task()
    self.assertEqual(self.hooks(), ['f', 'f'])

  def test_damage_keeps_it_from_no_fencer_after_a_restart(self):
    takeover.takeover(self.clone.configuration)
    self.assertStopped('took over')
    self.proxy.stop()
    leadership.start(self.configuration)
    path = self.configuration.state('leadership.json')
    with open(path, 'w', encoding='ascii') as target:
      target.write('{')
    self.assertFalse(leadership.task(self.configuration))
    self.assertEqual(self.hooks(), ['f', 'f'])

  def test_brought_back_it_serves_and_exports_again(self):
    takeover.takeover(self.clone.configuration)
    self.assertStopped('took over')
    self.leader.configure(role='frozen')
    takeover.takeover(self.configuration, bring_back=True)
    self.leader.configure(role='export')
    self.proxy.root_pass()
    self.assertEqual(self.run_task(), [])
    self.assertEqual(self.hooks()[:2], ['f', 'p'])
    self.assertIsNone(read_json(self.configuration.state('replaced.json')))
    self.assertEqual(exporter.main(self.configuration), 0)

  def test_a_takeover_that_never_came_to_its_end_is_undone(self):
    # The claim was made, and the root wrote its own parameters over it.
    saved = self.proxy.save()
    self.proxy.request('data0', 'frozen', {
      'successor': 'COMP-1/slappart2'})
    self.assertEqual(len(self.run_task()), 1)
    self.proxy.restore(saved)
    self.assertEqual(self.run_task(), [])
    self.assertEqual(self.hooks(), ['f', 'p'])

  def test_a_winner_that_is_replaced_before_the_node_came_stops_too(self):
    self.clone.configure(fencer=self.clone.program('fencer', 'touch "%s"\n' % (
      self.clone.at('srv/fenced'))))
    configuration = self.clone.configuration
    takeover.takeover(configuration)
    self.assertTrue(importer.task(configuration))
    self.assertEqual([item for item in problems(configuration)
                      if item.topic == 'takeover'], [])
    takeover.takeover(self.other.configuration, force=True)
    self.assertTrue(importer.task(configuration))
    self.assertIn('slappart3', ' '.join(
      item.text for item in problems(configuration)))
    self.assertTrue(pathlib.Path(self.clone.at('srv/fenced')).exists())

  def test_a_new_leader_is_not_replaced_by_what_it_replaced(self):
    self.serve_pbs(3)
    write_json(self.configuration.state('leadership.json'), {'epoch': 4})
    self.assertEqual(self.run_task(), [])
