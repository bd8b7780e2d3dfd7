"""Contents of a partition: made aside, and switched to in one step."""
import contextlib
import os
import pathlib
import shutil
import tempfile
import threading
import time
import unittest.mock

from database.contents import Contents, copy_tree, remove_tree

from .support import TestCase


class ContentsTest(TestCase):
  """Each test is one claim."""

  def setUp(self):
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix='contents-'))
    self.addCleanup(shutil.rmtree, self.folder)
    self.contents = Contents(str(self.folder / 'srv'))

  def make(self, text):
    """Make a content that holds `text`, and switch to it."""
    with self.contents.new() as path:
      pathlib.Path(path, 'text').write_text(text)
      self.contents.switch(path)

  def read(self):
    """Return what the current content holds."""
    return (self.folder / 'srv/current/text').read_text()

  def test_there_is_none_at_first(self):
    self.assertIsNone(self.contents.current())

  def test_switch(self):
    self.make('first')
    self.assertEqual('first', self.read())
    first = self.contents.current()
    self.make('second')
    self.assertEqual('second', self.read())
    self.contents.remove_others()
    self.assertFalse(os.path.exists(first))
    self.assertEqual('second', self.read())

  def test_failure_leaves_nothing_but_what_was_there(self):
    self.make('first')
    before = sorted(os.listdir(self.folder / 'srv'))
    with self.assertRaises(ZeroDivisionError), self.contents.new() as path:
      pathlib.Path(path, 'text').write_text('half')
      raise ZeroDivisionError
    self.assertEqual(before, sorted(os.listdir(self.folder / 'srv')))

  def test_failure_after_the_switch_keeps_the_new_one(self):
    with self.assertRaises(ZeroDivisionError), self.contents.new() as path:
      pathlib.Path(path, 'text').write_text('new')
      self.contents.switch(path)
      raise ZeroDivisionError
    self.assertEqual('new', self.read())

  def test_leftovers_of_a_killed_run_are_removed(self):
    self.make('first')
    leftover = self.folder / 'srv/2'
    (leftover / 'sub').mkdir(parents=True)
    (leftover / 'sub/file').write_text('half')
    (leftover / 'sub').chmod(0o500)
    (self.folder / 'srv/current.new').symlink_to('2')
    self.make('second')
    self.assertEqual('second', self.read())
    self.assertFalse((leftover / 'sub').exists())

  def test_copy_has_all_but_what_is_no_file(self):
    source = self.folder / 'source'
    (source / 'empty').mkdir(parents=True)
    (source / 'file').write_text('x')
    (source / 'link').symlink_to('/nonexistent')
    os.mkfifo(source / 'fifo')
    copy_tree(source, self.folder / 'target')
    self.assertEqual(['empty', 'file', 'link'],
                     sorted(os.listdir(self.folder / 'target')))
    self.assertEqual('/nonexistent',
                     os.readlink(self.folder / 'target/link'))

  def test_what_an_orphan_still_writes_into_goes_when_it_ends(self):
    folder = self.folder / 'srv'
    end = time.monotonic() + 1

    def write():
      while time.monotonic() < end:
        with contextlib.suppress(OSError):
          (folder / 'a/b').mkdir(parents=True, exist_ok=True)
          (folder / 'a/b' / str(time.monotonic())).touch()

    orphan = threading.Thread(target=write)
    orphan.start()
    time.sleep(0.1)
    remove_tree(folder)
    orphan.join()
    remove_tree(folder)
    self.assertFalse(folder.exists())

  def test_what_an_orphan_removes_meanwhile_is_gone(self):
    folder = self.folder / 'srv'
    (folder / 'a').mkdir(parents=True)
    for name in ('b', 'c'):
      (folder / 'a' / name).touch()
    remove, names = os.unlink, []

    def unlink(name, **where):
      if name not in names:
        names.append(name)
        remove(name, **where)
      remove(name, **where)

    with unittest.mock.patch('os.unlink', unlink):
      remove_tree(folder)
    self.assertFalse(folder.exists())
    self.assertEqual({'b', 'c'}, {os.path.basename(name) for name in names})
