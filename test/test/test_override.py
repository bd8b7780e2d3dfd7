"""A release of somebody else overrides what the stack lets it."""
import json
import unittest

import psutil
from zc.buildout import configparser, resilient_values

from . import build, ResilientTestCase, service
from .node import fetch

_ODD = {
  'nested': {'list': [1, 2.5, True, None, {'deep': 'é 東京'}], 'empty': {}},
  'text': 'a$b $$ ${x:y} 100% %(here)s ; # \'"\\', 'lines': 'one\n  two\n\n3\n'}


def parameter_as_seen(node, name):
  """Return the value of [slap-parameter] when `node` was last built."""
  for path in node.path.glob('.installed*.cfg'):
    with open(path) as installed:
      sections = configparser.parse(installed, str(path))
    if 'slap-parameter' in sections:
      return resilient_values.decoded(sections['slap-parameter'][name])
  raise AssertionError('%r has no [slap-parameter]' % node)


def setUpModule():
  """Build the release."""
  build(OverrideTest.SOFTWARE)


class OverrideTest(ResilientTestCase):
  """A release that overrides all that the interface lets it; each test looks
  at one section, after the same cycle."""

  SOFTWARE = 'test/override/software.cfg'
  SERVICE = service.Files
  NAME = 'custom'
  NUMBER = 2
  PUBLISHED = ('url', 'greeting', 'account')

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root, as JSON: any value can be there."""
    return {'_': json.dumps({**super().getInstanceParameterDict(),
                             'odd': _ODD})}

  @classmethod
  def waitForInstance(cls):
    """Deploy the tree, and back it up once for all tests."""
    super().waitForInstance()
    cls.leader, cls.clone = cls.tree.leader, cls.tree.clone(1)
    cls.leader.write('marker', 'overridden')
    cls.tree.back_up()

  def configuration(self, node):
    """Return what the stack was told in partition `node`."""
    return json.loads((node.path / 'etc/resilient.json').read_text())

  def test_the_cycle_works(self):
    self.assertEqual({'marker': 'overridden'}, self.clone.records())
    self.assertEqual({}, self.tree.check_promises())

  def test_parameters_have_values_of_the_profile(self):
    for node in (self.leader, self.clone):
      self.assertEqual('hello', node.parameters['greeting'])
      self.assertEqual('custom', self.configuration(node)['name'])

  def test_parameters_reach_the_leader_as_they_were_given(self):
    self.assertEqual(_ODD, parameter_as_seen(self.leader, 'odd'))

  def test_address(self):
    for node in (self.leader, self.clone):
      self.assertEqual('0:0:0:0:0:0:0:1', node.parameters['ip'])
      self.assertIn('[0:0:0:0:0:0:0:1]:', node.parameters['resilient-ssh-url'])

  def test_directories(self):
    for node in (self.leader, self.clone):
      dump = node.path / 'store/dumps/of-custom'
      self.assertEqual('overridden', (dump / 'marker').read_text())
      self.assertTrue((dump / '.resilient/manifest').is_file())
      self.assertTrue((node.path / 'tmp/scratch').is_dir())
      self.assertTrue((node.path / 'store/resilient').is_dir())
      self.assertFalse((node.path / 'srv/backup').exists())

  def test_exporter(self):
    self.assertIn('dump-files: Number of files', self.leader.log('dumping'))
    self.assertFalse((self.leader.path / 'bin/custom-exporter').exists())

  def test_importer_and_what_runs_before_it(self):
    # The importer loads what the other one made of the dump.
    scratch = self.clone.path / 'tmp/scratch'
    self.assertEqual('overridden', (scratch / 'marker').read_text())
    self.assertFalse((self.clone.path / 'bin/custom-importer').exists())
    self.assertEqual(str(self.clone.path / 'bin/load-files'),
                     self.configuration(self.clone)['importer'])

  def test_time_of_the_backups(self):
    entry = (self.leader.path / 'etc/cron.d/backup').read_text()
    self.assertTrue(entry.startswith('3 3 29 2 * '), entry)
    # An export is late by the same time.
    self.assertEqual('3 3 29 2 *',
                     self.configuration(self.leader)['periodicity'])

  def test_log_of_the_exporter(self):
    self.assertIn('sealed generation 1.1', self.leader.log('dumping'))
    self.assertEqual('', self.leader.log('exporter'))

  def test_ports(self):
    for node in (self.leader, self.clone):
      number = int(node.partition.lstrip('p'))
      self.assertIn(']:241', node.parameters['resilient-ssh-url'])
      self.assertIn(']:%d/' % (22000 + 10 * number + 9),
                    node.parameters['notification-url'])

  def test_takeover_page(self):
    url = self.tree.root.parameters['takeover-custom-1-url']
    self.assertEqual('https://[0:0:0:0:0:0:0:1]:24201/', url)
    self.assertIn('Last valid backup', fetch(url)[1])
    process = psutil.Process(self.clone.pid('resilient-web-takeover-httpd'))
    self.assertEqual('custom', process.environ().get('PAGE_OF_TAKEOVER'))
    # Where the recipe keeps it, as JSON.
    kept = (self.clone.path / 'etc/password-of-takeover').read_text()
    self.assertEqual([self.tree.root.parameters['takeover-custom-1-password']],
                     list(json.loads(kept).values()))
    self.assertFalse((self.clone.path / 'etc/takeover-password').exists())

  def test_published_as_json_by_leader_and_root(self):
    for node in (self.leader, self.tree.root):
      self.assertTrue(node.parameters['account'].endswith(', by getpass'))
      self.assertEqual('hello', node.parameters['greeting'])
    self.assertEqual(self.leader.parameters['url'],
                     self.tree.root.parameters['url'])


if __name__ == '__main__':
  unittest.main()
