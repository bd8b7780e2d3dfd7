"""Promotion and fencing of the payload's service, while it runs."""
import threading

from .payload_support import Case, fill, read, run


class TestRole(Case):
  """resilient-payload promote, fence"""

  def change(self, command, service, status=0):
    """Run `command` for `service`; return what it says on stderr."""
    done = run(command, '--database', self.database,
               '--url', 'http://[::1]:%d/' % service.port)
    self.assertEqual(done.returncode, status, done.stderr)
    return done.stderr

  def put(self, service, key='k'):
    """Return the status of the answer to a write."""
    return service.request('PUT', '/records/' + key, 'v')[0]

  def test_a_clone_takes_writes_after_its_promotion_without_a_restart(self):
    fill(self.database)
    service = self.serve('clone')
    self.assertEqual(self.put(service), 403)
    for _ in range(2):
      self.change('promote', service)
      self.assertEqual(service.state()['role'], 'leader')
    self.assertEqual(self.put(service), 204)
    self.assertIn('This is the leader: writable.',
                  service.request('GET', '/')[1])
    # And the profile of its new role starts it anew.
    self.assertEqual(self.put(self.serve('leader'), 'l'), 204)
    self.assertEqual((read(self.database)['k'], read(self.database)['l']),
                     ('v', 'v'))

  def test_a_fenced_leader_refuses_writes_also_after_a_restart(self):
    service = self.serve('leader')
    self.assertEqual(self.put(service), 204)
    for _ in range(2):
      self.change('fence', service)
    self.assertEqual(service.request('PUT', '/records/k', 'w'), (
      403, 'this leader has been replaced, read-only, write to its'
      ' successor\n'))
    self.assertEqual(service.request('DELETE', '/records/k')[0], 403)
    self.assertEqual(self.put(self.serve('leader')), 403)
    self.assertEqual(read(self.database), {'k': 'v'})
    self.change('promote', service)
    self.assertEqual(self.put(service), 204)

  def test_one_that_does_not_run_is_fenced_and_cannot_be_promoted(self):
    service = self.serve('leader')
    service.process.kill()
    service.process.wait()
    self.change('fence', service)
    self.assertEqual(self.put(self.serve('leader')), 403)

  def test_nothing_is_promoted_without_data(self):
    service = self.serve('clone')
    self.assertRegex(
      self.change('promote', service, status=1), '^promote failed: ')
    self.assertEqual(self.put(service), 403)

  def test_after_the_fence_no_write_is_acknowledged(self):
    service = self.serve('leader')
    fenced = threading.Event()
    late = []

    def write():
      number = 0
      while not late:
        number += 1
        # Noted before the write is sent.
        after = fenced.is_set()
        if self.put(service, str(number)) == 403:
          return
        if after:
          late.append(number)
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
      thread.start()
    self.change('fence', service)
    count = len(read(self.database))
    fenced.set()
    for thread in threads:
      thread.join()
    self.assertEqual(late, [])
    self.assertEqual(len(read(self.database)), count)
