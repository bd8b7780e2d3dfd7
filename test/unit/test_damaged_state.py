"""State files of a clone that are damaged."""
import json
import os
import pathlib
import shutil

from resilient import clone, importer, takeover
from resilient.master import Master, MasterError
from resilient.status import problems

from .support import killed_before, same_mtime
from .test_clone import CloneCase
from .test_takeover import TakeoverCase

_DAMAGES = ('', '{"gen', '{}', '[]', '7', '{"generation": {}, "at": 1}')


class TestImport(CloneCase):
  """The import."""

  def test_a_state_file_that_is_damaged_is_a_failure_that_names_it(self):
    self.load(1)
    for name in ('staged.json', 'verified.json', 'imported.json'):
      for data in _DAMAGES:
        with self.subTest(name + data):
          self.stage(clone.newest(self.configuration).sequence + 1)
          path = pathlib.Path(self.configuration.state(name))
          good = path.read_bytes() if path.exists() else None
          path.write_text(data, encoding='ascii')
          self.assertFalse(importer.task(self.configuration))
          self.assertIn(
            name + ' is damaged',
            self.configuration.store.last_run('import').message)
          path.unlink()
          if good:
            path.write_bytes(good)
          self.assertTrue(importer.task(self.configuration))


  def test_a_copy_of_which_nothing_is_known_any_more_is_not_believed(self):
    self.load(1)
    identity = clone.verified(self.configuration)[0]
    shutil.copytree(self.clone.dump, self.path('pbs'))
    same_mtime(os.path.join(self.clone.dump, 'marker'), b'oF 1')
    # As the message says.
    os.unlink(self.configuration.state('verified.json'))

    def push():
      with clone.receiving(self.configuration):
        shutil.rmtree(self.staging)
        shutil.copytree(self.path('pbs'), self.staging)

    push()
    self.save()
    for number in range(1, 200):
      self.go_back()
      died = killed_before(
        number, lambda: clone.accept(self.configuration, identity))
      self.assertIn('1.1', map(
        self.complete, (self.clone.dump, self.staging)), number)
      if clone.newest(self.configuration) is None:
        push()
        clone.accept(self.configuration, identity)
      self.assertTrue(importer.task(self.configuration))
      self.assertEqual(self.complete(self.clone.dump), '1.1', number)
      self.assertEqual(self.label(clone.verified), '1.1', number)
      if not died:
        return
    self.fail('it never completes')


class TestTakeover(TakeoverCase):
  """The takeover."""

  def damaged(self, *names):
    """Yield the name of each file, and damage it in each way."""
    self.load()
    saved = self.proxy.save()
    for name in names:
      for data in _DAMAGES:
        with self.subTest(name + data):
          path = pathlib.Path(self.clone.configuration.state(name))
          before = path.read_bytes() if path.exists() else None
          path.write_text(data, encoding='ascii')
          yield name
          path.unlink(missing_ok=True)
          if before:
            path.write_bytes(before)
          self.proxy.restore(saved)
          for made in ('takeover.json', 'leadership.json'):
            pathlib.Path(self.clone.configuration.state(made)).unlink(
              missing_ok=True)
          pathlib.Path(self.clone.at('srv/triggered')).unlink(missing_ok=True)

  def test_what_is_not_needed_prevents_nothing(self):
    for _ in self.damaged('staged.json', 'verified.json'):
      self.take_over(force=True)
      self.assertTakenOver()

  def test_what_is_needed_is_named(self):
    for name in self.damaged('imported.json'):
      before = self.proxy.save()
      with self.assertRaisesRegex(
          takeover.TakeoverRefused, name + ' is damaged: .*remove it'):
        self.take_over(force=True)
      self.assertEqual(self.proxy.save(), before)

  def test_a_journal_is_named_and_can_be_removed(self):
    self.load()
    master = Master(self.clone.configuration)

    def fail(*_):
      raise MasterError('gone')
    master.bang = fail
    with self.assertRaises(MasterError):
      self.take_over(master=master)
    path = pathlib.Path(self.clone.configuration.state('takeover.json'))
    journal = json.loads(path.read_text('ascii'))
    # Those of an earlier release do not have the rest.
    needed = set(journal) - {'claim', 'known', 'gone', 'half', 'told'}
    self.assertEqual(len(needed), 9)
    for data in ('', '[]', '{"done": 1}', *(
        json.dumps({**journal, name: ['damaged', 7]}) for name in needed
        if name != 'done'), *(
        json.dumps({key: journal[key] for key in journal if key != name})
        for name in needed)):
      with self.subTest(data):
        path.write_text(data, encoding='ascii')
        with self.assertRaisesRegex(
            takeover.TakeoverRefused, 'move it away and, .* run bin/takeover'):
          self.take_over()
        problem, = problems(self.clone.configuration)
        self.assertIn('takeover.json is damaged: ', problem.text)
    path.unlink()
    self.assertIn('leads already', self.take_over())
    self.assertLeads(self.clone, self.leader)
