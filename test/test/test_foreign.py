"""A release of somebody else extends the stack, as README.rst says."""
import unittest

from . import build, ResilientTestCase, service


def setUpModule():
  """Build the release."""
  build(ForeignTest.SOFTWARE)


class ForeignTest(ResilientTestCase):
  """A leader, a clone and a PBS; one story."""

  SOFTWARE = 'test/foreign/software.cfg'
  SERVICE = service.Files
  NAME = 'mysoftware'
  NUMBER = 2

  def test_backup_takeover_backup(self):
    tree = self.tree
    self.assertEqual(
      {'root', 'mysoftware0', 'mysoftware1', 'PBS (mysoftware / 1)'},
      set(tree.roles()))
    tree.leader.write('before', 'the loss, ä $')
    tree.leader.write('goes', 'soon')
    tree.back_up()
    tree.leader.delete('goes')
    tree.back_up()

    with self.subTest('what the leader holds is on the clone, and no more'):
      self.assertEqual({'before': 'the loss, ä $'}, tree.clone(1).records())

    with self.subTest('the service and the stack publish together'):
      self.assertLessEqual({'url', 'notification-id', 'resilient-ssh-url'},
                           set(tree.leader.parameters))
      self.assertLessEqual({'url', 'takeover-url', 'takeover-password'},
                           set(tree.clone(1).parameters))

    with self.subTest('parts that are listed by name are there'):
      self.assertIn(str(tree.leader.path / 'bin/exporter'),
                    (tree.leader.path / 'etc/cron.d/backup').read_text())
      tree.clone(1).run('import')

    old, winner = tree.leader, tree.clone(1)
    old.kill_all()
    self.assertIn('Success', winner.run('takeover'))
    self.converge()

    with self.subTest('the clone leads, and the old leader is frozen'):
      self.assertEqual(winner.partition, tree.leader.partition)
      self.assertEqual('mysoftware-export', tree.leader.type)
      frozen, = tree.nodes('stopped').values()
      self.assertEqual((old.partition, 'frozen'),
                       (frozen.partition, frozen.type))
      self.assertEqual('the loss, ä $', (
        frozen.path / 'srv/mysoftware/before').read_text(encoding='utf-8'))

    with self.subTest('backups go on, to a new clone'):
      self.assertEqual({'before': 'the loss, ä $'}, tree.leader.records())
      tree.leader.write('after', 'the takeover')
      tree.back_up()
      self.assertNotEqual(winner.partition, tree.clone(1).partition)
      self.assertEqual(
        {'before': 'the loss, ä $', 'after': 'the takeover'},
        tree.clone(1).records())

    self.assertEqual({}, tree.check_promises())


if __name__ == '__main__':
  unittest.main()
