"""No content hides behind the size and the time of another one, whatever became
of the file meanwhile; and no writer is missed."""
import mmap
import os
import shutil
import subprocess
import unittest.mock

from resilient import changes, entries, exporter, manifest
from resilient.durable import write_json

from .archive_case import ArchiveCase
from .test_exporter import ExporterCase

FIRST = 1000000000
# Of one second, whatever is in it.
MARKER = 'printf %%s > marker && touch -d @%d marker' % FIRST


class SameTimeCase(ArchiveCase):
  """Every file that is written is of the same second."""

  contents = ()

  def write(self, text):
    """The next dump has the marker `text`, or none; what was there is removed
    first, as by ``rm -rf``."""
    self.leader.program('data-exporter', (
      'cd "%s" && rm -rf * .resilient && echo x > other && %s\n' % (
        self.leader.dump, MARKER % text if text else 'true')))

  def export_and(self, pull, text):
    """Export, and let the PBS pull it, or miss it."""
    self.write(text)
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    if pull:
      self.assertTrue(self.run_task('pull'), self.message())

  def remove_all_and_fail(self):
    """Run an exporter that leaves nothing, and fails."""
    self.leader.program('data-exporter', (
      'rm -rf "%s"/* "%s"/.resilient; exit 1\n' % (
        self.leader.dump, self.leader.dump)))
    self.assertEqual(exporter.main(self.leader.configuration), 1)

  def assertRestores(self, label, text):
    """Generation `label` restores to its manifest, with the marker `text`."""
    self.archive.restore(label, self.path(label))
    with open(self.path(label, 'marker'), encoding='ascii') as source:
      self.assertEqual(source.read(), text)


class TestSameTime(SameTimeCase):
  """What becomes of files, and of exports."""

  def test_of_a_file_that_was_gone_in_a_generation_that_was_missed(self):
    self.export_and(True, 'one')
    self.export_and(False, '')
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.3', 'two')

  def test_of_more_files_that_were_gone_than_are_known_by_name(self):
    with unittest.mock.patch.object(changes, '_MOST', 1):
      self.export_and(True, 'one')
      self.write('one')
      self.leader.program('data-exporter', (
        'cd "%s" && rm -rf * .resilient && touch -d @9 a b c\n'
        % self.leader.dump))
      self.assertEqual(exporter.main(self.leader.configuration), 0)
      self.export_and(False, '')
      self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.4', 'two')

  def test_of_a_name_of_a_file_that_has_several(self):
    self.export_and(True, 'one')
    self.export_and(False, '')
    for text in ('six', 'two'):
      self.write(text)
      with open(self.leader.at('bin/data-exporter'), 'a',
                encoding='ascii') as program:
        program.write('mv marker a && ln a marker\n')
      self.assertEqual(exporter.main(self.leader.configuration), 0)
      # What it has is what is known of it.
      sealed = manifest.read(self.leader.dump).entries
      self.assertEqual(sealed, list(manifest.scan(self.leader.dump)))
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.4', 'two')

  def test_of_a_file_whose_export_failed_meanwhile(self):
    self.export_and(True, 'one')
    self.write('one')
    self.remove_all_and_fail()
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.2', 'two')

  def touch_and_fail(self):
    """Run an exporter that changes a time, and fails."""
    self.leader.program('data-exporter', (
      'touch -d @%d "%s/marker"; exit 1\n' % (FIRST + 5, self.leader.dump)))
    self.assertEqual(exporter.main(self.leader.configuration), 1)

  def test_of_a_time_that_an_export_that_failed_has_left(self):
    self.export_and(False, 'one')
    self.touch_and_fail()
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertEqual(self.labels(), ['1.1'])
    self.write('two')
    with open(self.leader.at('bin/data-exporter'), 'a',
              encoding='ascii') as program:
      program.write('touch -d @%d marker\n' % (FIRST + 5))
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.2', 'two')

  def test_of_a_time_that_cannot_be_put_back(self):
    self.export_and(False, 'one')
    with unittest.mock.patch.object(
        changes.os, 'utime', side_effect=PermissionError('not ours')):
      self.touch_and_fail()
    self.assertFalse(self.run_task('pull'))
    self.assertIn('an export was interrupted', self.message())
    self.export_and(True, 'one')
    self.assertRestores('1.2', 'one')

  def test_of_a_file_that_was_gone_before_a_seal_that_failed(self):
    self.export_and(True, 'one')
    self.export_and(False, '')
    self.write('two')
    with unittest.mock.patch.object(
        manifest, 'write_bytes', side_effect=OSError('No space left')):
      self.assertEqual(exporter.main(self.leader.configuration), 1)
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores(self.labels()[-1], 'two')

  def test_of_an_older_dump_that_was_put_back(self):
    self.export_and(True, 'one')
    shutil.copytree(self.leader.dump, self.path('old'), symlinks=True)
    self.export_and(True, 'two')
    shutil.rmtree(self.leader.dump)
    shutil.copytree(self.path('old'), self.leader.dump, symlinks=True)
    self.export_and(True, 'six')
    for label, text in (('1.1', 'one'), ('1.2', 'two'), ('1.3', 'six')):
      self.assertRestores(label, text)


