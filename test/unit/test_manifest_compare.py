"""The manifest against the files: each difference is found and named."""
import os
import socket
import stat
import subprocess
import sys
import unittest

from resilient import manifest

from .support import same_mtime, sealed, TestCase, write_tree

ODD_NAMES = (
  b'new\nline', b'trailing space ', b' leading', b'\xff\xfe not UTF-8',
  b'-rf', b'percent%41', b'quote\'"', b'back\\slash', b'tab\t', b'\x01', b'*',
  'é'.encode(), b'x' * 255, b'dir;ectory', b'return\r', b'.hidden', b'~')


class TestCompare(TestCase):
  """Differences between a directory and its manifest."""

  def setUp(self):
    super().setUp()
    self.dump = self.path('dump')
    write_tree(self.dump, {
      'file': 'content', 'folder/inner': 'more', 'empty': None})
    os.symlink('file', self.path('dump', 'link'))
    os.symlink('nowhere', self.path('dump', 'broken'))
    os.mkfifo(self.path('dump', 'pipe'), 0o640)
    with socket.socket(socket.AF_UNIX) as server:
      server.bind(self.path('dump', 'socket'))
    sealed(self.dump, {})
    self.manifest = manifest.read(self.dump)

  def differences(self):
    """Return what differs, as text."""
    return list(map(str, manifest.compare(self.dump, self.manifest)))

  def test_what_was_sealed_does_not_differ(self):
    self.assertEqual(self.differences(), [])
    self.assertEqual(
      {entry.path: entry.type for entry in self.manifest.entries}, {
        b'file': 'file', b'folder': 'directory', b'folder/inner': 'file',
        b'empty': 'directory', b'link': 'symlink', b'broken': 'symlink',
        b'pipe': 'fifo', b'socket': 'socket'})

  def test_a_flipped_byte_behind_the_same_size_and_mtime_is_found(self):
    before = os.stat(self.path('dump', 'file'))
    same_mtime(self.path('dump', 'file'), b'cOntent')
    after = os.stat(self.path('dump', 'file'))
    self.assertEqual(
      (before.st_size, before.st_mtime_ns), (after.st_size, after.st_mtime_ns))
    self.assertEqual(self.differences(), ['file: has another sha256'])

  def test_another_mtime_alone_is_no_difference(self):
    os.utime(self.path('dump', 'file'), (1, 1))
    self.assertEqual(self.differences(), [])

  def test_a_truncation_is_found(self):
    os.truncate(self.path('dump', 'file'), 3)
    self.assertEqual(self.differences(), ['file: has another size, sha256'])

  def test_a_missing_file_is_found(self):
    os.unlink(self.path('dump', 'file'))
    self.assertEqual(self.differences(), ['file: is missing'])

  def test_a_missing_empty_directory_is_found(self):
    os.rmdir(self.path('dump', 'empty'))
    self.assertEqual(self.differences(), ['empty: is missing'])

  def test_an_extra_entry_is_found_wherever_it_is(self):
    write_tree(self.dump, {'folder/extra': ''})
    self.assertEqual(
      self.differences(), ['folder/extra: is not in the manifest'])

  def test_another_mode_is_found(self):
    for name in ('file', 'folder', 'pipe'):
      os.chmod(self.path('dump', name), 0o711)
    self.assertEqual(self.differences(), [
      'file: has another mode', 'folder: has another mode',
      'pipe: has another mode'])

  def test_another_link_target_is_found(self):
    os.unlink(self.path('dump', 'link'))
    os.symlink('elif', self.path('dump', 'link'))
    self.assertEqual(self.differences(), ['link: has another target'])

  def test_another_type_is_found(self):
    os.unlink(self.path('dump', 'pipe'))
    write_tree(self.dump, {'pipe': ''})
    self.assertRegex(self.differences()[0], '^pipe: has another type')

  def test_the_reserved_directory_is_not_an_entry_but_only_at_the_top(self):
    write_tree(self.dump, {'.resilient/x': '', 'folder/.resilient/x': ''})
    self.assertEqual(self.differences(), [
      'folder/.resilient: is not in the manifest',
      'folder/.resilient/x: is not in the manifest'])

  def test_an_unreadable_file_is_a_difference_and_no_crash(self):
    program = '''
import os, sys
if not os.getuid():
  os.setgid(65534)
  os.setuid(65534)
from resilient import manifest
print(*manifest.compare(sys.argv[1], manifest.read(sys.argv[2])))
'''
    sealed(self.path('manifest'), {'file': 'content'})
    for path in (self.directory, self.dump, self.path('manifest'),
                 self.path('manifest/.resilient')):
      os.chmod(path, 0o755)
    os.chmod(self.path('manifest/.resilient/manifest'), 0o644)
    os.chmod(self.path('dump', 'file'), 0)
    os.chmod(self.path('dump', 'folder'), 0)
    output = subprocess.run(
      [sys.executable, '-c', program, self.dump, self.path('manifest')],
      check=True, stdout=subprocess.PIPE, encoding='ascii').stdout
    self.assertIn('file cannot be read', output)
    self.assertIn('folder cannot be read', output)


class TestOddNames(TestCase):
  """Names that other programs stumble over."""

  def test_each_name_is_kept_and_its_loss_is_found(self):
    for name in ODD_NAMES:
      write_tree(self.path('dump'), {name: b'of ' + name, b'd/' + name: None})
    sealed(self.path('dump'), {})
    found = manifest.read(self.path('dump'))
    self.assertEqual(manifest.compare(self.path('dump'), found), [])
    self.assertLessEqual(
      set(ODD_NAMES), {entry.path for entry in found.entries})
    for name in ODD_NAMES:
      os.unlink(os.path.join(os.fsencode(self.path('dump')), name))
    self.assertEqual(
      {item.path for item in manifest.compare(self.path('dump'), found)},
      set(ODD_NAMES))

  def test_each_directory_comes_before_what_it_holds(self):
    write_tree(self.path('dump'), {'b/c/d': '', 'b-': '', 'a': '', 'b/a': ''})
    self.assertEqual(
      [entry.path for entry in manifest.scan(self.path('dump'))],
      [b'a', b'b', b'b/a', b'b/c', b'b/c/d', b'b-'])

  @unittest.skipIf(os.getuid(), 'only root can make a device')
  def test_a_device_is_refused_by_name(self):
    write_tree(self.path('dump'), {'file': ''})
    os.mknod(self.path('dump', 'null'), stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with self.assertRaisesRegex(manifest.Unkeepable, 'null is a device'):
      list(manifest.scan(self.path('dump')))
    refused = []
    found = list(manifest.scan(self.path('dump'), unkeepable=refused))
    self.assertEqual([entry.path for entry in found], [b'file'])
    self.assertEqual(refused, ['null is a device'])
