"""Two candidates at one old leader, at a master that is as slow as need be."""
import threading
import unittest.mock

from resilient import succession
from resilient.master import Instance, NoInstance

from .support import TestCase


class _Master:
  """What one candidate sees of the old leader, which is `state`.

  before: {name of a method: what happens before it has its effect, once}.
  """

  def __init__(self, state, **before):
    self._state = state
    self._before = before

  def _reach(self, method):
    self._before.pop(method, lambda: None)()

  def look(self, _):
    return Instance(self._state['title'], '', dict(self._state['parameters']),
                    dict(self._state['published']))

  def mark(self, _, published, own):
    self._reach('mark')
    self._state['published'] = {**published, 'takeover-mark': own}

  def rename(self, _, title):
    self._state['title'] = title

  def request(self, title, _type, parameters, _state):
    self._reach('request')
    if title != self._state['title']:
      raise NoInstance(title)
    self._state['parameters'] = dict(parameters)


class TestElection(TestCase):
  """succession.replace, by two candidates in the same second."""

  def winners(self, first, second):
    """Return who won.  Candidate `second` has looked and not marked yet when
    `first` wins; that one's last question is on its way until `second` is done.
    """
    state = {'title': 'data0', 'parameters': {}, 'published': {}}
    sent, arrives, won = threading.Event(), threading.Event(), []

    def run(address, master):
      try:
        succession.replace(
          master, 'COMP-0/slappart0', {'successor': address, 'epoch': '2'},
          succession.broken_title(address, 1e9))
        won.append(address)
      except succession.Lost:
        pass

    def be_slow():
      sent.set()
      self.assertTrue(arrives.wait(60))

    thread = threading.Thread(
      target=run, args=(first, _Master(state, request=be_slow)))

    def overtake():
      thread.start()
      self.assertTrue(sent.wait(60))
    with unittest.mock.patch.object(succession, '_WAIT', (0, 0)):
      run(second, _Master(state, mark=overtake))
      arrives.set()
      thread.join()
    self.assertEqual([state['parameters']['successor']], won[-1:])
    return won

  def test_one_wins_whatever_their_partitions_are_called(self):
    for first, second in (
        ('COMP-1/slappart3', 'COMP-1/slappart4'),
        ('COMP-1/slappart3', 'COMP-2/slappart3'),
        ('COMP-1/slappart10', 'COMP-1/slappart1')):
      with self.subTest(first=first, second=second):
        self.assertEqual(len(self.winners(first, second)), 1)
