"""The release that the demo takes a snapshot of, and serves to its node."""
import os

from demo import processes, release
from demo.show import Failure

from ..ports import free_port
from .demo_support import TestCase


class TestRelease(TestCase):
  """The snapshot of a release."""

  PIN = '[part]\n_update_hash_filename_ = part.in\nmd5sum = %s\n'

  def setUp(self):
    super().setUp()
    self.write('software.cfg', 'text')
    self.write('part.in', 'hello')
    self.write('notes.txt', 'no part of a release')
    self.write('component/a/buildout.cfg', 'a')
    self.write('component/a/__pycache__/a.pyc', 'no')
    self.write('buildout.hash.cfg',
               self.PIN % '5d41402abc4b2a76b9719d911017c592')

  def test_the_files_of_a_release(self):
    self.assertEqual(sorted(release.content(self.folder)), [
      'buildout.hash.cfg', 'component/a/buildout.cfg', 'part.in',
      'software.cfg'])

  def test_a_folder_with_a_release_that_extends_it_belongs_to_it_if_named(self):
    self.write('other/software.cfg', 'extends = ../software.cfg')
    self.write('other/software.cfg.json', '{}')
    self.write('other/part.in', 'hello')
    self.write('other/buildout.hash.cfg',
               self.PIN % '5d41402abc4b2a76b9719d911017c592')
    without = release.content(self.folder)
    self.assertEqual(
      sorted(release.content(self.folder, ['other']).keys() - without.keys()),
      ['other/buildout.hash.cfg', 'other/part.in', 'other/software.cfg',
       'other/software.cfg.json'])
    self.write('other/part.in', 'changed')
    with self.assertRaisesRegex(Failure, 'other/part.in is not what .*'):
      release.content(self.folder, ['other'])

  def test_every_change_is_another_revision(self):
    files = release.content(self.folder)
    revision = release.revision(files)
    self.assertEqual(release.revision(dict(reversed(files.items()))), revision)
    for changed in ({**files, 'software.cfg': b'Text'},
                    {**files, 'more': b''},
                    {key: value for key, value in files.items()
                     if key != 'part.in'},
                    {**files, 'software.cfg': b'', 'more': b'text'}):
      self.assertNotEqual(release.revision(changed), revision)

  def test_a_snapshot_is_written_once_and_whole(self):
    files = release.content(self.folder)
    target = self.folder / 'release'
    self.write('release/%s.new/half' % release.revision(files), 'interrupted')
    name = release.write(files, target)
    self.assertEqual(release.write(files, target), name)
    self.assertEqual(os.listdir(target), [name])
    self.assertEqual(
      {str(path.relative_to(target / name)): path.read_bytes()
       for path in (target / name).rglob('*') if path.is_file()}, files)

  def test_a_stale_or_missing_file_is_said_before_the_build(self):
    self.write('part.in', 'changed')
    with self.assertRaisesRegex(Failure, 'part.in is not what .*: run make'):
      release.content(self.folder)
    (self.folder / 'part.in').unlink()
    with self.assertRaisesRegex(Failure, 'part.in is pinned .*: run make'):
      release.content(self.folder)

  def test_the_project_has_all_that_its_release_needs(self):
    self.assertIn('resilient/command.py', release.pins())
    self.assertTrue((release.PROJECT / 'software.cfg').exists())

  def test_a_release_is_served_and_the_server_is_known(self):
    target = self.folder / 'release'
    name = release.write(release.content(self.folder), target)
    port = free_port()
    node = self.folder / 'node'
    self.addCleanup(processes.end_node, node)
    log = self.folder / 'server.log'
    for _ in range(2):  # The second time it is there.
      url = release.serve(target, name, '::1', port, node, log)
      self.assertEqual(
        url, 'http://[::1]:%d/%s/software.cfg' % (port, name))
      self.assertEqual(len(processes.of_node(node)), 1)
    processes.end_node(node)
    self.assertEqual(processes.of_node(node), [])
