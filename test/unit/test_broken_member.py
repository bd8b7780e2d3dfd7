"""A member of the tree is broken: it signs what no member says.  It stops
nobody else."""
import shutil
import unittest.mock

from resilient import leadership

from .support import generation
from .test_leadership import LeadershipCase
from .test_takeover import TakeoverCase
from .web_support import serve_status

_GOOD = generation(8, epoch=3).to_json()


def _says(broken):
  """Return a status that has `broken`, for the place of a generation."""
  return {'generation': broken, 'archives': {'data': {
    'generation': broken, 'leader': _GOOD}}}


_KINDS = {
  'a sequence that is no number': _says(dict(_GOOD, sequence='8')),
  'a generation that has an epoch alone': _says({'epoch': 3}),
  'a date beyond all clocks': _says(dict(_GOOD, sealed=10 ** 400)),
  'a leadership that is none': {'leadership': ['stopped']},
  'JSON that is nested too deep': b'[' * 100000,
}


class TestBrokenPeer(TakeoverCase):
  """Who takes over asks it."""

  def setUp(self):
    super().setUp()
    patience = unittest.mock.patch.object(leadership, '_PATIENCE', 0.2)
    patience.start()
    self.addCleanup(patience.stop)

  def each(self, place):
    """Yield (kind, the URL of a member that says it) of all kinds.  They begin
    anew each time, and `place` publishes the URL."""
    saved = self.proxy.save()
    for kind, status in _KINDS.items():
      for member in (self.leader, self.clone):
        shutil.rmtree(member.path)
      self.leader, self.clone = self.member('export', 1), self.member(
        'import', 2)
      self.proxy.restore(saved)
      url = serve_status(self, status, self.clone.options['secret-file'])
      self.publish({'notification-url': url + 'notify',
                    'notification-id': url + 'get'}, place)
      yield kind, url

  def test_who_insists_takes_over_whatever_pbs_and_leader_say(self):
    for kind, url in self.each(self.leader):
      with self.subTest(kind):
        self.load(self.clone)
        self.clone.configure(**{'on-notification': url + 'get/x/push-data'})
        self.assertIn('did not confirm', self.take_over(force=True))
        self.assertTakenOver()

  def test_a_leader_is_brought_back_whatever_its_successor_says(self):
    self.load()
    self.take_over()
    self.proxy.root_pass()
    for kind, _ in self.each(self.clone):
      with self.subTest(kind):
        self.freeze(self.leader)
        self.take_over(self.leader, bring_back=True)
        self.assertLeads(self.leader, self.clone)


class TestBrokenPbs(LeadershipCase):
  """A leader that was replaced asks it."""

  def test_another_pbs_is_believed(self):
    self.proxy.stop()
    self.serve_pbs(4)
    good = self.leader.options['notify']
    self.leader.configure(notify=' '.join([good, *(
      serve_status(self, status, self.leader.options['secret-file']) + 'notify'
      for status in _KINDS.values())]))
    self.assertStopped('has backups of epoch 4')
