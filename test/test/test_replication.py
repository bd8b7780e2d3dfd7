"""A tree as it is deployed, and data on its way to archives and clones."""
import contextlib
import json
import re
import unittest
import urllib.parse

import feedparser
import jsonschema
import psutil

from demo import convergence, release
from resilient import schema_file

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .node import fetch, wait_until
from .secrecy import leaks, secrets_of


def output_schema(name):
  """Return the schema of what instances of type `name` publish."""
  for file in ('software.cfg.json', 'software.cfg.internal.json'):
    types = json.loads((release.PROJECT / file).read_text())['software-type']
    if name in types:
      return schema_file.read(str(release.PROJECT / types[name]['response']))
  raise KeyError(name)


class ReplicationTest(ResilientTestCase):
  """One tree; every test writes markers of its own."""

  def test_tree_converges_in_four_working_passes(self):
    print('\nworking passes until converged: %d' % self.working_passes)
    self.assertLessEqual(self.working_passes, 4)

  def test_another_pass_changes_nothing(self):
    before = self.tree.roles()
    again = self.tree.run_pass()
    self.assertEqual([], again.processed)
    self.assertTrue(again.converged, again)
    self.assertEqual(before, self.tree.roles())

  def test_every_instance_exists_under_its_name(self):
    self.assertEqual(
      {'root', 'data0', 'data1', 'data2', 'PBS (data / 1)', 'PBS (data / 2)'},
      set(self.tree.roles()))
    self.assertEqual('data-export', self.tree.leader.type)
    for clone in self.tree.clones():
      self.assertEqual('data-import', clone.type)
    for pbs in self.tree.all_pbs():
      self.assertEqual('pull-backup', pbs.type)

  def test_what_is_published_is_what_the_interface_says(self):
    common = {'ssh-public-key', 'resilient-ssh-url', 'ip', 'notification-url',
              'url'}
    self.assertEqual(
      common | {'notification-id'}, set(self.tree.leader.parameters))
    self.assertEqual(
      common | {'takeover-url', 'takeover-password', 'takeover-fingerprint'},
      set(self.tree.clone(1).parameters))
    self.assertEqual(
      {'ssh-key', 'ssh-public-key', 'resilient-ssh-url', 'notification-url',
       'feeds-url', 'monitor-base-url'},
      set(self.tree.pbs(1).parameters))
    self.assertEqual(
      {*convergence.expected_parameters('data', 3), 'url'},
      set(self.tree.root.parameters))

  def test_published_is_exactly_what_the_output_schemas_say(self):
    for node, name in (
        (self.tree.root, 'default'), (self.tree.leader, 'data-export'),
        (self.tree.clone(1), 'data-import'),
        (self.tree.pbs(1), 'pull-backup')):
      with self.subTest(name):
        schema = output_schema(name)
        jsonschema.Draft202012Validator(schema).validate(node.parameters)
        # Nor is anything open: what is not named there is not published.
        self.assertIs(schema['additionalProperties'], False)
    patterns = output_schema('default')['patternProperties']
    for pattern in patterns:
      self.assertTrue(any(
        re.search(pattern, key) for key in self.tree.root.parameters), pattern)

  def test_services_listen_on_the_ports_of_their_partition_alone(self):
    offsets = {'leader': {0, 1, 5}, 'clone': {0, 1, 2, 5}, 'pbs': {0, 1}}
    for role, node in (
        ('leader', self.tree.leader), ('clone', self.tree.clone(1)),
        ('pbs', self.tree.pbs(1))):
      number = int(node.partition.lstrip('p'))
      listening = set()
      for process in node.processes():
        # One that is not a service may end at any moment.
        with contextlib.suppress(psutil.Error):
          listening |= {
            connection.laddr.port for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN}
      self.assertEqual(
        {22000 + 10 * number + offset for offset in offsets[role]}, listening,
        node)

  def test_marker_travels_to_archives_and_clones(self):
    self.assertEqual(204, self.tree.leader.write('travels', 'marker ä\n$'))
    self.tree.back_up()
    for clone in self.tree.clones():
      self.assertEqual('marker ä\n$', clone.records().get('travels'))
    self.assertEqual({}, self.tree.check_promises())

  def test_change_and_deletion_travel_and_make_an_increment(self):
    leader = self.tree.leader
    leader.write('changes', 'first')
    leader.write('goes', 'soon')
    first = self.tree.back_up()
    leader.write('changes', 'second')
    leader.delete('goes')
    second = self.tree.back_up()
    for clone in self.tree.clones():
      records = clone.records()
      self.assertEqual('second', records.get('changes'))
      self.assertNotIn('goes', records)
    for pbs in self.tree.all_pbs():
      generations = pbs.state()['archives']['data']['generations']
      self.assertEqual([first, second], generations[-2:])

  def test_earlier_generation_is_restored_from_the_archive(self):
    leader = self.tree.leader
    leader.write('history', 'then')
    then = self.tree.back_up()
    leader.write('history', 'now')
    self.tree.back_up()
    for pbs in self.tree.all_pbs():
      target = pbs.path / 'srv' / 'restored'
      said = pbs.run(
        'restore', 'data', '--generation', then, '--to', str(target))
      self.assertIn('restored and verified', said)
      data = (target / 'payload.sqlite').read_bytes()
      self.assertIn(b'then', data)
      self.assertIn(then, pbs.run('restore', 'data'))

  def test_drill_restores_a_random_generation_and_is_recorded(self):
    self.tree.back_up()
    for pbs in self.tree.all_pbs():
      label = re.search(r'generation (\d+[.]\d+)',
                        pbs.run('restore', 'data', '--drill'))[1]
      generations = pbs.state()['archives']['data']['generations']
      self.assertIn(label, generations)
      feed = urllib.parse.urljoin(
        pbs.parameters['feeds-url'], 'drill-data')
      self.assertIn('OK: drill-data of generation ' + label, fetch(feed)[1])

  def test_two_exports_in_a_row_end_with_the_newest_everywhere(self):
    leader = self.tree.leader
    leader.write('row', 'a')
    self.tree.export()
    leader.write('row', 'b')
    self.tree.back_up()
    for clone in self.tree.clones():
      self.assertEqual('b', clone.records().get('row'))

  def test_no_secret_can_be_seen(self):
    self.tree.back_up()
    secrets = secrets_of(self.tree)
    self.assertEqual(
      {'takeover-data-1-password', 'takeover-data-2-password',
       *('secret of ' + title for title in self.tree.nodes()
         if title != 'root')}, set(secrets))
    self.assertEqual(3, len(set(secrets.values())), 'one for all members')
    self.assertEqual([], leaks(self.tree))

  def test_strangers_neither_notify_nor_read(self):
    for node in (self.tree.leader, self.tree.clone(1), self.tree.pbs(1)):
      url = node.parameters['notification-url']
      self.assertEqual(403, fetch(url, 'POST', '{"generation": null}')[0])
      for path in ('/get/', '/get/export', '/status'):
        self.assertEqual(404, fetch(urllib.parse.urljoin(url, path))[0])

  def test_the_procedure_by_hand_of_the_readme(self):
    said = self.tree.leader.run('exporter')
    label = re.search(r'sealed generation (\S+)', said)[1]
    self.tree.wait_for_archive(label)
    self.tree.wait_for_clones(label)
    epoch, sequence = map(int, label.split('.'))
    for pbs in self.tree.all_pbs():
      self.assertIn(label, pbs.run('restore', 'data'))
    for clone in self.tree.clones():
      self.assertIn('no problem', clone.run('status'))
      dump = clone.path / 'srv/backup/data'
      with open(dump / '.resilient/manifest') as manifest:
        header = json.loads(manifest.readline())
      self.assertEqual(
        (epoch, sequence), (header['epoch'], header['sequence']))

  def test_clone_refuses_writes(self):
    self.assertEqual(403, self.tree.clone(1).write('intruder', 'x'))
    self.assertNotIn('intruder', self.tree.clone(1).records())

  def test_feeds_tell_of_each_run(self):
    label = self.tree.back_up()
    for key, what in (('pull', 'pull-data'), ('push', 'push-data')):
      url = self.tree.root.parameters['feed-url-data-1-' + key]
      self.assertEqual(200, fetch(url)[0])
      # The clone may be quicker than its PBS, which has to note it.
      said = 'OK: %s of generation %s' % (what, label)
      wait_until(lambda: said in fetch(url)[1], 30,  # noqa: B023
                 '"%s"' % said, self.tree.diagnosis)
    status, text = fetch(self.tree.leader.parameters['notification-id'])
    self.assertIn('OK: export of generation ' + label, text)
    # A feed reader sees all that a PBS ran.
    text = fetch(self.tree.pbs(1).parameters['feeds-url'])[1]
    self.assertLessEqual(
      {'OK: %s-data of generation %s' % (kind, label)
       for kind in ('pull', 'push')},
      {entry.title for entry in feedparser.parse(text).entries})


if __name__ == '__main__':
  unittest.main()
