"""Files that survive a crash, and locks that do not."""
import contextlib
import os
import resource
import signal
import threading
import unittest.mock

from resilient import durable

from .support import end, killed_before, TestCase, wait_until, write_tree


class TestWrite(TestCase):
  """Replacing a file."""

  def test_a_written_value_is_read_back(self):
    durable.write_json(self.path('state'), {'marker': 'é', 'list': [1, None]})
    self.assertEqual(
      durable.read_json(self.path('state')), {'marker': 'é', 'list': [1, None]})

  def test_a_file_is_private_unless_told_otherwise(self):
    durable.write_bytes(self.path('secret'), b'')
    durable.write_bytes(self.path('open'), b'', 0o644)
    self.assertEqual(os.stat(self.path('secret')).st_mode & 0o777, 0o600)
    self.assertEqual(os.stat(self.path('open')).st_mode & 0o777, 0o644)

  def test_a_full_disk_leaves_the_old_content(self):
    durable.write_bytes(self.path('state'), b'old')
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
      with self.assertRaises(OSError):
        durable.write_bytes(self.path('state'), b'x' * 100)
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, limit)
      signal.signal(signal.SIGXFSZ, action)
    self.assertEqual(self.read('state'), 'old')
    self.assertEqual(os.listdir(self.directory), ['state'])

  def test_a_kill_at_any_moment_leaves_the_old_or_the_new_content(self):
    for number in range(1, 20):
      durable.write_bytes(self.path('state'), b'old')
      died = killed_before(
        number, lambda: durable.write_bytes(self.path('state'), b'new'))
      self.assertIn(self.read('state'), ('old', 'new'))
      if not died:
        self.assertEqual(self.read('state'), 'new')
        return
    self.fail('it never completes')

  def test_the_content_is_on_the_disk_before_it_has_its_name(self):
    events = []
    real = os.fsync, os.rename
    with unittest.mock.patch('os.fsync', lambda descriptor: (
        events.append(('fsync', os.readlink(
          '/proc/self/fd/%d' % descriptor))), real[0](descriptor))), \
         unittest.mock.patch('os.rename', lambda *names: (
           events.append('rename'), real[1](*names))):
      durable.write_bytes(self.path('state'), b'data')
    temporary = events[0][1]
    self.assertTrue(temporary.startswith(self.path('state')))
    self.assertEqual(events, [
      ('fsync', temporary), 'rename', ('fsync', self.directory)])

  def test_a_damaged_file_is_named_and_not_guessed_at(self):
    durable.write_bytes(self.path('state'), b'{"half":')
    with self.assertRaisesRegex(ValueError, 'state is damaged'):
      durable.read_json(self.path('state'))

  def test_a_missing_file_is_the_default(self):
    self.assertEqual(durable.read_json(self.path('none'), 'default'), 'default')

  def test_removing_twice_is_harmless(self):
    durable.write_bytes(self.path('state'), b'')
    durable.remove(self.path('state'))
    durable.remove(self.path('state'))
    self.assertEqual(os.listdir(self.directory), [])


class TestLock(TestCase):
  """Locks."""

  def setUp(self):
    super().setUp()
    self.lock = self.path('lock')

  def test_one_holder_excludes_another_until_it_lets_go(self):
    with durable.lock(self.lock):
      with self.assertRaisesRegex(durable.LockTimeout, 'still locked'):
        with durable.lock(self.lock, deadline=0.1):
          self.fail('two hold the lock')
    with durable.lock(self.lock):
      pass

  def test_who_waits_gets_the_lock_as_soon_as_it_is_free(self):
    got = threading.Event()

    def wait():
      with durable.lock(self.lock, deadline=20):
        got.set()

    holder = contextlib.ExitStack()
    holder.enter_context(durable.lock(self.lock))
    with self.thread(wait):
      self.assertFalse(got.wait(0.1))
      holder.close()
      self.assertTrue(got.wait(20))

  def test_several_may_share_a_lock(self):
    with durable.lock(self.lock, shared=True):
      with durable.lock(self.lock, shared=True):
        with self.assertRaises(durable.LockTimeout):
          with durable.lock(self.lock):
            self.fail('one holds it alone')

  def test_a_lock_is_seen_from_outside(self):
    self.assertFalse(durable.is_locked(self.lock))
    with durable.lock(self.lock):
      self.assertTrue(durable.is_locked(self.lock))
    self.assertFalse(durable.is_locked(self.lock))

  def test_who_holds_it_alone_is_told_from_those_who_share_it(self):
    with durable.lock(self.lock, shared=True):
      self.assertTrue(durable.is_locked(self.lock))
      self.assertFalse(durable.is_locked(self.lock, shared=True))
    with durable.lock(self.lock):
      self.assertTrue(durable.is_locked(self.lock, shared=True))

  def test_whoever_looks_at_a_lock_keeps_nobody_from_taking_it(self):
    # As a promise, a page and a PBS do, while an import wants it at once.
    done = threading.Event()

    def look():
      while not done.is_set():
        durable.is_locked(self.lock)

    with self.thread(look), self.thread(look):
      try:
        for _ in range(2000):
          with durable.lock(self.lock):
            pass
      finally:
        done.set()

  def test_a_killed_holder_leaves_no_stale_lock(self):
    pid = os.fork()
    if not pid:
      with durable.lock(self.lock):
        durable.write_bytes(self.path('held'), b'')
        signal.pause()
      os._exit(0)
    wait_until(lambda: os.path.exists(self.path('held')), 'the child holds it')
    self.assertTrue(durable.is_locked(self.lock))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    self.assertFalse(durable.is_locked(self.lock))

  def test_an_inherited_lock_is_held_until_the_last_child_ends(self):
    with durable.lock(self.lock, inherit=True):
      child = self.start(['sleep', '60'], close_fds=False)
    self.assertTrue(durable.is_locked(self.lock))
    end(child)
    self.assertFalse(durable.is_locked(self.lock))

  def test_other_children_do_not_hold_the_lock(self):
    with durable.lock(self.lock):
      self.start(['sleep', '60'], close_fds=False)
    self.assertFalse(durable.is_locked(self.lock))


class TestExchange(TestCase):
  """Two directories change places."""

  def test_both_names_lead_to_the_other_content(self):
    write_tree(self.path('a'), {'marker': 'first'})
    write_tree(self.path('b'), {'marker': 'second'})
    durable.exchange(self.path('a'), self.path('b'))
    self.assertEqual(self.read('a', 'marker'), 'second')
    self.assertEqual(self.read('b', 'marker'), 'first')

  def test_without_a_partner_nothing_changes(self):
    write_tree(self.path('a'), {'marker': 'first'})
    with self.assertRaises(FileNotFoundError):
      durable.exchange(self.path('a'), self.path('b'))
    self.assertEqual(self.read('a', 'marker'), 'first')
