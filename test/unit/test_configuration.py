"""Parameters: what is wrong is said with name, value and remedy."""
import json
import os

from resilient import configuration
from resilient.configuration import InvalidConfiguration

from .support import TestCase

_SHARED = {
  'type': 'pull', 'name': 'data', 'title': 'PBS 1 pulling from data0',
  'url': 'ssh://slapuser3@[2001:db8::1]:22000//srv/slapgrid/srv/backup/data',
  'server-key': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5', 'notify': '',
}


class TestConfiguration(TestCase):
  """etc/resilient.json"""

  def error(self, role='export', **options):
    """Return why a partition with `options` is refused."""
    with self.assertRaises(InvalidConfiguration) as caught:
      self.partition(role, **options)
    return str(caught.exception)

  def test_a_right_one_has_numbers_as_numbers(self):
    found = self.partition(
      'export', **{'notifier-port': '22001', 'check-interval': '7'})
    self.assertEqual(found.configuration.notifier_port, 22001)
    self.assertEqual(found.configuration.check_interval, 7)

  def test_what_is_left_out_has_a_default(self):
    found = self.partition('export', **{'patience': '', 'notify': None})
    self.assertEqual(found.configuration.patience, 3 * 3600)
    self.assertEqual(found.configuration.notify, [])

  def test_what_a_parameter_says_has_its_default_in_the_schema_alone(self):
    for role, keys in (
        ('export', ('check-interval', 'periodicity', 'export-deadline')),
        ('import', ('check-interval', 'import-deadline')),
        ('pull-backup', ('check-interval', 'transfer-deadline',
                         'verification-interval', 'remove-backup-older-than'))):
      for key in keys:
        self.assertEqual(
          '%s is missing' % key, self.error(role, **{key: ''}))

  def test_a_task_may_take_as_long_as_its_deadline_says(self):
    for role, seconds in (
        ('export', 3600), ('import', 100 + 3600), ('pull-backup', 600 + 3600)):
      found = self.partition(
        role, **{'import-deadline': 100, 'transfer-deadline': 300})
      self.assertEqual(seconds, found.configuration.longest_task)
    # Before the importer runs what its owner gave, as long as that may take.
    found = self.partition('import', **{
      'import-deadline': 100, 'post-notification-run': '/bin/true'})
    self.assertEqual(200 + 3600, found.configuration.longest_task)

  def test_a_wrong_role_is_refused_with_the_right_ones(self):
    self.assertEqual(
      self.error(role='exporter'),
      "role is 'exporter', and must be one of: export, import, frozen,"
      ' pull-backup')

  def test_a_wrong_value_is_refused_with_name_and_remedy(self):
    for options, message in (
        ({'maximum-age': '-1'}, "maximum-age is '-1', and must be a whole"),
        ({'notifier-port': '65536'},
         "notifier-port is '65536', and must be a port, from 1 to 65535"),
        ({'notifier-port': 'http'}, "notifier-port is 'http', and must be"),
        ({'check-interval': '0'}, "check-interval is '0', and must be a whole"),
        ({'check-interval': '1.5'}, "check-interval is '1.5', and must be"),
        ({'name': '../etc'}, "name is '../etc', and must be letters"),
        ({'exporter': 'bin/exporter'},
         "exporter is 'bin/exporter', and must be an absolute path")):
      with self.subTest(options):
        self.assertIn(message, self.error(**options))

  def test_a_missing_value_is_refused_by_name(self):
    for key in ('name', 'ip', 'exporter'):
      self.assertEqual(self.error(**{key: ''}), '%s is missing' % key)

  def test_shared_instances_that_are_no_list_are_refused(self):
    self.assertIn('shared-instances', self.error(
      'pull-backup', **{'shared-instances': 'x'}))

  def test_a_wrong_cron_expression_is_refused(self):
    self.assertIn("periodicity is 'hurly', and must be",
                  self.error(periodicity='hurly'))

  def test_a_missing_file_says_what_to_do(self):
    with self.assertRaisesRegex(InvalidConfiguration, 'deploy the instance'):
      configuration.load(self.path('none.json'))

  def test_a_damaged_file_is_named(self):
    with open(self.path('half.json'), 'w', encoding='ascii') as output:
      output.write('{"role":')
    with self.assertRaisesRegex(InvalidConfiguration, 'half.json is damaged'):
      configuration.load(self.path('half.json'))


