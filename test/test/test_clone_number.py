"""Clones are added to a running tree, taken away and added again."""
import hashlib
import json
import os
import re
import unittest

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .node import slapos

_SECOND = ('data2', 'PBS (data / 2)')


def digest(folder):
  """Return {path: checksum or target} of all files below `folder`."""
  found = {}
  for path in sorted(folder.rglob('*')):
    name = str(path.relative_to(folder))
    if path.is_symlink():
      found[name] = os.readlink(path)
    elif path.is_file():
      found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
  return found


class CloneNumberTest(ResilientTestCase):
  """One story; its parts follow each other."""

  NUMBER = 2
  parameters = {}

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root, as JSON: any value can be there."""
    return {'_': json.dumps({
      **super().getInstanceParameterDict(),
      'resilient-clone-number': cls.NUMBER - 1, **cls.parameters})}

  @classmethod
  def request(cls, **parameters):
    """Request the root with these parameters; others are as they were."""
    cls.parameters = {
      **cls.parameters,
      **{name.replace('_', '-'): value for name, value in parameters.items()}}
    cls._instance_parameter_dict = cls.getInstanceParameterDict()
    cls.requestDefaultInstance()

  def ask_for(self, clones, **parameters):
    """Have the root ask for a number of clones, and wait until it is so."""
    self.request(resilient_clone_number=clones, **parameters)
    self.tree.number = 1 + clones
    self.converge()

  def assertPublishedOf(self, *clones):
    """The root publishes takeover and feeds of these clones alone."""
    found = map(re.compile(r'-data-(\d+)-').search, self.tree.root.parameters)
    self.assertEqual(
      set(clones), {int(match[1]) for match in found if match})

  def test_number_of_clones(self):
    tree = self.tree

    tree.leader.write('before', 'the second clone')
    first = tree.back_up()
    roles = tree.roles()

    with self.subTest('a mistake is named by the log, and changes nothing'):
      self.request(**{'resilient-clone-number': 2, '-sla-dat2-c': 'X'})
      failure = tree.run_pass().failures[tree.root.partition]
      for word in ('-sla-dat2-c', "'X'", '-sla-data2-'):
        self.assertIn(word, failure)
      self.assertEqual(roles, tree.roles())
      del self.parameters['-sla-dat2-c']

    with self.subTest('a clone that is added gets what there is'):
      self.ask_for(2)
      tree.wait_for_archive(first)
      tree.wait_for_clones(first)
      self.assertEqual('the second clone',
                       tree.clone(2).records().get('before'))
      self.assertPublishedOf(1, 2)
      self.assertEqual({}, tree.check_promises())

    roles = tree.roles()
    clone, pbs = tree.clone(2), tree.pbs(2)
    key = pbs.parameters['ssh-key'].split()[1]
    authorized_keys = tree.leader.path / 'etc/ssh/authorized_keys'
    self.assertIn(key, authorized_keys.read_text())

    with self.subTest('one that is taken away stops, with all its data'):
      archive = pbs.path / 'srv/backup/pbs'
      copy = clone.path / 'srv/backup/data'
      kept = digest(archive), digest(copy)
      self.assertTrue(all(kept))
      self.ask_for(1)
      self.assertEqual(set(_SECOND), set(tree.nodes('stopped')))
      self.assertEqual(roles, tree.roles())
      self.assertEqual([], clone.processes() + pbs.processes())
      self.assertEqual(kept, (digest(archive), digest(copy)))
      self.assertNotIn(key, authorized_keys.read_text())
      self.assertPublishedOf(1)

    with self.subTest('backups go on without it'):
      tree.leader.write('without', 'the second clone')
      second = tree.back_up()
      self.assertEqual({}, tree.check_promises())
      self.assertEqual(kept, (digest(archive), digest(copy)))

    with self.subTest('added again it goes on where it was, and catches up'):
      self.ask_for(2)
      self.assertEqual(roles, tree.roles())
      tree.wait_for_archive(second)
      tree.wait_for_clones(second)
      self.assertEqual('the second clone',
                       tree.clone(2).records().get('without'))
      self.assertEqual([first, second], tree.pbs(2).state()[
        'archives']['data']['generations'])
      self.assertPublishedOf(1, 2)
      self.assertEqual({}, tree.check_promises())

    with self.subTest('it is destroyed if that is asked for, and stays so'):
      self.ask_for(0, resilient_retired_clones='destroyed')
      self.assertEqual(
        {'data1', 'PBS (data / 1)', *_SECOND}, set(tree.nodes('destroyed')))
      self.assertEqual(0, slapos(self.slap, 'report', os.devnull))
      self.assertTrue(self.tree.run_pass().converged)
      self.assertEqual({'root', 'data0'}, set(tree.roles()))
      self.assertFalse(archive.exists() or copy.exists())
      self.assertPublishedOf()

    with self.subTest('a leader alone exports all the same'):
      tree.leader.write('alone', 'and whole')
      tree.back_up()
      dump = tree.leader.path / 'srv/backup/data/payload.sqlite'
      self.assertIn(b'and whole', dump.read_bytes())
      self.assertEqual({}, tree.check_promises())


if __name__ == '__main__':
  unittest.main()
