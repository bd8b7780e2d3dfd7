"""The macros of a root instance: parts, requests, publication, monitor."""
import ast
import unittest

from .macros import parts, render, replicate, WITH_CONTEXT, WITHOUT_CONTEXT


def data(count, more='', **context):
  """Return the sections of a service ``data`` of `count` instances."""
  return replicate('"data", %r, "export", "import"%s' % (count, more),
                   **context)


def requests(sections):
  """Return the names of the sections that are requests."""
  return {name for name in sections if name.startswith('request-')
          and not name.endswith('-guid')}


class TestParts(unittest.TestCase):
  """parts.replicate"""

  def test_each_part_is_a_section_and_each_request_a_part(self):
    for count in ('1', '2', '3', 4):
      sections = data(count)
      listed = parts('"data", %r' % count)
      self.assertLessEqual(set(listed), set(sections), count)
      self.assertEqual(requests(sections), requests(listed))

  def test_the_leader_counts(self):
    clone = 'request-data-pseudo-replicating-'
    self.assertEqual(
      [name for name in parts('"data", "3"') if name.startswith(clone)],
      [clone + '1', clone + '2'])

  def test_they_fit_into_the_option_of_the_caller(self):
    text = render('[buildout]\nparts =\n  {{ parts.replicate("data", 2) }}\n')
    for line in text.splitlines()[2:]:
      self.assertTrue(not line or line.startswith('  '), line)


class TestRequests(unittest.TestCase):
  """replicated.replicate"""

  def test_names_and_types_are_those_of_the_interface(self):
    found = {section['name']: section['software-type']
             for section in data('3').values() if 'name' in section}
    self.assertEqual(found, {
      'data0': 'export', 'data1': 'import', 'data2': 'import',
      'PBS (data / 1)': 'pull-backup', 'PBS (data / 2)': 'pull-backup',
      'PBS 1 pulling from data0': 'pull-backup',
      'PBS 2 pulling from data0': 'pull-backup',
      'PBS pushing on data1': 'pull-backup',
      'PBS pushing on data2': 'pull-backup'})

  def test_a_number_and_a_text_are_the_same(self):
    self.assertEqual(data(3), data('3'))

  def test_with_and_without_context_are_the_same(self):
    call = '{{ replicated.replicate("data", 2, "e", "i", "", "", given) }}'
    given = {'a': [1, '$'], 'b': '%\n'}
    self.assertEqual(
      render(call, WITHOUT_CONTEXT, given=given),
      render(call, WITH_CONTEXT, given=given, dumps=lambda _: 'by dumps'))

  def test_positions_and_keywords_are_the_same(self):
    context = {'given': {'a': 'b'}, 'monitor': {'return': 'x'}}
    self.assertEqual(
      replicate('"data", 2, "e", "i", "L", "B", given, monitor', **context),
      replicate(
        'namebase="data", nbbackup=2, typeexport="e", typeimport="i",'
        ' heriteLeader="L", heriteBackup="B", slapparameter_dict=given,'
        ' monitor_parameter_dict=monitor', **context))

  def test_one_instance_has_neither_clone_nor_pbs(self):
    self.assertEqual({'request-data'}, requests(data('1')))

  def test_the_users_sections_are_inherited_from(self):
    sections = data(2, ', "ArgLeader", "ArgBackup", given', given={'n': 1})
    for name, bases in (
        ('request-data', ['replicated-request-base',
                          'replicated-request-serialised', 'ArgLeader']),
        ('request-data-pseudo-replicating-1', ['replicated-request-base',
                                               'ArgBackup']),
        ('request-pbs-data-1', ['replicated-request-base'])):
      self.assertEqual(sections[name]['<'].split(), bases)

  def test_parameters_of_the_user_go_to_the_leader_and_places_to_nobody(self):
    given = {'colour': 'blue', 'deep': {'a': [1]}, '-sla-1-computer_guid': 'X'}
    kept = ast.literal_eval(repr(given))
    sections = data(2, ', slapparameter_dict=given', given=given)
    self.assertEqual(sections['request-data']['config-colour'], 'blue')
    self.assertEqual(given, kept, 'what the caller gave is not changed')
    for section in sections.values():
      self.assertFalse([key for key in section if 'config--sla' in key])
    self.assertNotIn(
      'config-colour', sections['request-data-pseudo-replicating-1'])

  def test_the_stacks_parameters_go_where_they_are_needed_if_given(self):
    names = {
      'resiliency-import-deadline': {'request-data-pseudo-replicating-1'},
      'resiliency-transfer-deadline': {'request-pbs-data-1'},
      'resiliency-verification-interval': {'request-pbs-data-1'},
      'resiliency-check-interval': {
        'request-data-pseudo-replicating-1', 'request-pbs-data-1'},
      'remove-backup-older-than': {'request-pull-backup-server-data-1'}}
    for value in (60, '60', '', None):
      given = dict.fromkeys(names, value)
      sections = data(2, ', slapparameter_dict=given', given=given)
      for name, expected in names.items():
        with self.subTest(name, value=value):
          self.assertEqual({'request-data'} | (expected if value else set()), {
            section for section in sections
            if 'config-' + name in sections[section]})
    self.assertFalse([
      name for section in data(2).values() for name in section
      if 'resiliency' in name or 'older' in name])

  def test_members_have_the_secret_and_shared_instances_have_not(self):
    sections = replicate('"data", 3, "export", "import"')
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
      sections = replicate(
        '"data", 2, "export", "import", slapparameter_dict=given', given=given)
      self.assertEqual(
        sections['request-data-pseudo-replicating-1'].get(key), expected)

  def test_what_is_published_is_that_of_the_interface(self):
    published = data(3)['publish-connection-information']
    self.assertEqual(set(published) - {'recipe'}, {
      key % id for id in (1, 2) for key in (
        'takeover-data-%d-url', 'takeover-data-%d-password',
        'takeover-data-%d-fingerprint',
        'feed-url-data-%d-pull', 'feed-url-data-%d-push')})

  def test_each_peer_asks_for_what_the_other_side_publishes(self):
    sections = data(3)
    for name, section in sections.items():
      for value in section.values():
        for word in value.split():
          if ':connection-' in word and not word.startswith('!py!'):
            reference = word.partition('${')[2].partition('}')[0]
            source, _, key = reference.partition(':connection-')
            if source in sections:
              self.assertIn(key, sections[source]['return'].split(), name)


