"""How much of a dump a push sends."""
import os
import pathlib
import re
import unittest.mock

from resilient import clone, copies, importer
from resilient.durable import lock

from .support import same_mtime
from .tree import TreeCase


class TestAmount(TreeCase):
  """rsync says it."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    self.said = self.path('said')
    self.pbs.configure(rsync=self.pbs.program('rsync', (
      'rm -f {1}\nexec {0} --log-file={1} --log-file-format=SENT:%b "$@"\n'
      .format(self.leader.options['rsync'], self.said))))

  def sent(self, content):
    """Let `content` reach the clone; return how many bytes were sent."""
    self.archived(content)
    return self.pushed()

  def pushed(self):
    """Push; return how many bytes were sent."""
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    said = pathlib.Path(self.said).read_text(encoding='ascii')
    return sum(map(int, re.findall(r' SENT:(\d+)$', said, re.MULTILINE)))

  def test_a_new_clone_is_sent_everything_once(self):
    large = os.urandom(1 << 19).hex()
    self.assertGreater(self.sent({'large': large, 'small': 'one'}), 1 << 20)
    # Imported or not.
    for text in ('two', 'three'):
      clone.swap(self.clone.configuration)
      self.assertLess(self.sent({'large': large, 'small': text}), 1 << 16)
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, {'large': large, 'small': 'three'})

  def test_what_is_wrong_in_the_current_copy_is_sent(self):
    # A file that the exporter leaves alone.
    self.leader.program('data-exporter', 'cp -a {0}/small {1}/\ncp -an'
                        ' {0}/large {1}/\n'.format(
                          self.leader.at('srv/live'), self.leader.dump))
    large = os.urandom(1 << 19).hex()
    self.sent({'large': large, 'small': 'one'})
    clone.swap(self.clone.configuration)
    same_mtime(os.path.join(self.clone.dump, 'large'), b'0' * (1 << 20))
    self.archived({'large': large, 'small': 'two'})
    self.assertFalse(self.run_task('push'))
    self.assertIn('large: has another sha256', self.message('push-data'))
    self.assertGreater(self.sent({'large': large, 'small': 'three'}), 1 << 20)
    self.assertEqual(clone.staged(self.clone.configuration)[0].label, '1.3')

  def test_a_copy_that_is_damaged_before_it_is_loaded_is_mended(self):
    large = os.urandom(1 << 19).hex()
    self.sent({'large': large, 'small': 'one'})
    clone.swap(self.clone.configuration)
    same_mtime(os.path.join(self.clone.dump, 'small'), b'oNe')
    self.assertFalse(importer.task(self.clone.configuration))
    self.assertLess(self.pushed(), 1 << 16)
    self.assertTrue(importer.task(self.clone.configuration))
    self.assertSame(self.clone.dump, {'large': large, 'small': 'one'})

  def receive(self, room):
    """Let a push begin while an import runs, with `room` bytes free."""
    with lock(self.clone.configuration.state('import.lock')), \
        unittest.mock.patch.object(copies, 'free', lambda _: room):
      with clone.receiving(self.clone.configuration):
        pass

  def test_where_one_more_copy_does_not_fit_it_waits_for_the_end_of_an_import(
      self):
    self.sent({'large': '0' * 100000})
    clone.swap(self.clone.configuration)
    staging = self.clone.configuration.state('staging')
    with self.assertRaisesRegex(OSError, '99999 bytes are free, and 100000'):
      self.receive(99999)
    self.assertEqual(os.listdir(staging), [])
    self.receive(100000)
    self.assertEqual(os.path.getsize(os.path.join(staging, 'large')), 100000)

  def test_where_it_cannot_be_copied_everything_is_sent(self):
    large = os.urandom(1 << 19).hex()
    self.sent({'large': large, 'small': 'one'})
    clone.swap(self.clone.configuration)
    self.clone.program('cp', 'mkdir "$5"\nexit 1\n')
    with unittest.mock.patch.dict(os.environ, PATH='%s:%s' % (
        self.clone.at('bin'), os.environ['PATH'])):
      self.assertGreater(self.sent({'large': large, 'small': 'two'}), 1 << 20)
    self.assertFalse(os.path.exists(
      self.clone.configuration.state('staging.new')))
