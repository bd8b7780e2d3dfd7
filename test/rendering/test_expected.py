"""What the macros render, to the letter, for each way in which they are called.

After a change that is meant: SAVE_TEST_DATA=1 rewrites ``expected/``, and its
diff is to be read.
"""
import ast
import os
import pathlib
import re
import unittest

from environment.dialect_case import BuildoutTestCase

from .macros import render, ROOT, WITH_CONTEXT, WITHOUT_CONTEXT

_EXPECTED = pathlib.Path(__file__).resolve().parent / 'expected'
_SAVE = os.environ.get('SAVE_TEST_DATA') == '1'
_MONITOR = '''
{%- set monitor_dict = {
  'parameter': {
    'monitor-cors-domains': 'monitor.example.com',
    'monitor-username': '${monitor-instance-parameter:username}',
    'monitor-password': '${monitor-htpasswd:passwd}'},
  'return': ['monitor-base-url']} -%}
'''
# name: (what a root's template does, its imports, its context)
CASES = {
  # As software/kvm calls it.
  'kvm': (_MONITOR + '''
parts =
  {{ parts.replicate("kvm", 2) }}
{{ replicated.replicate("kvm", 2, "kvm-export", "kvm-import",
                        slapparameter_dict=slapparameter_dict,
                        monitor_parameter_dict=monitor_dict) }}
''', WITH_CONTEXT, {'slapparameter_dict': {
    'ram-size': '4096', 'resiliency-backup-periodicity': '7 */2 * * *',
    'nat-rules': '22 80\n443'}}),
  # As software/theia calls it.
  'theia': (_MONITOR + '''
parts +=
  publish
  {{ parts.replicate("theia", clones_amount) }}
{{ replicated.replicate("theia", clones_amount, "export", "import",
                        slapparameter_dict=slapparameter_dict,
                        monitor_parameter_dict=monitor_dict) }}
[request-theia]
return += url username password backend-url ipv6
''', WITH_CONTEXT, {'clones_amount': 2, 'slapparameter_dict': {
    'resilient-clone-number': 1, 'initial-embedded-instance': '{"a": "b"}'}}),
  # As software/slaprunner calls it.
  'runner': ('''
parts +=
  {{ parts.replicate("runner", "3") }}
{{ replicated.replicate("runner", "3", "runner-export", "runner-import") }}
''', WITHOUT_CONTEXT, {}),
  # As the README of the stack calls it.
  'positional': ('''
parts +=
  {{ parts.replicate("Name", "2") }}
[ArgLeader]
config-more = of the leader
[ArgBackup]
config-more = of the clone
{{ replicated.replicate("Name", "2",
                        "mysoftware-export", "mysoftware-import",
                        "ArgLeader", "ArgBackup",
                        slapparameter_dict=slapparameter_dict) }}
''', WITH_CONTEXT, {'slapparameter_dict': {
    'resilient-retired-clones': 'destroyed'}}),
  'leader-alone': ('''
parts =
  {{ parts.replicate("data", "1") }}
{{ replicated.replicate("data", "1", "data-export", "data-import") }}
''', WITHOUT_CONTEXT, {}),
  'two-services': ('''
parts =
  {{ parts.replicate("web", 2) }}
  {{ parts.replicate("base", 1) }}
{{ replicated.replicate("web", 2, "web-export", "web-import",
                        slapparameter_dict=slapparameter_dict) }}
{{ replicated.replicate("base", 1, "base-export", "base-import",
                        slapparameter_dict=slapparameter_dict) }}
''', WITHOUT_CONTEXT, {'slapparameter_dict': {
    '-sla-web1-computer_guid': 'COMP-WEB', '-sla-0-network_guid': 'NET-0'}}),
  'places': ('''
{{ replicated.replicate("runner", "3", "runner-export", "runner-import",
                        slapparameter_dict=slapparameter_dict) }}
''', WITHOUT_CONTEXT, {'slapparameter_dict': {
    '-sla-1-computer_guid': 'COMP-GRP1',
    '-sla-pbs1-computer_guid': 'COMP-PBS1',
    '-sla-2-computer_guid': 'COMP-GRP2',
    '-sla-runner2-computer_guid': 'COMP-RUN2',
    '-sla-2-network_guid': 'NET-2',
    '-sla-runner0-computer_guid': 'COMP-RUN0'}}),
  'stack-parameters': ('''
{{ replicated.replicate("data", 2, "data-export", "data-import",
                        slapparameter_dict=slapparameter_dict) }}
''', WITHOUT_CONTEXT, {'slapparameter_dict': {
    'resiliency-import-deadline': 3600, 'resiliency-check-interval': 30,
    'resiliency-transfer-deadline': '7200', 'remove-backup-older-than': '1M',
    'resiliency-verification-interval': 600,
    'resiliency-backup-periodicity': ''}}),
}


def readable(text):
  """Return profile `text` with the requests that are made later, a long
  literal, as the lines that they are, and without spaces at ends of lines."""
  def lines(match):
    return '\n'.join('  | ' + line if line else '  |' for line in (
      match[1], *ast.literal_eval(match[2]).strip().splitlines()))
  text = re.sub(r'(?m)^(retired-requests =) !py!(.*)$', lines, text)
  return re.sub(r'(?m) +$', '', text)


class TestRecipe(BuildoutTestCase):
  """The recipe that renders the templates of instances."""

  def test_it_renders_the_same(self):
    for name, (template, imports, context) in CASES.items():
      with self.subTest(name):
        self.write('root.cfg.in', '').write_text(imports + template, 'utf-8')
        self.buildout('''\
          [buildout]
          parts = root
          [context]
          recipe = slapos.recipe.build
          init = options.update(%r)
          [root]
          recipe = slapos.recipe.template:jinja2
          url = ${buildout:directory}/root.cfg.in
          output = ${buildout:directory}/root.cfg
          import-list =
            rawfile parts %s
            rawfile replicated %s
          context =
            %s
          ''' % (context, *(ROOT / ('template-%s.cfg.in' % macro)
                          for macro in ('parts', 'replicated')),
                 '\n            '.join(
                   'key %s context:%s' % (key, key) for key in context)))
        self.assertEqual(render(template, imports, **context),
                         (self.folder / 'root.cfg').read_text('utf-8'))


class TestExpected(unittest.TestCase):
  """Each case renders what its file holds."""

  maxDiff = None

  def test_each_case_renders_what_was_accepted(self):
    for name, (template, imports, context) in CASES.items():
      with self.subTest(name):
        found = readable(
          render(template, imports, **context)).strip() + '\n'
        path = _EXPECTED / (name + '.txt')
        if _SAVE:
          path.write_text(found, encoding='utf-8')
        self.assertTrue(path.exists(), 'run with SAVE_TEST_DATA=1')
        self.assertEqual(path.read_text('utf-8'), found)

  def test_no_file_is_left_of_a_case_that_is_gone(self):
    self.assertEqual(
      sorted(name + '.txt' for name in CASES),
      sorted(path.name for path in _EXPECTED.iterdir()))
