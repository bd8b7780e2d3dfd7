"""The takeover of a clone, at a real slapproxy: refused, done, and repeated."""
import pathlib

from resilient import clone, exporter, importer, takeover
from resilient.durable import read_json, write_json
from resilient.master import Master, MasterError
from resilient.takeover_journal import unfinished

from .proxy import FamilyCase
from .support import generation, sealed, wait_until
from .web_support import serve_bytes, serve_status


class TakeoverCase(FamilyCase):
  """Words for all of them."""

  def take_over(self, place=None, **keywords):
    """Run the takeover of `place`, or of clone data1."""
    return takeover.takeover(
      (place or self.clone).configuration, **keywords)[0]

  def assertRefused(self, text, place=None, forcible=None, **keywords):
    """The takeover is refused, as `text` says, and nothing changed."""
    before = self.proxy.save()
    with self.assertRaisesRegex(takeover.TakeoverRefused, text) as caught:
      self.take_over(place, **keywords)
    if forcible is not None:
      self.assertEqual(caught.exception.forcible, forcible)
    self.assertEqual(self.proxy.save(), before)
    self.assertUntouched(place or self.clone)

  def assertUntouched(self, place):
    """`place` is a clone that imports, as ever."""
    self.assertFalse(importer.taken_over(place.configuration))
    for name in ('takeover.json', 'leadership.json'):
      self.assertIsNone(read_json(place.configuration.state(name)))

  def assertTakenOver(self, winner=None, epoch=4):
    """`winner` leads for the master, and for itself."""
    winner = winner or self.clone
    self.assertLeads(winner, self.leader)
    self.assertNotEqual(self.look(winner).type, 'frozen')
    self.assertEqual(read_json(
      winner.configuration.state('leadership.json'))['epoch'], epoch)
    self.assertTrue(importer.taken_over(winner.configuration))
    self.assertEqual(unfinished(winner.configuration), '')

  def half_way(self, place, step, **keywords):
    """The takeover of `place` is lost before `step`, a method of Master; a
    rename is that of itself."""
    master = Master(place.configuration)
    real = getattr(master, step)

    def fail(*arguments):
      if step != 'rename' or arguments[1] == 'data0':
        raise MasterError('gone')
      return real(*arguments)
    setattr(master, step, fail)
    with self.assertRaises(MasterError):
      self.take_over(place, master=master, **keywords)

  def arrive(self):
    """Generation 3.300 of the leader arrives at the clone."""
    configuration = self.clone.configuration
    clone.accept(configuration, sealed(
      configuration.state('staging'), {'marker': 'newer'}, epoch=3,
      sequence=300, leader='COMP-1/slappart1'))

  def take_over_from_exporter(self):
    """Clone data1 takes over from a leader that exported in epoch 3."""
    self.leader.serve({'marker': 'old'})
    write_json(self.leader.configuration.state('leadership.json'), {'epoch': 3})
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.load()
    self.take_over()
    self.proxy.root_pass()

  def master_that_raises(self, error):
    """Return a Master of clone data1 that raises `error` when it is asked for
    the leader."""
    master = Master(self.clone.configuration)
    real = master.look

    def look(address):
      if address == self.leader.configuration.address:
        raise error
      return real(address)
    master.look = look
    return master

  def freeze(self, place):
    """The node has given `place` its new role."""
    place.configure(role='frozen', **{'ip': '', 'notifier-port': ''})