class TestMonitor(unittest.TestCase):
  """monitor_parameter_dict"""

  _ALL = ('request-data', 'request-data-pseudo-replicating-1',
          'request-pbs-data-1')

  def monitored(self, **monitor):
    """Return the sections with this dictionary."""
    return data(2, ', monitor_parameter_dict=monitor', monitor=monitor)

  def test_parameters_go_to_all_and_results_come_back(self):
    for returned in ('monitor-url more', ['monitor-url', 'more']):
      sections = self.monitored(
        parameter={'monitor-x': '1', 'monitor-y': '${a:b}'},
        **{'return': returned})
      for name in self._ALL:
        self.assertEqual(sections[name]['config-monitor-x'], '1')
        self.assertEqual(sections[name]['config-monitor-y'], '${a:b}')
        self.assertEqual(
          ['monitor-url', 'more'], sections[name]['return'].split()[-2:])
      self.assertNotIn('monitor-base-url-dict', sections)

  def test_one_that_the_user_gives_as_well_is_there_once(self):
    sections = data(
      2, ', "", "", given, monitor', given={'monitor-x': 'of the user'},
      monitor={'parameter': {'monitor-x': 'of the profile'}})
    for name in self._ALL:
      self.assertEqual('of the profile', sections[name]['config-monitor-x'])

  def test_urls_are_collected_unless_told_otherwise(self):
    urls = {'data0': 'request-data',
            'data1': 'request-data-pseudo-replicating-1',
            'pbs-data-1': 'request-pbs-data-1'}
    asked = {'return': ['monitor-base-url']}
    for monitor, collected in (
        (asked, True), ({**asked, 'set-monitor-url': True}, True),
        ({'set-monitor-url': 'true'}, True), ({}, False),
        ({**asked, 'set-monitor-url': False}, False),
        ({**asked, 'set-monitor-url': 'False'}, False)):
      with self.subTest(monitor):
        sections = self.monitored(**monitor)
        self.assertEqual(
          {key: '${%s:connection-monitor-base-url}' % section
           for key, section in urls.items()} if collected else None,
          sections.get('monitor-base-url-dict'))
        for name in self._ALL:
          self.assertEqual(
            collected or 'return' in monitor,
            'monitor-base-url' in sections[name]['return'].split())


if __name__ == '__main__':
  unittest.main()
