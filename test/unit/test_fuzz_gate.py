"""Whatever somebody with a key of a PBS asks a gate for: a clear refusal, or
what the gate is for."""
import json
import os
import shlex
import unittest.mock

from hypothesis import given, settings, strategies

from resilient import clone, former, gate
from resilient.durable import LockTimeout
from resilient.generation import Refused

from .anything import ANY, FAST, TEXT
from .support import generation, TestCase


class TestGate(TestCase):
  """What an ssh key of a PBS asks for."""

  words = strategies.lists(strategies.sampled_from((
    'rsync', '--server', '--sender', '-lHtprSe.iLsfxCIvu', '-e', '.', '..',
    '--delete', '--partial', '--daemon', '--log-file=x', '--files-from=-', '/',
    'rdiff-backup', 'server', '--restrict-path', 'generation', 'status',
    'accept', '{}', ';', '&&', '$(id)', '`id`', "'", '"', '\\', '\n', '-K',
    '/etc/passwd', '--rsh=id', '-lrtK')) | TEXT, max_size=9).map(' '.join)
  requests = words | TEXT | words.map(
    lambda text: 'rsync --server -lHtprSe.iLs ' + text + ' . x') | ANY.map(
      lambda value: 'accept ' + json.dumps(value)) | strategies.dictionaries(
        strategies.sampled_from(tuple(generation().to_json())), ANY).map(
          lambda value: 'accept ' + json.dumps(
            dict(generation().to_json(), **value)))

  def setUp(self):
    super().setUp()
    self.become, self.said = [], []
    for name, function in (
        ('_become', lambda *arguments, **_: self.become.append(arguments)),
        ('_say', self.said.append)):
      patch = unittest.mock.patch.object(gate, name, function)
      patch.start()
      self.addCleanup(patch.stop)

  def ask(self, answer, partition, request):
    """Answer one request; return whether it was refused."""
    self.become.clear()
    self.said.clear()
    try:
      answer(partition.configuration, request)
    except (gate.Denied, Refused, clone.Unverified, LockTimeout, ValueError,
            RecursionError):
      self.assertEqual((self.become, self.said), ([], []))
      return True
    return False

  def test_a_leader(self):
    leader = self.partition('export')

    @settings(max_examples=500, **FAST)
    @given(self.requests)
    def ask(request):
      self.assertEqual(
        self.ask(gate.leader_gate, leader, request),
        request not in ('generation', gate.RDIFF_BACKUP, former.REQUEST),
        request)

    ask()

  def test_a_clone(self):
    partition = self.partition('import')
    staging = partition.configuration.state('staging')

    @settings(max_examples=500, **FAST)
    @given(self.requests)
    def ask(request):
      if self.ask(gate.clone_gate, partition, request):
        return
      for command, _, *writable in self.become:
        self.assertEqual(writable, [staging])
        self.assertEqual(command[:2], [partition.options['rsync'], '--server'])
        self.assertEqual(command[-2:], ['.', staging + '/'])
        for option in command[2:-2]:
          self.assertRegex(
            option, r'^(-[lHtprS]+e\.[A-Za-z]*|--(specials|delete|partial|'
            r'numeric-ids|fsync))$')
        # rsync gets as many words as the request had.
        self.assertEqual(len(shlex.split(request)), len(command))

    ask()
    self.assertEqual(partition.configuration.store.pending(), {})
    self.assertFalse(os.path.exists(partition.configuration.state(
      'staged.json')))

  def test_a_pbs(self):
    pbs = self.partition('pull-backup', **{'shared-instances': [{
      'type': 'pull', 'name': 'data', 'url': 'ssh://u@[::1]:1/dump',
      'server-key': 'ssh-ed25519 AAAA',
      'authorized-key': 'ssh-ed25519 AAAAk'}]})
    said = self.script('said', 'publickey ssh-ed25519 AAAAk')
    root = pbs.at('srv/backup/pbs/data/')
    self.enterContext(unittest.mock.patch.dict(os.environ, SSH_USER_AUTH=said))

    @settings(max_examples=500, **FAST)
    @given(self.requests.map(lambda text: text.replace(
      '--server', '--server --sender').replace(' . x', ' . draft/data/')))
    def ask(request):
      self.ask(gate.pbs_gate, pbs, request)
      for command, _, *writable in self.become:
        self.assertEqual(writable, [])
        self.assertEqual(
          command[:3], [pbs.options['rsync'], '--server', '--sender'])
        self.assertEqual(command[-2:], ['.', root])
        for option in command[3:-2]:
          self.assertRegex(
            option, r'^(-[lHtprS]+e\.[A-Za-z]*|--(specials|numeric-ids))$')

    ask()
    self.assertEqual(pbs.configuration.store.pending(), {})
    self.assertFalse(os.path.exists(root))


if __name__ == '__main__':
  unittest.main()
