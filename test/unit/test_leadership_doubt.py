"""Does it still lead?  Who is asked answers nonsense, or nothing, or something
else than before."""
import os
import pathlib
import unittest.mock

from resilient import exporter, leadership, peer_status, takeover
from resilient.durable import write_json
from resilient.status import problems

from .test_leadership import LeadershipCase
from .web_support import serve_bytes


class TestDoubt(LeadershipCase):
  """A leader is fenced for good reasons alone, and then it stays so."""

  def test_cut_off_further_it_fences_until_that_succeeds(self):
    self.proxy.stop()
    self.serve_pbs(4)
    self.leader.configure(fencer=self.leader.program('bad', 'exit 3\n'))
    self.assertFalse(leadership.task(self.configuration))
    self.leader.configure(notify='http://[::1]:1/notify')
    self.assertFalse(leadership.task(self.configuration))
    self.leader.configure(fencer=self.leader.at('bin/fencer'))
    self.assertEqual(len(self.run_task()), 1)
    self.assertTrue(leadership.stopped(self.configuration))
    self.run_task()
    self.assertEqual(self.hooks(), ['f'])

  def test_a_master_that_gives_it_no_title_says_nothing(self):
    self.serve_pbs(1)
    saved = self.proxy.save()
    self.proxy.free('slappart1')
    self.assertEqual(self.run_task(), [])
    self.assertEqual(self.hooks(), [])
    self.proxy.restore(saved)
    self.assertEqual(exporter.main(self.configuration), 0)

  def test_opened_by_a_promoter_that_failed_it_is_fenced_again(self):
    saved = self.proxy.save()
    takeover.takeover(self.clone.configuration)
    replaced = self.proxy.save()
    self.run_task()
    self.leader.configure(promoter=self.leader.program('bad-promoter', (
      'echo p >>"%s"; exit 4\n' % self.leader.at('srv/hooks'))))
    self.proxy.restore(saved)
    self.assertFalse(leadership.task(self.configuration))
    self.assertFalse(leadership.stopped(self.configuration))
    self.proxy.restore(replaced)
    self.assertEqual(len(self.run_task()), 1)
    self.assertEqual(self.hooks(), ['f', 'p', 'f'])
    self.assertTrue(leadership.stopped(self.configuration))

  def test_a_pbs_that_is_silent_does_not_take_back_what_it_said(self):
    self.serve_pbs(4)
    for silent in (False, True, False):
      with unittest.mock.patch.object(peer_status, 'ask_all', (
          lambda _, urls: dict.fromkeys(urls)) if silent
          else peer_status.ask_all):
        found, = self.run_task()
      self.assertIn('the SlapOS master has this as the leader', found)
      self.assertIn('write {"epoch": 5} to', found)
    self.assertEqual(self.hooks(), ['f'])
    write_json(self.configuration.state('leadership.json'), {'epoch': 5})
    self.assertEqual(self.run_task(), [])
    self.assertEqual(self.hooks(), ['f', 'p'])

  def pbs_tell(self, *epochs):
    """Run the task while each PBS tells an epoch, or, by None, nothing; return
    the problems that it leaves."""
    urls = ['http://[::1]:%d/notify' % number
            for number in range(1, len(epochs) + 1)]
    self.leader.configure(notify=' '.join(urls))
    with unittest.mock.patch.object(peer_status, 'ask_all', lambda *_: {
        url: epoch and {'generation': {'epoch': epoch}}
        for url, epoch in zip(urls, epochs)}):
      return self.run_task()

  def test_each_pbs_that_said_it_has_to_take_it_back(self):
    for first, second in ((4, 6), (6, 4)):
      with self.subTest(first):
        self.pbs_tell(first, second)
        for epochs in ((None, None), (None, 1), (None, second), (1, None)):
          self.assertEqual(len(self.pbs_tell(*epochs)), 1, epochs)
        # Not at the same time.
        self.assertEqual(self.pbs_tell(None, 1), [])
    self.assertEqual(self.hooks(), ['f', 'p'] * 2)

  def test_nor_does_the_master_take_back_what_a_pbs_said(self):
    saved = self.proxy.save()
    self.pbs_tell(4)
    takeover.takeover(self.clone.configuration)
    self.pbs_tell(None)
    self.proxy.restore(saved)
    self.assertEqual(len(self.pbs_tell(None)), 1)
    self.assertEqual(self.pbs_tell(1), [])

  def test_it_says_what_epoch_is_larger_than_that_of_each_pbs(self):
    for epochs in ((6, 4), (4, 6), (4, None)):
      found, = self.pbs_tell(*epochs)
      self.assertIn('write {"epoch": 7} to', found)

  def test_what_is_damaged_here_keeps_nobody_from_fencing(self):
    takeover.takeover(self.clone.configuration)
    for name in ('replaced.json', 'leadership.json'):
      pathlib.Path(self.configuration.state(name)).write_text('', 'ascii')
      self.assertFalse(leadership.task(self.configuration))
      os.unlink(self.configuration.state(name))
    self.assertEqual(self.hooks(), ['f', 'f'])

  def test_so_it_is_when_only_a_pbs_knows(self):
    self.proxy.stop()
    self.serve_pbs(4)
    path = pathlib.Path(self.configuration.state('replaced.json'))
    path.write_text('', 'ascii')
    self.assertFalse(leadership.task(self.configuration))
    self.assertEqual(self.hooks(), ['f'])
    found, = problems(self.configuration)
    self.assertIn('replaced.json is damaged', found.text)
    path.unlink()
    found, = self.run_task()
    self.assertIn('has backups of epoch 4', found)

  def test_who_does_not_speak_http_hides_nobody_else(self):
    self.proxy.stop()
    self.serve_pbs(4)
    self.leader.configure(notify='%snotify %s' % (
      serve_bytes(self, b'SSH-2.0-OpenSSH_9.2\r\n'),
      self.leader.options['notify']))
    self.assertStopped('has backups of epoch 4')

  def test_a_master_that_answers_nonsense_hides_no_pbs(self):
    for body in (b'<html><body>maintenance</body></html>', b'', b'\x00'):
      with self.subTest(body):
        self.serve_pbs(1)
        self.leader.configure(**{'server-url': serve_bytes(
          self, b'HTTP/1.0 200 OK\r\n\r\n' + body)})
        self.assertEqual(self.run_task(), [])
    self.serve_pbs(4)
    self.assertStopped('has backups of epoch 4')