class TestFurtherNames(ExporterCase):
  """A file that does not change, and has one more name at each export."""

  def setUp(self):
    super().setUp()
    self.link('printf x > one && touch -d @%d one && ln one name1' % FIRST)

  def link(self, command):
    """Export what `command` makes of the dump; return the time of the file."""
    self.leader.program('data-exporter', (
      'cd "%s" && %s\n' % (self.leader.dump, command)))
    self.assertEqual(self.export(), 0)
    time, = {entry.mtime for entry in manifest.read(self.leader.dump).entries
             if entry.path != b'other'}
    return time

  def test_it_keeps_its_time(self):
    for command in ('ln one name2', 'ln one name3', 'ln one 0'):
      self.assertEqual(self.link(command), FIRST)

  def test_a_name_that_had_other_content_gives_it_a_later_time(self):
    self.link('printf y > other && touch -d @%d other' % (FIRST + 5))
    self.assertEqual(self.link('ln -f one other'), FIRST + 6)
    # And so does one that is gone, and comes again.
    self.assertEqual(self.link('rm name1'), FIRST + 6)
    self.assertEqual(self.link('ln one name1'), FIRST + 7)

  def test_two_files_that_become_one_have_the_later_time(self):
    self.link('printf x > other && touch -d @%d other' % (FIRST + 5))
    self.assertEqual(self.link('ln -f one other'), FIRST + 5)

  def test_what_others_may_have_sealed_gives_it_one_later_time(self):
    write_json(self.leader.configuration.state('dropped.json'), {'': FIRST + 5})
    self.assertEqual(self.link('true'), FIRST)
    for name in ('name2', 'name3'):
      self.assertEqual(self.link('ln one ' + name), FIRST + 6)


class TestSealed(ExporterCase):
  """What cannot be sealed, or pulled."""

  def test_a_writer_that_has_a_file_mapped_is_not_missed(self):
    self.leader.serve({'marker': 'x' * 4096})
    self.export()
    path = os.path.join(self.leader.dump, 'marker')
    with open(path, 'r+b') as file, mmap.mmap(file.fileno(), 0) as mapped:
      mapped[0:1] = b'y'
      real, written = os.fsync, []

      def fsync(descriptor):
        if not written and os.path.samestat(
            os.fstat(descriptor), os.stat(path)):
          written.append(1)
          mapped[1:2] = b'z'
        real(descriptor)

      self.leader.program('data-exporter', 'true\n')
      with unittest.mock.patch.object(entries.os, 'fsync', fsync):
        status = exporter.main(self.leader.configuration)
      self.assertEqual(written, [1])
    if status:
      # The kernel wrote the page, by itself, between the two changes.
      self.assertIn('changed while it was sealed', self.message())
      return
    self.assertEqual(manifest.compare(
      self.leader.dump, manifest.read(self.leader.dump)), [])

  def test_a_dump_that_is_a_link_is_refused(self):
    os.makedirs(self.path('elsewhere'))
    os.makedirs(os.path.dirname(self.leader.dump), exist_ok=True)
    os.symlink(self.path('elsewhere'), self.leader.dump)
    self.assertEqual(exporter.main(self.leader.configuration), 1)
    self.assertIn('let it be a directory', self.message())

  def test_folders_that_are_too_deep_are_refused_by_name(self):
    # Python's own way to remove them is as deep.
    self.addCleanup(subprocess.run, ['rm', '-rf', self.leader.dump], check=True)
    for depth in (950, 1200):
      self.leader.program('data-exporter', (
        'mkdir -p "%s" && cd "%s" && mkdir -p $(printf "d/%%.0s" $(seq %d))\n'
        % (self.leader.dump, self.leader.dump, depth)))
      self.assertEqual(exporter.main(self.leader.configuration), 1)
      self.assertIn('900', self.message())
