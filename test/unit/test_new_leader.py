"""A leader that does not know all that was sealed before it hides no change
from a PBS that does."""
import os
import shutil

from resilient import exporter
from resilient.durable import remove, write_json

from .test_changes import FIRST, SameTimeCase


class TestNewLeader(SameTimeCase):
  """Every file that is written is of the same second."""

  def setUp(self):
    super().setUp()
    self.export_and(True, 'one')

  def forget(self):
    """Let the leader not know what was sealed."""
    for name in ('sealed.json', 'sealed.manifest', 'dropped.json'):
      remove(self.leader.configuration.state(name))

  def copy(self):
    """A clone gets a copy of the dump."""
    shutil.copytree(self.leader.dump, self.path('copy'), symlinks=True)

  def take_over(self, epoch=2):
    """Let the leader be what that clone is after a takeover."""
    shutil.rmtree(self.leader.dump)
    shutil.copytree(self.path('copy'), self.leader.dump, symlinks=True)
    self.forget()
    write_json(self.leader.configuration.state('leadership.json'),
               {'epoch': epoch})

  def mtime(self, name='marker'):
    """Return the mtime of a file of the dump."""
    return int(os.stat(os.path.join(self.leader.dump, name)).st_mtime)

  def test_a_file_that_was_gone_in_a_generation_that_was_missed(self):
    self.export_and(False, '')
    self.copy()
    self.take_over()
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('2.3', 'two')

  def test_a_first_export_that_failed_and_left_nothing(self):
    self.export_and(False, '')
    self.copy()
    self.take_over()
    self.remove_all_and_fail()
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('2.1', 'two')

  def test_a_generation_that_the_new_leader_has_not(self):
    self.copy()
    self.export_and(True, 'two')
    self.take_over()
    self.export_and(True, 'six')
    for label, text in (('1.1', 'one'), ('1.2', 'two'), ('2.2', 'six')):
      self.assertRestores(label, text)

  def test_a_change_after_the_first_export(self):
    self.copy()
    self.export_and(True, 'two')
    self.take_over()
    self.export_and(False, 'one')
    self.assertEqual(self.mtime(), FIRST)
    self.export_and(True, 'six')
    for label, text in (('1.1', 'one'), ('1.2', 'two'), ('2.3', 'six')):
      self.assertRestores(label, text)

  def test_a_touch_after_the_first_export(self):
    self.copy()
    self.export_and(True, 'two')
    later = self.mtime()
    self.take_over()
    self.write('one')
    with open(self.leader.at('bin/data-exporter'), 'a',
              encoding='ascii') as program:
      program.write('touch -d @%d "%s/marker"\n' % (later, self.leader.dump))
    self.assertEqual(exporter.main(self.leader.configuration), 0)
    self.assertTrue(self.run_task('pull'), self.message())
    self.assertRestores('1.2', 'two')
    self.assertRestores('2.2', 'one')

  def test_a_leader_that_lost_its_state(self):
    self.export_and(False, '')
    self.copy()
    self.take_over(1)
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.3', 'two')

  def test_a_leader_whose_list_of_files_that_are_gone_is_damaged(self):
    self.export_and(False, '')
    with open(self.leader.configuration.state('dropped.json'), 'w',
              encoding='ascii') as damaged:
      damaged.write('{')
    self.export_and(True, 'two')
    self.assertRestores('1.1', 'one')
    self.assertRestores('1.3', 'two')

  def test_a_new_service_keeps_its_times(self):
    self.forget()
    shutil.rmtree(self.leader.dump)
    for number, text in enumerate(('one', 'two', 'six')):
      self.export_and(False, text)
      self.assertEqual(self.mtime(), FIRST + number)
