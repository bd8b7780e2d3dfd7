"""The copies of a clone: one is complete and verified, whatever happens."""
import os
import shutil

from resilient import clone, durable, importer, manifest
from resilient.durable import lock
from resilient.generation import Refused

from .support import (
  killed_before,
  same_mtime,
  sealed,
  TestCase,
  write_tree,
)


class CloneCase(TestCase):
  """A clone, without a PBS."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.configuration = self.clone.configuration
    self.staging = self.configuration.state('staging')
    self.previous = self.configuration.state('previous')

  def arrive(self, sequence, **changes):
    """Let a push bring generation `sequence`; return its Generation."""
    with clone.receiving(self.configuration):
      shutil.rmtree(self.staging)
      return sealed(self.staging, {
        'marker': 'of %d' % sequence, 'folder/inner': 'x'},
        sequence=sequence, **changes)

  def stage(self, sequence):
    """Let generation `sequence` be verified in the staging area."""
    identity = self.arrive(sequence)
    clone.accept(self.configuration, identity)
    return identity

  def load(self, sequence):
    """Let the service hold generation `sequence`."""
    self.stage(sequence)
    self.assertTrue(importer.task(self.configuration))

  def save(self):
    """Remember the partition as it is."""
    os.unlink(self.configuration.store.wake_path)
    shutil.copytree(self.clone.path, self.path('saved'), symlinks=True)

  def go_back(self):
    """Let the partition be as it was saved."""
    shutil.rmtree(self.clone.path)
    shutil.copytree(self.path('saved'), self.clone.path, symlinks=True)

  def complete(self, root):
    """Return the label of the intact copy in `root`, or None."""
    try:
      found = manifest.read(root)
    except manifest.InvalidManifest:
      return None
    return None if manifest.compare(root, found) else found.generation.label

  def label(self, record):
    """Return the label of a state file, by its function in clone.py."""
    found, _ = record(self.configuration)
    return found and found.label


class TestAccept(CloneCase):
  """Verification in the staging area."""

  def assertUnverified(self, identity, reason):
    """`identity` is not accepted, for `reason`, and nothing is swapped."""
    with self.assertRaisesRegex(clone.Unverified, reason):
      clone.accept(self.configuration, identity)
    self.assertIsNone(self.label(clone.staged))
    clone.swap(self.configuration)
    self.assertFalse(os.path.exists(self.clone.dump))

  def test_what_matches_its_manifest_is_accepted_and_queued(self):
    self.stage(1)
    self.assertEqual(self.label(clone.staged), '1.1')
    self.assertEqual(self.configuration.store.pending(), {'import': 1})

  def test_a_flipped_byte_is_refused_and_the_file_is_sent_again(self):
    identity = self.arrive(1)
    same_mtime(os.path.join(self.staging, 'marker'), b'oF 1')
    self.assertUnverified(identity, 'marker: has another sha256')
    self.assertEqual(
      sorted(os.listdir(self.staging)), ['.resilient', 'folder'])

  def test_a_missing_manifest_is_refused(self):
    identity = self.arrive(1)
    os.unlink(os.path.join(self.staging, manifest.MANIFEST))
    self.assertUnverified(identity, 'no manifest')

  def test_another_generation_than_announced_is_refused(self):
    self.assertUnverified(
      self.arrive(2)._replace(sequence=3), 'holds generation 1.2, not 1.3')

  def test_an_older_generation_is_refused(self):
    self.stage(5)
    with self.assertRaisesRegex(Refused, '1.4 .* is older than 1.5'):
      clone.accept(self.configuration, clone.staged(
        self.configuration)[0]._replace(sequence=4))
    self.assertEqual(self.label(clone.staged), '1.5')

  def test_accepting_twice_is_harmless(self):
    identity = self.stage(1)
    clone.accept(self.configuration, identity)
    self.assertEqual(self.label(clone.staged), '1.1')

  def test_a_new_push_ends_what_was_verified_there(self):
    self.stage(1)
    with clone.receiving(self.configuration):
      self.assertIsNone(self.label(clone.staged))


class TestSwap(CloneCase):
  """staging/, the current copy and previous/."""

  def test_the_staged_copy_becomes_the_current_one(self):
    self.stage(1)
    clone.swap(self.configuration)
    self.assertEqual(self.complete(self.clone.dump), '1.1')
    self.assertEqual(self.label(clone.verified), '1.1')
    self.assertIsNone(self.label(clone.staged))

  def test_the_copy_that_was_imported_is_kept_until_the_next_is(self):
    self.load(1)
    self.stage(2)
    clone.swap(self.configuration)
    self.assertEqual(self.complete(self.clone.dump), '1.2')
    self.assertEqual(self.complete(self.previous), '1.1')
    clone.set_imported(
      self.configuration, clone.verified(self.configuration)[0])
    clone.reuse_previous(self.configuration)
    self.assertFalse(os.path.exists(self.previous))
    self.assertEqual(self.complete(self.staging), '1.1')

  def test_a_push_after_a_killed_swap_keeps_the_last_imported_copy(self):
    self.load(1)
    self.stage(2)
    # As a kill right after the exchange leaves it.
    durable.exchange(self.staging, self.clone.dump)
    with clone.receiving(self.configuration):
      self.assertEqual(self.complete(self.clone.dump), '1.2')
      self.assertEqual(self.complete(self.previous), '1.1')
    self.assertEqual(self.label(clone.verified), '1.2')

  def test_a_failing_importer_keeps_the_previous_copy_over_generations(self):
    self.load(1)
    self.clone.program('data-importer', 'exit 1')
    for sequence in (2, 3, 4):
      self.stage(sequence)
      self.assertFalse(importer.task(self.configuration))
      self.assertEqual(self.complete(self.clone.dump), '1.%d' % sequence)
      self.assertEqual(self.complete(self.previous), '1.1')
    self.assertEqual(self.label(clone.imported), '1.1')

  def test_a_copy_with_read_only_folders_can_be_replaced(self):
    for sequence in range(1, 5):
      with clone.receiving(self.configuration):
        shutil.rmtree(self.staging)
        write_tree(self.staging, {'folder/inner': str(sequence)})
        os.chmod(os.path.join(self.staging, 'folder'), 0o555)
        identity = sealed(self.staging, {}, sequence=sequence)
      clone.accept(self.configuration, identity)
      self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.label(clone.imported), '1.4')

  def test_killed_at_any_moment_one_copy_is_complete_and_a_rerun_ends(self):
    self.load(1)
    self.stage(2)
    self.save()
    for number in range(1, 200):
      self.go_back()
      died = killed_before(number, lambda: clone.swap(self.configuration))
      self.assertIn(self.complete(self.clone.dump), ('1.1', '1.2'), number)
      self.assertIn('1.1', map(
        self.complete, (self.clone.dump, self.staging, self.previous)), number)
      self.assertIn(self.label(clone.verified), ('1.1', '1.2'))
      clone.swap(self.configuration)
      self.assertEqual(self.complete(self.clone.dump), '1.2', number)
      self.assertEqual(self.complete(self.previous), '1.1', number)
      self.assertEqual(self.label(clone.verified), '1.2')
      self.assertIsNone(self.label(clone.staged))
      if not died:
        self.assertGreater(number, 10)
        return
    self.fail('it never completes')

  def test_killed_at_any_moment_of_an_import_the_rerun_imports(self):
    self.load(1)
    self.stage(2)
    self.save()
    for number in range(1, 400, 3):
      self.go_back()
      died = killed_before(
        number, lambda: importer.task(self.configuration))
      self.assertTrue(importer.task(self.configuration), number)
      self.assertEqual(self.label(clone.imported), '1.2', number)
      self.assertEqual(self.clone.read('srv/live/marker'), 'of 2')
      if not died:
        return
    self.fail('it never completes')

  def test_a_push_that_runs_delays_no_import_of_what_is_there(self):
    self.stage(1)
    clone.swap(self.configuration)
    with lock(self.configuration.state('staging.lock')):
      clone.swap(self.configuration)
    self.assertEqual(self.label(clone.verified), '1.1')
