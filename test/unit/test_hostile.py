"""Manifests of one who was broken into: nothing outside is touched, and nobody
waits for ever."""
import contextlib
import os
import shutil

from resilient import clone, manifest

from .support import generation, TestCase, write_tree
from .test_clone import CloneCase

_FILE = manifest.Entry(b'f', 'file', 0o600, 1, 1, '0' * 64)
_FOLDER = manifest.Entry(b'd', 'directory', 0o700)
_LINK = manifest.Entry(b'd', 'symlink', 0o777, target=b'/etc')


class TestParse(TestCase):
  """manifest.parse and manifest.read."""

  def test_each_entry_is_in_a_directory_that_comes_before_it(self):
    inside = _FILE._replace(path=b'd/f')
    for entries in (
        [inside], [_LINK, inside], [_FILE, _FILE._replace(path=b'f/f')],
        [inside, _FOLDER], [_FOLDER, _FOLDER], [_FOLDER, _LINK], [_FILE, _FILE],
        [_FOLDER._replace(path=b'rdiff-backup-data')],
        [_FILE._replace(path=b'.resilient')],
        [_FILE._replace(link=b'f')], [_FILE._replace(path=b'a', link=b'f')],
        [_FOLDER, _FILE._replace(link=b'd')]):
      with self.subTest(entries):
        data, _ = manifest.serialise(generation(), entries)
        with self.assertRaises(manifest.InvalidManifest):
          manifest.parse(data)
    data, _ = manifest.serialise(generation(), [_FOLDER, inside])
    self.assertEqual(manifest.parse(data).entries, [_FOLDER, inside])

  def test_what_is_no_file_is_not_waited_for(self):
    os.mkdir(self.path('.resilient'))
    path = self.path('.resilient', 'manifest')
    for make, remove in (
        (os.mkfifo, os.unlink), (os.mkdir, os.rmdir),
        (lambda name: os.symlink('/dev/null', name), os.unlink)):
      make(path)
      with self.assertRaises(manifest.InvalidManifest):
        manifest.read(self.directory)
      remove(path)


class TestAccept(CloneCase):
  """clone.accept."""

  def test_a_hostile_manifest_deletes_nothing_outside(self):
    victim = self.clone.at('srv/victim')
    write_tree(self.clone.at('srv'), {'victim': 'x'})
    os.makedirs(self.staging)
    os.symlink('../..', os.path.join(self.staging, 'up'))
    for path in (b'up/victim', b'../../victim', os.fsencode(victim)):
      with self.subTest(path):
        identity = manifest.write(self.staging, generation(9), [
          manifest.Entry(path, 'file', 0o600, 1, 1, '0' * 64)])
        with self.assertRaises(clone.Unverified):
          clone.accept(self.configuration, identity)
        self.assertTrue(os.path.exists(victim))

  def test_a_hostile_manifest_changes_nothing_outside(self):
    victim = self.clone.at('etc/victim')
    os.makedirs(victim, mode=0o700)
    os.makedirs(self.staging)
    os.symlink('../../../etc', os.path.join(self.staging, 'd'))
    for sequence, entry in enumerate((
        manifest.Entry(b'd/victim', 'directory', 0o777),
        manifest.Entry(b'd/new', 'symlink', 0o777, target=b'/x'),
        manifest.Entry(b'd/pipe', 'fifo', 0o666)), 1):
      with self.subTest(entry):
        identity = manifest.write(self.staging, generation(sequence), [
          manifest.Entry(b'd', 'directory', 0o700), entry])
        with contextlib.suppress(clone.Unverified, OSError):
          clone.accept(self.configuration, identity)
        self.assertEqual(os.listdir(self.clone.at('etc')).count('victim'), 1)
        self.assertEqual(os.stat(victim).st_mode & 0o777, 0o700)
        for name in ('new', 'pipe'):
          self.assertFalse(os.path.lexists(self.clone.at('etc/' + name)))
        shutil.rmtree(self.staging, ignore_errors=True)
        os.makedirs(self.staging)
        os.symlink('../../../etc', os.path.join(self.staging, 'd'))
