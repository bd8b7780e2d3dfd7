"""The leader is lost, a clone takes over, and backups go on."""
import unittest
import urllib.parse

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .node import fetch


class TakeoverTest(ResilientTestCase):
  """One story; its parts follow each other."""

  def test_takeover(self):
    tree = self.tree
    roles = tree.roles()

    with self.subTest('before the first backup it refuses, in words'):
      said = tree.clone(1).run('takeover', status=1)
      self.assertIn('No backup downloaded yet', said)
      page = fetch(tree.root.parameters['takeover-data-1-url'])[1]
      self.assertIn('No backup downloaded yet, takeover should not happen now.',
                    page)
      self.assertEqual(roles, tree.roles())

    tree.leader.write('before', 'the loss')
    first = tree.back_up()
    old, winner = tree.leader, tree.clone(1)
    url = tree.root.parameters['takeover-data-1-url']
    password = tree.root.parameters['takeover-data-1-password']

    self.assertTrue(url.startswith('https://'), url)
    with self.subTest('the page says how good the clone is'):
      page = fetch(url, fingerprint=tree.root.parameters[
        'takeover-data-1-fingerprint'])[1]
      self.assertIn('Last valid backup', page)
      self.assertIn(first, page)

    with self.subTest('a wrong password renames nothing'):
      status, page = fetch(url, 'POST', 'password=wrong')
      self.assertEqual(403, status)
      self.assertIn('Password is invalid.', page)
      self.assertEqual(roles, tree.roles())

    old.kill_all()
    form = urllib.parse.urlencode({'password': password})
    status, said = fetch(url, 'POST', form)
    self.assertEqual(200, status, said)
    self.assertTrue(said.startswith('Success.'), said)

    with self.subTest('twice is harmless'):
      self.assertIn('Success', winner.run('takeover'))
      self.assertEqual(winner.partition, tree.roles()['data0'])

    passes = self.converge()
    print('\nworking passes after the takeover: %d' % passes)

    with self.subTest('the roles changed exactly so'):
      now = tree.roles()
      broken, = (title for title in now if title.startswith('broken-'))
      self.assertEqual(old.partition, now[broken])
      self.assertEqual(winner.partition, now['data0'])
      self.assertNotIn(now['data1'], roles.values())
      for title in ('data2', 'PBS (data / 1)', 'PBS (data / 2)'):
        self.assertEqual(roles[title], now[title])

    with self.subTest('the old leader is frozen, with its data'):
      frozen = tree.nodes('stopped')[broken]
      self.assertEqual('frozen', frozen.type)
      self.assertEqual([], frozen.processes())
      data = (frozen.path / 'srv/payload/payload.sqlite').read_bytes()
      self.assertIn(b'the loss', data)

    with self.subTest('the new leader has the data and takes writes'):
      leader = tree.leader
      self.assertEqual(leader.parameters['url'],
                       tree.root.parameters['url'])
      self.assertEqual('the loss', leader.records().get('before'))
      self.assertEqual(204, leader.write('after', 'the takeover'))

    with self.subTest('the second backup reaches the replacement clone'):
      second = tree.back_up()
      self.assertEqual('2', second.partition('.')[0])
      for clone in tree.clones():
        self.assertEqual('the takeover', clone.records().get('after'))
      for pbs in tree.all_pbs():
        generations = pbs.state()['archives']['data']['generations']
        self.assertIn(first, generations)
        self.assertEqual(second, generations[-1])

    self.assertEqual({}, tree.check_promises())


if __name__ == '__main__':
  unittest.main()
