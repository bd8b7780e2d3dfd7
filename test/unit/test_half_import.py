"""An import that changed the service and did not complete."""
import os
import pathlib
import unittest.mock

from resilient import clone, half_import, importer, takeover
from resilient.durable import lock
from resilient.master import MasterError
from resilient.status import problems

from .support import killed_before, same_mtime, sealed
from .test_clone import CloneCase
from .test_takeover import TakeoverCase


class TestImport(CloneCase):
  """The clone mends it, and says so until then."""

  def half_load(self, sequence):
    """Let the importer load a part of generation `sequence`, and fail; then be
    as it was."""
    good = self.clone.read('bin/data-importer')
    self.clone.program('data-importer', (
      'echo half > "%s"; exit 4\n' % self.clone.at('srv/live/marker')))
    self.stage(sequence)
    self.assertFalse(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'half\n')
    self.clone.program('data-importer', good)

  def test_what_was_loaded_by_half_is_shown_until_it_is_whole(self):
    self.load(1)
    self.half_load(2)
    self.configuration.store.record('import', 1e9, 1.0, True, '', '')
    self.assertIn(
      'may hold a part of a generation', ' '.join(
        problem.text for problem in problems(self.configuration)))
    with lock(self.configuration.state('import.lock')):
      self.assertNotIn('part', str(problems(self.configuration)))
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 2')
    self.assertNotIn('part', str(problems(self.configuration)))

  def test_what_was_loaded_while_a_push_runs_is_whole(self):
    self.load(1)
    self.clone.program('data-importer', 'echo once >> "%s"\n%s' % (
      self.path('imports'),
      self.clone.read('bin/data-importer').partition('\n')[2]))
    self.stage(2)
    clone.swap(self.configuration)
    with lock(self.configuration.state('staging.lock')):
      for _ in range(2):
        self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.label(clone.imported), '1.2')
    self.assertEqual(
      pathlib.Path(self.path('imports')).read_text('ascii'), 'once\n')

  def test_a_mark_of_it_that_is_damaged_counts(self):
    self.load(1)
    for data in ('', '{}', '[7]'):
      pathlib.Path(self.clone.at('srv/live/marker')).write_text('half')
      pathlib.Path(self.configuration.state('importing.json')).write_text(data)
      self.assertTrue(importer.task(self.configuration))
      self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')

  def test_after_it_the_last_copy_is_loaded_again_if_it_is_damaged(self):
    self.load(1)
    self.half_load(2)
    same_mtime(os.path.join(self.clone.dump, 'marker'), b'oF 2')
    self.assertFalse(importer.task(self.configuration))
    self.assertEqual(self.label(clone.verified), '1.1')
    self.assertTrue(importer.task(self.configuration))
    self.assertEqual(self.clone.read('srv/live/marker'), 'of 1')
    self.assertNotIn('part', str(problems(self.configuration)))


  def test_a_damaged_copy_of_what_is_loaded_is_sent_again(self):
    self.load(1)
    self.stage(2)
    with unittest.mock.patch.object(
        half_import, 'end', side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        importer.task(self.configuration)
    same_mtime(os.path.join(self.clone.dump, 'marker'), b'oF 2')
    self.save()
    for number in range(1, 200):
      self.go_back()
      died = killed_before(number, lambda: importer.task(self.configuration))
      importer.task(self.configuration)
      # What is good is kept, and a PBS is told that nothing newer is here.
      self.assertEqual(self.complete(self.previous), '1.1', number)
      self.assertIsNone(clone.newest(self.configuration), number)
      if not died:
        break
    self.load(2)
    self.assertEqual(self.complete(self.clone.dump), '1.2')
    self.assertNotIn('part', str(problems(self.configuration)))


class TestHalfLoaded(TakeoverCase):
  """An import of 3.8 failed, after it had changed the service."""

  def setUp(self):
    super().setUp()
    self.load()
    self.clone.serve({'marker': 'x', 'other': 'x'})
    sealed(self.clone.dump, {'other': 'x'}, epoch=3, sequence=7)
    self.load(self.clone)
    identity = sealed(
      self.clone.configuration.state('staging'),
      {'marker': 'new', 'other': 'new'}, epoch=3, sequence=8,
      leader='COMP-1/slappart1')
    clone.accept(self.clone.configuration, identity)
    self.good = self.clone.read('bin/data-importer')
    self.importer('exit 1')
    self.assertFalse(importer.task(self.clone.configuration))
    self.assertEqual(self.live(), {'marker': 'half', 'other': 'x'})

  def importer(self, then):
    """The importer writes a part of what it is to load, and then goes on."""
    self.clone.program('data-importer', 'printf half > "%s"\n%s\n' % (
      self.clone.at('srv/live/marker'), then))

  def live(self):
    """Return what the service holds."""
    return {name: self.clone.read('srv/live/' + name)
            for name in ('marker', 'other')}

  def assertForced(self, label):
    """Only who insists is taken over, with generation `label`; return what else
    is said."""
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, 'may hold a part of generation 3.8'):
      self.take_over()
    said, problem = takeover.takeover(self.clone.configuration, force=True)
    self.assertIn('with generation %s of' % label, said)
    self.assertTakenOver()
    return problem

  def test_who_insists_gets_it_whole(self):
    self.clone.program('data-importer', self.good.partition('\n')[2])
    self.assertEqual(self.assertForced('3.8'), '')
    self.assertEqual(self.live(), {'marker': 'new', 'other': 'new'})

  def test_or_where_nobody_knows_what_is_loaded(self):
    self.clone.program('data-importer', self.good.partition('\n')[2])
    path = self.clone.configuration.state('imported.json')
    with open(path, 'w', encoding='ascii') as target:
      target.write('{')
    self.assertIn('with generation 3.8 ', self.take_over(force=True))
    self.assertEqual(self.live(), {'marker': 'new', 'other': 'new'})

  def test_or_the_one_before_where_it_cannot_be_loaded(self):
    self.importer('grep -q x "%s/other" || exit 1\n%s' % (
      self.clone.dump, self.good.partition('\n')[2]))
    self.assertEqual(self.assertForced('3.7'), '')
    self.assertEqual(self.live(), {'marker': 'x', 'other': 'x'})

  def test_or_the_one_before_where_it_is_damaged(self):
    self.clone.program('data-importer', self.good.partition('\n')[2])
    same_mtime(os.path.join(self.clone.dump, 'marker'), b'NEW')
    self.assertEqual(self.assertForced('3.7'), '')
    self.assertEqual(self.live(), {'marker': 'x', 'other': 'x'})

  def test_without_a_master_nothing_is_loaded(self):
    before = self.live(), clone.verified(self.clone.configuration)
    master = self.master_that_raises(MasterError('gone'))
    with self.assertRaisesRegex(MasterError, 'gone'):
      self.take_over(force=True, master=master)
    self.assertEqual(
      before, (self.live(), clone.verified(self.clone.configuration)))
    self.assertUntouched(self.clone)

  def test_where_neither_can_be_loaded_it_is_said(self):
    self.assertRegex(self.assertForced('3.7'),
                     'may hold a part of generation 3.8, whose import')
