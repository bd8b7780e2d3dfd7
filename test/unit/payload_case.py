"""What a service holds travels: leader, archive, clone."""
import contextlib
import glob
import os
import shutil

from resilient import exporter, importer
from resilient.entries import scan

from .partition import RSYNC
from .tree import TreeCase


class PayloadCase(TreeCase):
  """What the service holds is dumped with all that its files are."""

  over_ssh = False

  def setUp(self):
    super().setUp()
    # Made anew, for rsync would let two names of one file be that for ever.
    self.leader.program('data-exporter', (
      'cd "%s" && chmod -R u+rwX . && find . -mindepth 1 -maxdepth 1 '
      '! -name .resilient -exec rm -rf {} + && exec %s -aHS "%s/" .\n' % (
        self.leader.dump, RSYNC, self.leader.at('srv/live'))))
    self.live = os.fsencode(self.leader.at('srv/live'))

  def assertTravels(self):
    """What the service holds comes to the archive and to the clone as it is.
    """
    self.assertEqual(exporter.main(self.leader.configuration), 0, (
      self.leader.configuration.store.last_run('export')))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertTrue(self.run_task('push'), self.message('push-data'))
    self.assertTrue(importer.task(self.clone.configuration))
    for root in (self.leader.dump, self.archive.path, self.clone.dump):
      self.assertHolds(root, list(scan(self.live)))

  @contextlib.contextmanager
  def cut_short(self):
    """What travels meanwhile is in a pull that was cut short at its very end,
    so that the next one takes it back."""
    mirror, = glob.glob(self.archive.path + '/*/current_mirror.*')
    shutil.copy(mirror, self.path('mirror'))
    index = self.archive.index()
    yield
    shutil.copy(self.path('mirror'), mirror)
    self.archive.write_index(index)

  def assertHolds(self, root, expected):
    """Directory `root` consists of the Entries `expected`."""
    self.assertEqual([entry._replace(mtime=None) for entry in scan(root)],
                     [entry._replace(mtime=None) for entry in expected])
