"""Damaged state that is not to be guessed at: a person is told what to do."""
import contextlib
import io
import json
import os
import pathlib
import subprocess

from resilient import essential, gate, manifest, promise
from resilient.durable import write_json
from resilient.status import problems, status

from .partition import ROOT
from .support import generation
from .test_exporter import ExporterCase
from .test_promise import PromiseCase

_DAMAGES = (b'', b'{"half":', b'\xff\xfe', b'[]', b'{}', b'null', b'7',
            b'{"epoch": "two", "done": 7, "generation": 7}')


class TestSeal(ExporterCase):
  """sealed.json of a leader."""

  def setUp(self):
    super().setUp()
    self.export()
    self.path_of_seal = pathlib.Path(
      self.leader.configuration.state('sealed.json'))

  def each_damage(self):
    """Yield for each damage of the seal."""
    for damage in _DAMAGES:
      self.path_of_seal.write_bytes(damage)
      yield damage

  def asked(self):
    """Return what the gate answers to a PBS."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
      gate.leader_gate(self.leader.configuration, 'generation')
    return json.loads(said.getvalue())

  def test_a_pull_goes_on_with_what_is_in_the_dump(self):
    for damage in self.each_damage():
      with self.subTest(damage=damage):
        answer = self.asked()
        self.assertEqual(answer['generation']['sequence'], 1)
        self.assertEqual((answer['problem'], answer['epoch']), ('', 1))
        # It is made again.
        self.assertEqual(problems(self.leader.configuration), [])

  def test_an_export_goes_on_with_what_is_in_the_dump(self):
    for number, damage in enumerate(self.each_damage(), 2):
      with self.subTest(damage=damage):
        self.assertEqual(self.export(), 0)
        self.assertEqual(self.offered(), ('1.%d' % number, ''))

  def test_it_is_a_problem_as_long_as_it_is_damaged(self):
    for damage in self.each_damage():
      with self.subTest(damage=damage):
        problem, = problems(self.leader.configuration)
        self.assertEqual(problem.topic, 'export')
        self.assertRegex(problem.text, 'sealed.json is damaged: .*; a leader')
        state = status(self.leader.configuration)
        self.assertEqual(state['generation']['sequence'], 1)

  def test_without_the_manifest_nothing_is_guessed(self):
    os.unlink(os.path.join(self.leader.dump, manifest.MANIFEST))
    for damage in self.each_damage():
      with self.subTest(damage=damage):
        with self.assertRaisesRegex(
            essential.DamagedState, 'sealed.json is damaged: .*bin/status'):
          self.asked()
        self.assertEqual(self.export(), 1)
        self.assertRegex(self.message(), 'sealed.json is damaged: .*bin/status')
        problem, *_ = problems(self.leader.configuration)
        self.assertIn('sealed.json is damaged', problem.text)
        self.assertEqual(self.path_of_seal.read_bytes(), damage)


class TestExport(ExporterCase):
  """Other state of a leader."""

  def test_what_is_damaged_fails_an_export_before_it_begins(self):
    self.export()
    self.leader.program('data-exporter', 'touch %s' % self.path('ran'))
    for name in ('leadership.json', 'replaced.json'):
      path = pathlib.Path(self.leader.configuration.state(name))
      for damage in _DAMAGES:
        with self.subTest(name, damage=damage):
          path.write_bytes(damage)
          self.assertEqual(self.export(), 1)
          self.assertRegex(self.message(), '%s is damaged: .*; .*' % name)
          self.assertFalse(os.path.exists(self.path('ran')))
          path.unlink()
          self.assertEqual(self.offered(), ('1.1', ''))
          self.assertIntact('one')

  def test_a_leader_that_was_replaced_is_not_told_to_lead(self):
    self.export()
    configuration = self.leader.configuration
    leadership, replaced = map(pathlib.Path, map(configuration.state, (
      'leadership.json', 'replaced.json')))
    for damage in _DAMAGES:
      leadership.write_bytes(damage)
      for record, why in (
          (json.dumps({'at': 1e9, 'epoch': 2, 'fenced': True, 'pbs': None,
                       'why': 'data1 took over'}), 'data1 took over'),
          ('{', 'replaced.json is damaged, too')):
        with self.subTest(damage=damage, record=record):
          replaced.write_text(record, 'ascii')
          self.assertEqual(self.export(), 1)
          problem, = problems(configuration)
          for text in self.message(), problem.text:
            self.assertRegex(text, (
              'leadership.json is damaged: .*; this leader has been replaced'
              ' \\(%s\\): do not write to that file, unless this one is to lead'
              ' again; then write {"epoch": N} to it' % why))
      replaced.unlink()
      self.assertEqual(self.export(), 1)
      self.assertRegex(
        self.message(), 'leadership.json is damaged: .*; write {"epoch": N}')


class TestShown(PromiseCase):
  """bin/status, and the promises."""

  def assertShown(self, role, name, good):
    """Damage of the state file `name` is one line, here and there; `good`, a
    value, is none."""
    place = self.partition(role, patience=3600)
    path = pathlib.Path(place.configuration.state(name))
    line = '^[^\n]*%s is damaged: [^\n]*; [^\n]+$' % name
    for damage in _DAMAGES:
      with self.subTest(name, damage=damage):
        path.write_bytes(damage)
        self.assertRegex(self.problem(
          promise.Backup, configuration=place.at('etc/resilient.json'),
          topics='freshness'), line)
        problem, = problems(place.configuration)
        self.assertRegex(problem.text, line)
    for options in ((), ('--json',)):
      result = subprocess.run(
        [*place.command('status'), *options], cwd=ROOT, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
      self.assertEqual((result.returncode, result.stdout), (1, ''))
      self.assertRegex(result.stderr.rstrip('\n'), line)
    write_json(path, good)
    status(place.configuration)

  def test_a_leader(self):
    self.assertShown('export', 'leadership.json', {'epoch': 2, 'since': 1e9})
    self.assertShown('export', 'replaced.json', {
      'at': 1e9, 'epoch': 2, 'fenced': False, 'why': 'by another'})

  def test_a_clone(self):
    for name in ('imported.json', 'verified.json', 'staged.json'):
      self.assertShown('import', name, {
        'generation': generation().to_json(), 'at': 1e9})
    # As it was before it told which claims it knows.
    self.assertShown('import', 'takeover.json', {
      'done': ['fenced'], 'title': 'data1', 'at': 1e9, 'leadership': None,
      'broken': 'broken-20010909-014640-slappart2', 'label': '1.1',
      'epoch': 2, 'old': None, 'generation': generation().to_json()})

  def test_a_frozen_leader(self):
    self.assertShown('frozen', 'sealed.json', generation().to_json())
