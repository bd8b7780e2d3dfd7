"""The macros of a root instance: parts, requests, places, publication."""
import configparser
import pathlib
import unittest

import jinja2

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The example of the interface.
_SLA = {
  '-sla-1-computer_guid': 'COMP-GRP1', '-sla-pbs1-computer_guid': 'COMP-PBS1',
  '-sla-2-computer_guid': 'COMP-GRP2', '-sla-2-network_guid': 'NET-2',
  '-sla-runner0-computer_guid': 'COMP-RUN0',
  '-sla-runner2-computer_guid': 'COMP-RUN2',
}


def macro(name):
  """Return the macro ``replicate`` of file `name`."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_ROOT), extensions=['jinja2.ext.do'])
  return environment.get_template(name).module.replicate


def replicate(*arguments, **keywords):
  """Return {section: {option: value}} of a replicated service."""
  parser = configparser.ConfigParser(
    interpolation=None, delimiters=('=',), strict=True)
  parser.optionxform = str
  parser.read_string(
    macro('template-replicated.cfg.in')(*arguments, **keywords))
  return {name: dict(parser[name]) for name in parser.sections()}


class TestParts(unittest.TestCase):
  """parts.replicate"""

  def parts(self, count):
    """Return the parts of a service of `count` instances."""
    return macro('template-parts.cfg.in')('data', count).split()

  def test_each_part_is_a_section_of_the_requests(self):
    for count in ('1', '2', '3', 4):
      sections = replicate('data', count, 'export', 'import')
      parts = self.parts(count)
      self.assertLessEqual(set(parts), set(sections), count)
      self.assertEqual(
        {name for name in sections if name.startswith('request-')
         and not name.endswith('-guid')},
        {name for name in parts if name.startswith('request-')})

  def test_the_leader_counts(self):
    clone = 'request-data-pseudo-replicating-'
    self.assertEqual(
      [name for name in self.parts('3') if name.startswith(clone)],
      [clone + '1', clone + '2'])


class TestRequests(unittest.TestCase):
  """replicated.replicate"""

  def test_names_and_types_are_those_of_the_interface(self):
    found = {
      section['name']: section['software-type']
      for section in replicate('data', '3', 'export', 'import').values()
      if 'name' in section}
    self.assertEqual(found, {
      'data0': 'export', 'data1': 'import', 'data2': 'import',
      'PBS (data / 1)': 'pull-backup', 'PBS (data / 2)': 'pull-backup',
      'PBS 1 pulling from data0': 'pull-backup',
      'PBS 2 pulling from data0': 'pull-backup',
      'PBS pushing on data1': 'pull-backup',
      'PBS pushing on data2': 'pull-backup'})

  def test_a_number_and_a_text_are_the_same(self):
    self.assertEqual(replicate('data', 3, 'export', 'import'),
                     replicate('data', '3', 'export', 'import'))

  def test_one_instance_has_neither_clone_nor_pbs(self):
    sections = replicate('data', '1', 'export', 'import')
    self.assertEqual(
      [name for name in sections if name.startswith('request-')],
      ['request-data'])

  def test_the_users_sections_are_inherited_from(self):
    sections = replicate('data', 2, 'export', 'import', 'ArgLeader',
                         'ArgBackup')
    for name, base in (('request-data', 'ArgLeader'),
                       ('request-data-pseudo-replicating-1', 'ArgBackup')):
      self.assertEqual(sections[name]['<'].split()[-1], base)

  def test_parameters_of_the_user_go_to_the_leader_and_places_to_nobody(self):
    given = {'colour': 'blue', '-sla-1-computer_guid': 'X'}
    kept = dict(given)
    sections = replicate('data', 2, 'export', 'import',
                         slapparameter_dict=given)
    self.assertEqual(sections['request-data']['config-colour'], 'blue')
    self.assertEqual(given, kept, 'what the caller gave is not changed')
    for section in sections.values():
      self.assertFalse([key for key in section if 'config--sla' in key])
    self.assertNotIn(
      'config-colour', sections['request-data-pseudo-replicating-1'])

  def test_monitor_parameters_go_to_all_and_their_results_come_back(self):
    sections = replicate('data', 2, 'export', 'import', monitor_parameter_dict={
      'parameter': {'monitor-x': '1'}, 'return': 'monitor-url'})
    for name in ('request-data', 'request-data-pseudo-replicating-1',
                 'request-pbs-data-1'):
      self.assertEqual(sections[name]['config-monitor-x'], '1')
      self.assertIn('monitor-url', sections[name]['return'].split())

  def test_members_have_the_secret_and_shared_instances_have_not(self):
    sections = replicate('data', 3, 'export', 'import')
    secret = '${resilient-secret-data:passwd}'
    for name, section in sections.items():
      if 'software-type' in section:
        self.assertEqual(
          section.get('config-resilient-secret') == secret,
          'shared' not in section, name)

  def test_plain_http_is_asked_from_the_clones(self):
    key = 'config-resiliency-takeover-tls'
    for given, expected in (({}, None), ({
        'resiliency-takeover-tls': False}, 'False')):
      sections = replicate('data', 2, 'export', 'import',
                           slapparameter_dict=given)
      self.assertEqual(
        sections['request-data-pseudo-replicating-1'].get(key), expected)

  def test_what_is_published_is_that_of_the_interface(self):
    published = replicate('data', 3, 'export', 'import')[
      'publish-connection-information']
    self.assertEqual(set(published) - {'recipe'}, {
      key % id for id in (1, 2) for key in (
        'takeover-data-%d-url', 'takeover-data-%d-password',
        'takeover-data-%d-fingerprint',
        'feed-url-data-%d-pull', 'feed-url-data-%d-push')})

  def test_each_peer_asks_for_what_the_other_side_publishes(self):
    sections = replicate('data', 3, 'export', 'import')
    for name, section in sections.items():
      for value in section.values():
        for word in value.split():
          if ':connection-' in word:
            reference = word.partition('${')[2].partition('}')[0]
            source, _, key = reference.partition(':connection-')
            self.assertIn(key, sections[source]['return'].split(), name)


class TestPlaces(unittest.TestCase):
  """The -sla- parameters."""

  def places(self, name, parameters):
    """Return where instance `name` of service ``runner`` has to be."""
    section, = (
      section for section in replicate(
        'runner', '3', 'export', 'import',
        slapparameter_dict=parameters).values()
      if section.get('name') == name)
    return {key[4:]: value for key, value in section.items()
            if key.startswith('sla-')}

  def test_the_example_of_the_interface(self):
    for name, expected in (
        ('runner0', {'computer_guid': 'COMP-RUN0'}),
        ('runner1', {'computer_guid': 'COMP-GRP1'}),
        ('runner2', {'computer_guid': 'COMP-RUN2', 'network_guid': 'NET-2'}),
        ('PBS (runner / 1)', {'computer_guid': 'COMP-PBS1'}),
        ('PBS (runner / 2)', {
          'computer_guid': 'COMP-GRP2', 'network_guid': 'NET-2'})):
      with self.subTest(name):
        self.assertEqual(self.places(name, _SLA), expected)

  def test_without_a_parameter_networks_differ(self):
    for name in ('runner0', 'runner1', 'PBS (runner / 1)'):
      self.assertEqual(
        self.places(name, {'-sla-9-computer_guid': 'X'}),
        {'mode': 'unique_by_network'})

  def test_one_number_is_no_prefix_of_another(self):
    self.assertEqual(
      self.places('runner1', {'-sla-10-computer_guid': 'X',
                              '-sla-runner11-computer_guid': 'Y'}),
      {'mode': 'unique_by_network'})
