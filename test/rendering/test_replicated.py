"""What the macros make of a root instance's template, without SlapOS."""
import configparser
import pathlib
import unittest

import jinja2

ROOT = pathlib.Path(__file__).resolve().parents[2]

_TEMPLATE = '''
{%- import 'parts' as parts %}
{%- import 'replicated' as replicated with context -%}
[buildout]
parts =
{{ parts.replicate(name, number) }}
{{ replicated.replicate(name, number, 'export', 'import', 'ArgLeader',
  'ArgBackup', slapparameter_dict=parameters, monitor_parameter_dict=monitor) }}
'''

# The example of the stack's README of old.
_SLA = {
  '-sla-1-computer_guid': 'COMP-GRP1', '-sla-pbs1-computer_guid': 'COMP-PBS1',
  '-sla-2-computer_guid': 'COMP-GRP2',
  '-sla-runner2-computer_guid': 'COMP-RUN2', '-sla-2-network_guid': 'NET-2',
  '-sla-runner0-computer_guid': 'COMP-RUN0'}


def render(name, number, parameters=None, monitor=None):
  """Return the profile of a root instance, as a ConfigParser."""
  sources = {
    'root': _TEMPLATE,
    'parts': (ROOT / 'template-parts.cfg.in').read_text(),
    'replicated': (ROOT / 'template-replicated.cfg.in').read_text()}
  environment = jinja2.Environment(
    undefined=jinja2.StrictUndefined, loader=jinja2.DictLoader(sources))
  text = environment.get_template('root').render(
    name=name, number=number, parameters=parameters or {},
    monitor=monitor or {}, dumps=lambda value: value)
  parser = configparser.ConfigParser(
    interpolation=None, delimiters=('=',), strict=True)
  parser.optionxform = str
  # "<= macro" is an option named "<" for buildout.
  parser.read_string(text.replace('\n<= ', '\n< = '))
  return parser


def sla(section):
  """Return {name: value} of where an instance is asked for."""
  return {key[4:]: value for key, value in section.items()
          if key.startswith('sla-')}


class ReplicatedTest(unittest.TestCase):
  """Each test is one claim of the interface."""

  def test_every_part_that_is_listed_is_defined(self):
    for number in (1, 2, '3', 5):
      profile = render('kvm', number)
      parts = profile['buildout']['parts'].split()
      self.assertEqual(len(set(parts)), len(parts))
      self.assertEqual([], [part for part in parts if part not in profile])

  def test_number_counts_the_leader(self):
    profile = render('kvm', '3')
    names = [section['name'] for section in profile.values()
             if 'name' in section]
    self.assertEqual({
      'kvm0', 'kvm1', 'kvm2', 'PBS (kvm / 1)', 'PBS (kvm / 2)',
      'PBS 1 pulling from kvm0', 'PBS 2 pulling from kvm0',
      'PBS pushing on kvm1', 'PBS pushing on kvm2'}, set(names))

  def test_leader_alone_has_neither_clone_nor_pbs(self):
    profile = render('kvm', '1')
    self.assertEqual('', profile['request-kvm']['config-notify'].strip())
    self.assertFalse(
      [name for name in profile if 'pbs' in name or 'pull' in name])

  def test_requests_inherit_from_the_sections_of_the_caller(self):
    profile = render('kvm', 2)
    self.assertIn('ArgLeader', profile['request-kvm']['<'].split())
    self.assertIn(
      'ArgBackup', profile['request-kvm-pseudo-replicating-1']['<'].split())

  def test_parameters_go_to_the_leader_and_placement_to_nobody(self):
    profile = render('runner', 3, dict(_SLA, colour='blue'))
    self.assertEqual('blue', profile['request-runner']['config-colour'])
    for section in profile.values():
      self.assertFalse([key for key in section if key.startswith(
        'config--sla')], section)
      if section.name != 'request-runner':
        self.assertNotIn('config-colour', section)

  def test_parameters_of_the_caller_are_not_changed(self):
    parameters = dict(_SLA, colour='blue')
    render('runner', 3, parameters)
    self.assertEqual(dict(_SLA, colour='blue'), parameters)

  def test_placement_by_name_beats_placement_by_number(self):
    profile = render('runner', 3, _SLA)
    clone = 'request-runner-pseudo-replicating-%d'
    pbs = 'request-pbs-runner-%d'
    self.assertEqual({'computer_guid': 'COMP-RUN0'},
                     sla(profile['request-runner']))
    self.assertEqual({'computer_guid': 'COMP-GRP1'}, sla(profile[clone % 1]))
    self.assertEqual(
      {'computer_guid': 'COMP-RUN2', 'network_guid': 'NET-2'},
      sla(profile[clone % 2]))
    self.assertEqual({'computer_guid': 'COMP-PBS1'}, sla(profile[pbs % 1]))
    self.assertEqual(
      {'computer_guid': 'COMP-GRP2', 'network_guid': 'NET-2'},
      sla(profile[pbs % 2]))

  def test_without_placement_the_networks_differ(self):
    profile = render('kvm', 2)
    for name in ('request-kvm', 'request-kvm-pseudo-replicating-1',
                 'request-pbs-kvm-1'):
      self.assertEqual({'mode': 'unique_by_network'}, sla(profile[name]))

  def test_shared_instances_go_to_their_pbs(self):
    profile = render('kvm', 3)
    for number in (1, 2):
      for name in ('request-pull-backup-server-kvm-%d',
                   'request-pull-backup-server-kvm-backup-%d'):
        self.assertEqual(
          {'instance_guid': '${request-pbs-kvm-%d-guid:text}' % number},
          sla(profile[name % number]))

  def test_monitoring_reaches_every_instance(self):
    profile = render('kvm', 2, monitor={
      'parameter': {'monitor-cors': 'x'}, 'return': 'monitor-base-url'})
    for name in ('request-kvm', 'request-kvm-pseudo-replicating-1',
                 'request-pbs-kvm-1'):
      self.assertEqual('x', profile[name]['config-monitor-cors'])
      self.assertIn('monitor-base-url', profile[name]['return'].split())

  def test_two_services_stand_side_by_side(self):
    first, second = render('kvm', 2), render('web', 2)
    shared = (set(first) & set(second)) - {
      'DEFAULT', 'buildout', 'replicated-request-base',
      'publish-connection-information'}
    self.assertEqual(set(), shared)


if __name__ == '__main__':
  unittest.main()