class TestTakeover(TakeoverCase):
  """takeover.takeover on clone data1."""

  def test_before_the_first_import_it_is_refused_and_changes_nothing(self):
    for force in (False, True):
      self.assertRefused('No backup downloaded yet', forcible=False,
                         force=force)

  def test_what_was_never_loaded_is_refused_with_the_reason(self):
    configuration = self.clone.configuration
    write_json(configuration.state('verified.json'), {
      'generation': generation(9).to_json(), 'at': 1e9})
    configuration.store.record('import', 1e9, 1.0, False, '1.9', 'disk full')
    self.assertRefused('1.9 is here, verified, but was never loaded: disk full',
                       force=True, forcible=False)

  def test_the_clone_leads_and_the_old_leader_is_frozen(self):
    self.load()
    said = self.take_over()
    self.assertIn(
      'data1 is now data0, with generation 3.7 of the data and epoch 4.', said)
    self.assertIn('The old leader did not confirm that it stopped', said)
    self.assertTakenOver()
    told = self.look(self.leader).parameters
    self.assertEqual(
      (told['successor-title'], told['generation'], told['epoch']),
      ('data1', '3.7', '4'))
    self.assertRegex(told['date'], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$')

  def test_run_twice_it_changes_nothing_more(self):
    self.load()
    self.take_over()
    before = self.proxy.save()
    self.assertIn('leads already', self.take_over())
    self.assertEqual(self.proxy.save(), before)
    self.assertTakenOver()

  def test_the_root_gives_it_its_role_and_requests_a_new_clone(self):
    self.load()
    self.take_over()
    self.proxy.root_pass()
    self.assertTakenOver()
    instances = self.proxy.instances()
    self.assertEqual(instances['slappart2'],
                     ('data0', 'data-export', 'started'))
    self.assertEqual(instances['slappart4'],
                     ('data1', 'data-import', 'started'))

  def test_a_leader_whose_address_is_not_known_is_found_by_its_name(self):
    self.load(leader='SOFTINST-1')
    self.take_over()
    self.assertTakenOver()

  def test_where_nobody_leads_none_is_made(self):
    self.load(leader='SOFTINST-1')
    Master(self.leader.configuration).rename('COMP-1/slappart1', 'away')
    count = len(self.proxy.instances())
    with self.assertRaises(MasterError):
      self.take_over()
    self.assertEqual(len(self.proxy.instances()), count)

  def test_what_the_new_leader_seals_is_newer_than_all_of_the_old_one(self):
    self.load()
    self.take_over()
    # The same partition, with the profile of a leader.
    self.clone.configure(role='export')
    self.clone.serve({'marker': 'new'})
    self.assertEqual(exporter.main(self.clone.configuration), 0)
    sealed_now, _, _ = exporter.sealed_dump(self.clone.configuration)
    self.assertEqual((sealed_now.epoch, sealed_now.sequence), (4, 8))
    self.assertEqual(sealed_now.leader, 'COMP-1/slappart2')

  def test_it_is_of_a_later_epoch_than_any_that_its_pbs_knows(self):
    self.load()
    self.clone.configure(**{'on-notification': serve_status(
      self, {'archives': {'data': {'generation': generation(
        1, epoch=6).to_json()}}}, self.clone.options['secret-file'])})
    self.assertRefused('and a change of leader, behind', forcible=True)
    self.assertIn('epoch 7', self.take_over(force=True))
    self.assertTakenOver(epoch=7)

  def test_who_does_not_speak_http_is_one_who_does_not_answer(self):
    self.load()
    url = serve_bytes(self, b'SSH-2.0-OpenSSH_9.2\r\n')
    self.clone.configure(**{'on-notification': url + 'get/x/push-data'})
    self.publish({
      'notification-url': url + 'notify', 'notification-id': url + 'get/x'})
    self.assertIn('did not confirm that it stopped', self.take_over())
    self.assertTakenOver()

  def test_who_never_comes_to_an_end_stops_no_takeover(self):
    self.load()
    self.clone.configure(**{'on-notification': serve_bytes(
      self, b'HTTP/1.1 200 OK\r\n\r\n', b'x') + 'get/x/push-data'})
    url = serve_bytes(self, b'HTTP/1.1 200 OK\r\n', b'X: y\r\n')
    self.publish({
      'notification-url': url + 'notify', 'notification-id': url + 'get/x'})
    done = []
    with self.thread(lambda: done.append(self.take_over())):
      wait_until(lambda: done, 'the takeover is done', 60)
    self.assertTakenOver()

  def test_a_master_that_answers_nonsense_is_one_that_cannot_be_reached(self):
    self.load()
    for body in (b'<html><body>maintenance</body></html>', b'', b'\x00'):
      with self.subTest(body):
        self.clone.configure(**{'server-url': serve_bytes(
          self, b'HTTP/1.0 200 OK\r\n\r\n' + body)})
        with self.assertRaisesRegex(MasterError, 'did not do what it was'):
          self.take_over(force=True)
        self.assertUntouched(self.clone)

  def test_the_next_takeover_is_of_a_later_epoch_also_before_any_export(self):
    self.load()
    self.take_over()
    self.assertRefused(
      r'is of COMP-1/slappart1, which was replaced: data1 \(COMP-1/slappart2\)'
      ' took over on .*, with generation 3.7 and epoch 4', self.other,
      forcible=True)
    self.assertIn('epoch 5', self.take_over(self.other, force=True))
    self.assertLeads(self.other, self.clone)


class TestPromotion(TakeoverCase):
  """The payload's promoter."""

  def test_it_runs_before_the_slow_passes_and_a_failure_is_retried(self):
    self.load()
    self.clone.configure(promoter=self.clone.program('promoter', (
      'test -e "%s" && exit 0\necho not now; exit 1\n'
      % self.clone.at('srv/good'))))
    answer, problem = takeover.takeover(self.clone.configuration)
    self.assertIn('data1 is now data0', answer)
    self.assertRegex(problem, 'promoter failed: .*not now')
    self.assertLeads(self.clone, self.leader)
    self.assertIn('(left: promoted)', unfinished(self.clone.configuration))
    pathlib.Path(self.clone.at('srv/good')).touch()
    self.assertEqual(takeover.takeover(self.clone.configuration)[1], '')
    self.assertTakenOver()

  def test_imports_stop_with_the_takeover(self):
    self.load()
    self.take_over()
    identity = sealed(self.clone.configuration.state('staging'),
                      {'marker': 'late'}, epoch=3, sequence=8)
    clone.accept(self.clone.configuration, identity)
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertEqual(
      clone.imported(self.clone.configuration)[0].label, '3.7')
