"""A root instance that is built for real: what reaches the master, and what is
refused before it does."""
import unittest

from .master import MasterTestCase

_ODD = {
  'nested': {'list': [1, 2.5, True, None, {'deep': 'é 東京'}], 'empty': {}},
  'text': 'a$b $$ ${x:y} 100% %(here)s ; # <clone> "\'\\ {{ x }}',
  'lines': 'one\n  two\n\nthree\n',
  'spaces': '  around  ', 'empty': '', 'nothing': None, 'number': 7,
  'truth': False, 'looks': '!py!1', 'tab': 'a\tb\r',
}


class TestParameters(MasterTestCase):
  """What the leader is told."""

  def test_every_value_arrives_as_it_was_given(self):
    given = {'p-' + name: value for name, value in _ODD.items()}
    self.service(2, **given)
    self.converge()
    found = self.parameters('data0')
    self.assertEqual(given, {name: found[name] for name in given})
    self.assertEqual({'namebase': 'data', 'number': '0', 'name': 'data0'}, {
      name: found[name] for name in ('namebase', 'number', 'name')})
    self.assertEqual('ssh-key of PBS (data / 1)', found['authorized-key'])

  def test_texts_need_no_serialised_request(self):
    given = {'p-' + name: value for name, value in _ODD.items()
             if isinstance(value, str)}
    self.service(1, **given)
    self.converge()
    stored = self.parameters_as_stored('data0')
    self.assertNotIn('_', stored)
    for name, value in given.items():
      # In XML an empty value is None.
      self.assertEqual(value, stored[name] or '', name)

  def test_the_users_own_recipe_wins(self):
    self.service(1, '[request-data]\nrecipe = slapos.cookbook:request\n',
                 p=[1, 'two'])
    self.converge()
    self.assertEqual("[1, 'two']", self.parameters_as_stored('data0')['p'])

  def test_a_reference_in_a_parameter_of_the_monitor_is_followed(self):
    self.root_profile(
      '[password]\npasswd = s3cret$$\n'
      '{{ replicated.replicate("data", 2, "export", "import", "", "",'
      ' {"monitor-user": "${password:passwd}"}, {"parameter": {'
      '"monitor-password": "${password:passwd}",'
      '"monitor-user": "${password:passwd}"}}) }}',
      '{{ parts.replicate("data", 2) }}')
    self.converge()
    for title in ('data0', 'data1', 'PBS (data / 1)'):
      found = self.parameters(title)
      self.assertEqual('s3cret$', found['monitor-password'])
      # This text is of the user of the root, and is no reference.
      self.assertEqual('${password:passwd}', found['monitor-user'])


class TestServices(MasterTestCase):
  """What is requested."""

  def test_a_leader_alone(self):
    self.service('1')
    self.converge()
    self.assertEqual({'data0': 'started'}, self.states())
    self.assertEqual({}, self.published())

  def test_two_services_side_by_side(self):
    self.root_profile(
      '[for-leaders]\nconfig-more = leader\n[for-clones]\nconfig-more = clone\n'
      '{{ replicated.replicate("web", "3", "export", "import", "for-leaders",'
      ' "for-clones", given) }}\n'
      '{{ replicated.replicate("base", 2, "export", "import",'
      ' slapparameter_dict=given) }}\n'
      '[publish-connection-information]\nmore = ${request-web:connection-ip}\n',
      '{{ parts.replicate("web", "3") }}\n  {{ parts.replicate("base", 2) }}',
      given={'-sla-web1-computer_guid': 'local',
             '-sla-base0-computer_guid': 'local'})
    self.converge()
    self.assertEqual({
      'web0', 'web1', 'web2', 'PBS (web / 1)', 'PBS (web / 2)', 'base0',
      'base1', 'PBS (base / 1)'}, set(self.states()))
    self.assertEqual({
      *(pattern % (name, number) for name, number in (
        ('web', 1), ('web', 2), ('base', 1)) for pattern in (
          'takeover-%s-%d-url', 'takeover-%s-%d-password',
          'takeover-%s-%d-fingerprint',
          'feed-url-%s-%d-pull', 'feed-url-%s-%d-push')), 'more'},
      set(self.published()))
    for title, more in (('web0', 'leader'), ('web2', 'clone')):
      self.assertEqual(more, self.parameters(title)['more'])
    self.assertNotIn('more', self.parameters('base0'))
    # From now on the leaders are known.
    self.build(0)
    again = self.build(0)
    self.assertNotIn('Installing', again)


