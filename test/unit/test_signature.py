"""The list of digests that a payload may write, as sha256sum writes it."""
import os
import subprocess

from resilient import signature

from .support import same_mtime, TestCase, write_tree
from .test_manifest_compare import ODD_NAMES


class TestSignature(TestCase):
  """backup.signature"""

  def sign(self, content, *options):
    """Write `content` and have the real sha256sum sign it."""
    write_tree(self.directory, content)
    with open(self.path('backup.signature'), 'wb') as output:
      subprocess.run(
        ['sha256sum', *options, '--', *content], cwd=self.directory,
        stdout=output, check=True)

  def test_a_dump_without_a_list_is_fine(self):
    signature.check(self.directory)

  def test_what_sha256sum_wrote_is_understood(self):
    for options in ((), ('--binary',)):
      with self.subTest(options):
        self.sign({name: b'of ' + name for name in ODD_NAMES}, *options)
        signature.check(self.directory)

  def test_each_file_that_changed_is_found(self):
    for name in ODD_NAMES:
      with self.subTest(name):
        self.sign({name: b'right'})
        same_mtime(os.path.join(os.fsencode(self.directory), name), b'wrong')
        with self.assertRaisesRegex(signature.Mismatch, 'does not match'):
          signature.check(self.directory)

  def test_a_file_that_is_missing_is_found(self):
    self.sign({'folder/a': '1', 'b': '2'})
    os.unlink(self.path('folder', 'a'))
    with self.assertRaisesRegex(signature.Mismatch, 'folder/a'):
      signature.check(self.directory)

  def test_a_line_that_is_no_digest_is_no_silent_success(self):
    for text in ('garbage\n', 'd41d8cd98f00b204e9800998ecf8427e  md5\n',
                 '%s\n' % ('0' * 64), '%s  \n' % ('0' * 64)):
      with self.subTest(text):
        write_tree(self.directory, {'backup.signature': text})
        with self.assertRaisesRegex(signature.Mismatch, 'line 1'):
          signature.check(self.directory)
