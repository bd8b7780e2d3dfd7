"""An export that fails, or is killed, at any step."""
import errno
import itertools
import os
import unittest.mock

from resilient import changes, exporter, manifest

from .support import killed_before
from .test_changes import MARKER
from .test_exporter import ExporterCase


class TestFailure(ExporterCase):
  """Whatever fails and when: what a PBS may pull has a number that nothing else
  had, and no size and mtime that other content had."""

  def setUp(self):
    super().setUp()
    self.numbers, self.contents = {}, {}

  def export_of(self, text, status=0):
    """Export a new dump, of the same second, with the marker `text`, or none;
    or fail with `status` after that."""
    marker = MARKER % text if text else 'true'
    self.leader.program('data-exporter', (
      'cd "%s" && rm -rf * .resilient && echo x > other && %s\nexit %d\n' % (
        self.leader.dump, marker, status)))
    self.assertEqual(self.export(), min(status, 1))
    self.look()

  def fail_at_once(self):
    """Run an exporter that fails at once."""
    self.leader.program('data-exporter', 'exit 1\n')
    self.assertEqual(self.export(), 1)
    self.look()

  def look(self):
    """Look at what a PBS may pull now, and return its label, if any."""
    generation, _, problem = exporter.sealed_dump(self.leader.configuration)
    if problem or generation is None:
      return None
    self.assertEqual(generation.digest, self.numbers.setdefault(
      generation.order, generation.digest), generation.label)
    for entry in manifest.scan(self.leader.dump):
      self.assertEqual(entry.sha256, self.contents.setdefault(
        (entry.path, entry.size, entry.mtime), entry.sha256), generation.label)
    return generation.label

  def test_killed_at_any_step(self):
    for step in itertools.count(1):
      with self.subTest(step=step):
        self.export_of('%04da' % step)
        self.export_of('')
        self.leader.program('data-exporter', (
          'cd "%s" && %s\n' % (self.leader.dump, MARKER % '%04db' % step)))
        died = killed_before(step, self.export, also=['os.utime'])
        self.look()
        self.fail_at_once()
        self.export_of('', status=1)
        self.export_of('%04dc' % step)
      if not died:
        break
    self.assertGreater(step, 20)

  def test_a_disk_that_is_full_at_any_step(self):
    for (place, name), times in itertools.product((
        (changes, 'write_json'), (changes, 'write_bytes'),
        (manifest, 'write_bytes'), (exporter, 'write_json')), (1, 9)):
      real, left = getattr(place, name), [None] * times

      def full(path, *rest, real=real, left=left):
        if left and not path.endswith('exporting'):
          left.pop()
          raise OSError(errno.ENOSPC, 'No space left on device')
        real(path, *rest)

      with self.subTest(place=place.__name__, name=name, times=times):
        self.export_of('one')
        self.export_of('')
        self.leader.program('data-exporter', (
          'cd "%s" && rm other && printf two > marker\n' % self.leader.dump))
        with unittest.mock.patch.object(place, name, full):
          self.assertEqual(self.export(), 1)
        self.assertLess(len(left), times)
        said = self.look()
        self.assertIn('generation %s is still there' % said if said
                      else 'no longer be pulled', self.message())
        self.fail_at_once()
        self.export_of('', status=1)
        self.export_of('six')

  def test_a_disk_that_is_full_before_the_exporter_runs(self):
    self.export_of('one')
    # As of a leader of an older release.
    os.unlink(self.leader.configuration.state('sealed.manifest'))
    for place in (changes, exporter):
      with self.subTest(place=place.__name__), unittest.mock.patch.object(
          place, 'write_json', side_effect=OSError(
            errno.ENOSPC, 'No space left on device')):
        self.assertEqual(self.export(), 1)
      self.assertRegex(self.message(), 'No space left.*; nothing was exported')
      self.assertEqual(self.look(), '1.1')

  def test_the_number_is_known_without_seal_and_manifest(self):
    self.export_of('one')
    os.unlink(self.leader.configuration.state('sealed.json'))
    self.export_of('', status=1)
    self.export_of('two')
    self.assertEqual(self.look(), '1.2')