class TestRefused(MasterTestCase):
  """Each mistake is one line of the log, and nothing is requested."""

  def assertRefused(self, *words):
    """The build fails with a line that has these words."""
    output = self.build()
    lines = [line for line in output.splitlines() if line.startswith('Error:')]
    self.assertEqual(1, len(lines), output)
    for word in words:
      self.assertIn(word, lines[0])
    self.assertEqual({}, self.states())

  def test_what_is_wrong_is_named_with_what_is_allowed(self):
    for number, parameters, words in (
        ('three', {}, ('data', "'three'", 'whole number, at least 1')),
        (0, {}, ('data', "'0'", 'whole number, at least 1')),
        ('-1', {}, ("'-1'",)), ('1.5', {}, ("'1.5'",)), ('', {}, ("''",)),
        (2, {'-sla-runer0-computer_guid': 'X'}, (
          '-sla-runer0-computer_guid', "'X'", '-sla-0-, -sla-data0-, -sla-1-,'
          ' -sla-data1-, -sla-pbs1-')),
        (2, {'-sla-2-computer_guid': 'X'}, ('-sla-2-computer_guid',)),
        (2, {'-sla-pbs0-computer_guid': 'X'}, ('-sla-pbs0-computer_guid',)),
        (2, {'-sla-1-': 'X'}, ("-sla-1- is 'X'",)),
        (2, {'-sla-1-a b': 'X'}, ("-sla-1-a b is 'X'",)),
        (2, {'resilient-clone-number': 'one'}, (
          'resilient-clone-number', "'one'", 'whole number, at least 0')),
        (2, {'resilient-retired-clones': 'gone'}, (
          'resilient-retired-clones', "'gone'", 'stopped, destroyed')),
        (2, {'name': 'mine'}, ('parameter name', "'mine'", 'stack')),
        (2, {'successor': 'x'}, ('parameter successor', "'x'", 'another name')),
        (2, {'on-notification': 5}, (
          'parameter on-notification', '5', 'stack')),
        (2, {'recipe': 'pancakes'}, (
          'parameter recipe', "'pancakes'", 'give it another name')),
        (2, {'a b': 'x'}, ("'a b'", 'space')),
        (2, {'a=b': 'x'}, ("'a=b'",)), (2, {'a+': 'x'}, ("'a+'",)),
        (2, {'': 'x'}, ("''", 'empty')),
        (2, {'a\nb': 'x'}, ("'a\\nb'",))):
      with self.subTest(number=number, parameters=parameters):
        self.service(number, **parameters)
        self.assertRefused(*words)

  def test_all_mistakes_are_named_at_once(self):
    self.service(2, **{'-sla-9-x': '1', 'resilient-retired-clones': 'gone'})
    self.assertRefused('-sla-9-x', 'resilient-retired-clones')

  def test_a_name_that_no_instance_can_have(self):
    for name in ('my data', '-data', '', 'a]b', 'a\nb', 'é'):
      with self.subTest(name):
        self.root_profile(
          '{{ replicated.replicate(name, 2, "export", "import") }}',
          '{{ parts.replicate(name, 2) }}', name=name)
        self.assertRefused('the name of a replicated service', repr(name),
                           'letters, digits')

  def test_two_services_with_one_name_for_two_instances(self):
    self.root_profile(
      '{{ replicated.replicate("data", 11, "export", "import") }}\n'
      '{{ replicated.replicate("data1", 1, "export", "import") }}',
      '{{ parts.replicate("data", 11) }}\n  {{ parts.replicate("data1", 1) }}')
    self.assertRefused('data10', 'data1')


if __name__ == '__main__':
  unittest.main()