class TestPeer(TestCase):
  """The shared instances of a PBS."""

  def peers(self, *shared, **options):
    """Return (peers, sentences) of a PBS with these shared instances."""
    return self.partition('pull-backup', **{
      'shared-instances': list(shared), **options}).configuration.peers()

  def test_a_peer_is_read_from_its_url(self):
    (peer,), wrong = self.peers(_SHARED)
    self.assertEqual(wrong, [])
    self.assertEqual(
      (peer.name, peer.kind, peer.user, peer.host, peer.port, peer.path),
      ('data', 'pull', 'slapuser3', '2001:db8::1', 22000,
       '/srv/slapgrid/srv/backup/data'))
    self.assertEqual(peer.task, 'pull-data')

  def test_retention_is_the_peers_or_else_the_partitions(self):
    mine = dict(_SHARED, **{'remove-backup-older-than': '3D'})
    self.assertEqual(self.peers(mine)[0][0].older_than, '3D')
    for none in (_SHARED, dict(_SHARED, **{'remove-backup-older-than': ''})):
      self.assertEqual(self.peers(none)[0][0].older_than, '2W')

  def test_a_wrong_retention_removes_nothing_and_stops_no_backup(self):
    for value in ('2 weeks', 'now', '0D', '2W\n', 3):
      wrong = dict(_SHARED, **{'remove-backup-older-than': value})
      (peer,), (sentence,) = self.peers(wrong)
      self.assertEqual((peer.task, peer.older_than), ('pull-data', ''))
      for part in (_SHARED['title'], 'parameter remove-backup-older-than is %r'
                   % value, 'must be a duration of rdiff-backup'):
        self.assertIn(part, sentence)

  def test_a_pbs_without_shared_instances_has_nothing_to_do(self):
    for nothing in ('', None, []):
      found = self.partition('pull-backup', **{'shared-instances': nothing})
      self.assertEqual(found.configuration.peers(), ([], []))

  def test_a_peer_without_url_is_not_deployed_yet(self):
    self.assertEqual(self.peers(dict(_SHARED, url='')), ([], []))

  def test_a_wrong_value_names_the_instance_the_parameter_and_the_remedy(self):
    for key, value, allowed in (
        ('type', 'both', '"pull" or "push"'),
        ('url', 'http://x/', 'like ssh://user@[address]:port/path'),
        ('url', 'ssh://-oProxyCommand=x@[::1]:22/x', 'like ssh://'),
        ('url', 'ssh://user@-oProxyCommand=x:22/x', 'like ssh://'),
        ('url', 'ssh://user@[::1]:22/x\nProxyCommand x', 'like ssh://'),
        ('name', '../data', 'letters, digits'),
        ('name', 'a\n', 'letters, digits'),
        ('server-key', 'key\nHost *', 'an ssh public key')):
      with self.subTest(key=key, value=value):
        peers, (sentence,) = self.peers(dict(_SHARED, **{key: value}))
        self.assertEqual(peers, [])
        for part in (_SHARED['title'], 'parameter %s is %r' % (key, value),
                     allowed):
          self.assertIn(part, sentence)

  def test_a_wrong_peer_does_not_stop_the_others(self):
    (peer,), wrong = self.peers(dict(_SHARED, type='x', name='a'), _SHARED)
    self.assertEqual((peer.name, len(wrong)), ('data', 1))

  def test_two_peers_of_one_name_are_a_mistake_that_is_told(self):
    peers, (sentence,) = self.peers(_SHARED, _SHARED)
    self.assertEqual(len(peers), 1)
    self.assertIn('are named data', sentence)

  def test_one_name_for_a_pull_and_a_push_is_right(self):
    peers, wrong = self.peers(_SHARED, dict(_SHARED, type='push'))
    self.assertEqual([peer.task for peer in peers], ['pull-data', 'push-data'])
    self.assertEqual(wrong, [])


class TestWatched(TestCase):
  """A configuration that changes under a service."""

  def setUp(self):
    super().setUp()
    self.leader = self.partition('export')
    self.watched = configuration.Watched(self.leader.configuration)

  def test_a_change_is_seen(self):
    self.assertFalse(self.watched.changed)
    self.leader.configure(ip='::2')
    self.assertTrue(self.watched.changed)
    self.assertEqual(self.watched.current().ip, '::2')
    self.assertFalse(self.watched.changed)

  def test_a_wrong_one_is_told_and_not_used(self):
    with open(self.leader.at('etc/resilient.json'), 'w',
              encoding='ascii') as output:
      json.dump(dict(self.leader.options, ip=''), output)
    # A clock of the kernel that ticks seldom.
    os.utime(self.leader.at('etc/resilient.json'), (1, 1))
    with self.assertLogs('resilient', 'ERROR') as logs:
      self.assertEqual(self.watched.current().ip, '::1')
    self.assertIn('ip is missing', logs.output[0])

  def test_while_it_is_written_anew_it_is_as_it_was(self):
    path = self.leader.at('etc/resilient.json')
    os.rename(path, path + '.old')
    self.assertFalse(self.watched.changed)
    self.assertEqual(self.watched.current().ip, '::1')
    self.leader.configure(ip='::2')
    self.assertEqual(self.watched.current().ip, '::2')

  def test_a_leader_that_is_frozen_is_ended_by_the_node_and_not_by_that(self):
    self.leader.configure(role='frozen')
    self.assertEqual(self.watched.current().role, 'export')
