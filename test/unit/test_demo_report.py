"""What the demo shows: who is what, what is wrong, tables and durations."""
from demo import report
from demo.convergence import Instance
from demo.show import duration, table

from .demo_support import COMPLETE, generation, TestCase


class TestReport(TestCase):
  """The table, and what is wrong."""

  def test_rows_and_problems(self):
    def instance(title, number, state='started'):
      return Instance(title, 'slappart%d' % number, '', state, {})
    instances = [
      instance('root', 0), instance('PBS (data / 1)', 1),
      instance('broken-20261123', 2, 'stopped'), instance('data1', 3),
      instance('data0', 4), instance('data2', 5)]
    statuses = {
      'slappart1': {
        'role': 'pull-backup', 'now': 1000, 'problems': [], 'archives': {
          'data': {'generation': generation(2, 7, 400), 'incomplete': False,
                   'generations': ['1.6', '2.7']}}},
      'slappart3': {
        'role': 'import', 'now': 1000, 'generation': generation(1, 6, 990),
        'verified': generation(2, 7),
        'problems': [{'topic': 'import', 'text': 'import failed: no'}]},
      'slappart4': {'role': 'export', 'now': 1000, 'problems': [],
                    'generation': None},
      'slappart5': 'bin/status failed: no'}
    self.assertEqual(report.rows(instances, statuses), [
      ['data0', 'leader', '-', '-', '-', 'slappart4'],
      ['data1', 'clone', '1.6', '10 s', 'yes, 2.7 is loading', 'slappart3'],
      ['data2', '?', '-', '-', '-', 'slappart5'],
      ['PBS (data / 1)', 'PBS', '2.7', '10 min', 'yes, 2 kept', 'slappart1'],
      ['broken-20261123', 'replaced', '-', '-', '-', 'slappart2']])
    self.assertEqual(
      report.problems(instances, statuses, {
        'slappart4': [('sshd', 'RUNNING', 1), ('equeue', 'EXITED', 0)],
        'slappart2': [('sshd', 'STOPPED', 0)]}, COMPLETE), [
          'data0: service equeue is exited',
          'data1: import failed: no',
          'data2: bin/status failed: no'])
    self.assertEqual(
      report.problems([], {}, None, COMPLETE._replace(parameters=['url'])), [
        'the node is not running: make demo',
        'the tree is not complete: not published: url'])

  def test_a_table(self):
    self.assertEqual(table(('a', 'name'), [['1', 'x'], ['long', '']]), (
      'a     name\n----  ----\n1     x\nlong'))

  def test_durations(self):
    self.assertEqual(
      [duration(seconds) for seconds in (-1, 9.6, 600, 7200, 200000)],
      ['0 s', '10 s', '10 min', '2.0 h', '2.3 d'])
