"""Faults of an archive: a PBS that is lost with all that it held, and one whose
history is damaged.  The table is in test/README.rst."""
import os
import shutil
import stat
import unittest

from . import set_up_module as setUpModule  # noqa: F401
from .fault import FaultCase
from .node import configured, wait_until
from .tree import label_of

_SERVICES = ('equeue', 'notifier', 'crond', 'sshd')


class ArchiveFaultTest(FaultCase):
  """Each story destroys something of an archive; it comes back by itself."""

  def history(self, pbs):
    """Return the labels of what `pbs` holds, and what it says of its
    history."""
    archive = pbs.state()['archives'][self.tree.name]
    return archive['generations'], archive.get('history')

  def wait_for_history(self, pbs, sibling):
    """Wait until `pbs` has what its sibling has."""
    wait_until(lambda: self.history(pbs)[0] == self.history(sibling)[0], 180,
               'history of %r at %r' % (sibling, pbs), self.tree.diagnosis)

  def restore(self, pbs, label):
    """Return the records in generation `label`, restored at `pbs`."""
    target = pbs.path / 'srv/restored'
    pbs.run('restore', self.tree.name, '--generation', label,
            '--to', str(target))
    try:
      return {path.name: path.read_bytes() for path in target.rglob('*')
              if path.is_file() and '.resilient' not in path.parts}
    finally:
      shutil.rmtree(target)

  def flip(self, root):
    """Let a byte of the dump in folder `root` be another one, behind its
    mtime."""
    path = root / 'payload.sqlite'
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

  def test_4_byte_that_is_flipped_in_a_mirror_and_in_a_copy(self):
    pbs, clone = self.tree.pbs(1), self.tree.clone(1)
    # Of the mirror it is found by the next pull.
    self.flip(pbs.path / 'srv/backup/pbs' / self.tree.name)
    self.checker.write('flipped', 'in the mirror')
    self.checker.export()
    self.checker.check()

    # Of a copy before it is loaded.
    clone.stop('equeue')
    self.checker.write('flipped', 'in the copy')
    label = self.checker.export()
    wait_until(lambda: label_of(clone.state()['staged']) == label, 60,
               'generation %s at %r' % (label, clone), self.tree.diagnosis)
    self.flip(clone.path / 'srv/resilient/staging')
    past = len(clone.log())
    clone.start('equeue')
    self.assertIn('payload.sqlite: has another sha256',
                  self.wait_for_failure(clone, 'import', past))
    self.checker.check_copies()
    self.checker.check()

  def test_17_lost_pbs_gets_the_history_of_its_sibling(self):
    for number in range(3):
      self.checker.write('before the loss', str(number))
      self.checker.export()
      self.checker.check_archives(60)
    pbs, sibling = self.tree.pbs(1), self.tree.pbs(2)
    first = self.history(pbs)[0][0]
    held = self.restore(pbs, first)

    pbs.kill_all()
    for name in ('srv/backup/pbs', 'srv/resilient'):
      shutil.rmtree(pbs.path / name)
      (pbs.path / name).mkdir(mode=0o700)
    self.checker.write('during the loss', 'of a PBS')
    self.checker.export()
    self.checker.check_visible(pbs.title, 'promise-equeue')

    # A new one in its place, which was told what the lost one was told.
    pbs.start(*_SERVICES)
    self.wait_for_history(pbs, sibling)
    # It is noted behind that.
    wait_until(lambda: self.history(pbs)[1].get('adopted'), 60,
               'note of what was adopted', self.tree.diagnosis)
    labels, history = self.history(pbs)
    self.assertEqual(labels[0], first)
    self.assertEqual(history['adopted']['first'], first)
    self.assertIn('adopted from sibling-2-' + self.tree.name, pbs.log())
    self.assertEqual(self.restore(pbs, first), held)
    self.checker.export()
    self.checker.check()

  def test_17_damaged_generation_is_replaced_by_that_of_the_sibling(self):
    self.checker.write('damaged', 'here')
    self.checker.export()
    self.checker.check_archives(60)
    pbs, sibling = self.tree.pbs(2), self.tree.pbs(1)
    # Both began with the same generation, and lost none.
    self.wait_for_history(pbs, sibling)
    label = self.history(pbs)[0][0]
    increments = (pbs.path / 'srv/backup/pbs' / self.tree.name
                  / 'rdiff-backup-data/increments')
    oldest = min(increments.rglob('manifest.*'))
    content = bytearray(oldest.read_bytes())
    content[-1] ^= 1
    oldest.chmod(0o600)
    oldest.write_bytes(content)
    pbs.run('restore', self.tree.name, '--generation', label,
            '--to', str(pbs.path / 'srv/no'), status=1)
    # Verification finds it, in its turn.
    with configured(pbs, **{'verification-interval': 1}):
      wait_until(lambda: (self.history(pbs)[1]['adopted'] or {}).get('gained')
                 == [label], 300, 'adoption at %r' % pbs, self.tree.diagnosis)
    self.restore(pbs, label)
    self.checker.check()


if __name__ == '__main__':
  unittest.main()
