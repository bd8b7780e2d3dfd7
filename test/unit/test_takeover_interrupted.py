"""The takeover of a clone, at a real slapproxy: killed, without a master, or
beside another one."""
import os
import pathlib
import shutil
import threading
import time

import slapos.slap

from resilient import takeover
from resilient.durable import lock
from resilient.master import Master, MasterError
from resilient.takeover_journal import Journal, unfinished

from .support import killed_before
from .test_takeover import TakeoverCase

# A question to the master is on its way.
_SENT = ('http.client.send',)


class TestInterrupted(TakeoverCase):
  """Killed, without a master, or beside another one."""

  def test_killed_at_any_moment_the_rerun_ends_in_the_same_state(self):
    self.load()
    saved = self.proxy.save()
    shutil.copytree(self.clone.path, self.path('saved'),
                    ignore=shutil.ignore_patterns('*.wake'))
    for number in range(1, 300):
      shutil.rmtree(self.clone.path)
      shutil.copytree(self.path('saved'), self.clone.path)
      self.proxy.restore(saved)
      died = killed_before(number, self.take_over, also=_SENT)
      # The root is processed at just this moment; while nobody leads, it fails.
      try:
        self.proxy.root_pass()
      except slapos.slap.NotFoundError:
        self.assertEqual(self.proxy.titled('data0'), [])
      allocated = len(self.proxy.instances())
      self.take_over()
      self.assertTakenOver()
      self.proxy.root_pass()
      self.assertLeads(self.clone, self.leader)
      # A new data1, and no other: no empty leader was ever made.
      self.assertLessEqual(allocated, 5)
      self.assertEqual(len(self.proxy.instances()), 5)
      if not died:
        self.assertGreater(number, 30)
        return
    self.fail('it never completes')

  def test_a_master_that_is_down_changes_nothing_and_can_be_tried_again(self):
    self.load()
    self.proxy.stop()
    with self.assertRaises(MasterError):
      self.take_over()
    self.assertUntouched(self.clone)
    self.proxy.start()
    self.take_over()
    self.assertTakenOver()

  def test_a_master_that_goes_down_in_the_middle_is_asked_again(self):
    self.load()
    for method in ('request', 'rename', 'bang'):
      master = Master(self.clone.configuration)

      def fail(*_):
        raise MasterError('gone')
      setattr(master, method, fail)
      with self.assertRaisesRegex(MasterError, 'gone'):
        self.take_over(master=master)
      self.assertIn('run bin/takeover again',
                    unfinished(self.clone.configuration))
    self.take_over()
    self.assertTakenOver()

  def test_during_an_import_it_is_refused_and_waited_for_if_forced(self):
    self.load()
    with lock(self.clone.configuration.state('import.lock')):
      self.assertRefused('an import is running here', forcible=True)
      self.assertRefused('an import is running here', force=True)
    self.take_over()
    self.assertTakenOver()

  def test_twice_at_once_here_is_one(self):
    self.load()
    with lock(self.clone.configuration.state('takeover.lock')):
      with self.assertRaisesRegex(
          takeover.TakeoverRefused, 'a takeover is running here'):
        self.take_over()
    self.assertUntouched(self.clone)

  def test_two_clones_at_once_have_one_winner_and_the_loser_is_told(self):
    saved = self.proxy.save()
    for _ in range(10):
      self.proxy.restore(saved)
      for place in (self.clone, self.other):
        shutil.rmtree(place.at('srv/resilient'))
        os.makedirs(place.at('srv/resilient'))
        place.configure()
        pathlib.Path(place.at('srv/triggered')).unlink(missing_ok=True)
      self.load()
      answers = {}
      ready = threading.Barrier(2)

      def run(place):
        ready.wait()
        try:
          answers[place] = self.take_over(place)
        except (takeover.TakeoverRefused, MasterError) as error:
          answers[place] = error
      threads = [threading.Thread(target=run, args=(place,))
                 for place in (self.clone, self.other)]
      for thread in threads:
        thread.start()
      for thread in threads:
        thread.join()
      winner, = (place for place in answers
                 if isinstance(answers[place], str))
      loser, = (place for place in answers if place is not winner)
      self.assertTakenOver(winner)
      self.assertRegex(str(answers[loser]), 'took over|leads by now')
      self.assertUntouched(loser)
      self.assertEqual(self.look(loser).type, 'data-import')

  def assertFrozen(self, place):
    """`place` says that it is frozen, also where it began a takeover before,
    and what it would take to bring it back; nothing changes."""
    before = self.proxy.save()
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, 'This instance is frozen'):
      self.take_over(place)
    self.assertEqual(self.proxy.save(), before)

  def test_a_winner_that_was_lost_half_way_can_be_replaced(self):
    self.load()
    self.half_way(self.clone, 'rename')
    self.assertRefused(
      'did not complete it: run bin/takeover there', self.other, forcible=True)
    self.take_over(self.other, force=True)
    self.assertLeads(self.other, self.clone)
    # It comes back, and learns that it lost.
    before = self.proxy.save()
    with self.assertRaisesRegex(takeover.TakeoverRefused, 'was replaced'):
      self.take_over()
    self.assertEqual(self.proxy.save(), before)
    self.assertUntouched(self.clone)

  def test_a_rename_that_comes_too_late_is_taken_back(self):
    for lost in (False, True):
      with self.subTest(lost=lost):
        saved = self.proxy.save()
        self.load()
        master = Master(self.clone.configuration)
        rename, look = master.rename, master.look

        def late(address, title, *, _rename=rename, _lost=lost, _to=master):
          if title == 'data0':
            # It is on its way to the master for so long.
            self.take_over(self.other, force=True)
            if _lost:
              _to.look = self.lose
          _rename(address, title)
        master.rename = late
        with self.assertRaises(
            MasterError if lost else takeover.TakeoverRefused):
          self.take_over(master=master)
        master.look = look
        if lost:
          with self.assertRaisesRegex(
              takeover.TakeoverRefused, 'was replaced'):
            self.take_over()
        self.assertLeads(self.other, self.clone)
        self.assertUntouched(self.clone)
        self.proxy.restore(saved)
        for name in ('takeover.json', 'leadership.json'):
          os.unlink(self.other.configuration.state(name))

  @staticmethod
  def lose(*_):
    """The connection to the master is lost."""
    raise MasterError('gone')

  def lost_and_frozen(self, step):
    """The clone is lost before `step`; the other one takes over, and it comes
    back frozen."""
    self.load()
    self.half_way(self.clone, step)
    if step == 'bang':
      self.proxy.root_pass()
    self.take_over(self.other, force=True)
    self.freeze(self.clone)
    self.assertFrozen(self.clone)
    self.assertLeads(self.other, self.clone)
    # What it then is told to do, it does; its title tells the second.
    time.sleep(1)
    self.take_over(self.clone, bring_back=True)
    self.assertLeads(self.clone, self.other)

  def test_lost_before_it_led_and_frozen_it_does_not_go_on(self):
    self.lost_and_frozen('rename')

  def test_lost_when_it_led_and_frozen_it_does_not_go_on(self):
    self.lost_and_frozen('bang')

  def lost_while_brought_back(self, **known):
    """The old leader is lost while it is brought back; the other clone takes
    over, with a generation that is `known`."""
    self.load()
    self.take_over()
    self.proxy.root_pass()
    self.freeze(self.leader)
    self.half_way(self.leader, 'rename', bring_back=True)
    self.load(self.other, **known)
    self.assertRefused(
      r'\(COMP-1/slappart1\) took over on .* and did not complete it',
      self.other, forcible=True)
    self.assertIn('epoch 6', self.take_over(self.other, force=True))
    self.assertLeads(self.other, self.leader)
    # It comes back, and learns that it lost.
    self.assertFrozen(self.leader)
    self.assertLeads(self.other, self.leader)

  def test_a_journal_of_an_earlier_release_is_gone_on_with(self):
    self.load()
    self.take_over()
    self.proxy.root_pass()
    self.freeze(self.leader)
    self.half_way(self.leader, 'rename', bring_back=True)
    journal = Journal(self.leader.configuration)
    for name in ('claim', 'known'):
      del journal.record[name]
    journal.write()
    self.take_over(self.leader)
    self.assertLeads(self.leader, self.clone)

  def test_lost_while_it_is_brought_back_a_clone_of_it_can_lead(self):
    self.lost_while_brought_back()

  def test_lost_while_it_is_brought_back_one_of_its_successor_can_lead(self):
    self.lost_while_brought_back(
      leader='COMP-1/slappart2', epoch=4, sequence=8)
