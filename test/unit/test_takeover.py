"""The takeover: refused, done once, repeated, interrupted."""
import pathlib
import shutil

from resilient import clone, exporter, takeover
from resilient.durable import lock, read_json, write_json
from resilient.master import MasterError

from .support import killed_before, sealed, TestCase


class Master:
  """A master of two instances, on disk because its users are killed."""

  def __init__(self, path):
    self._path = path
    if not pathlib.Path(path).exists():
      self._write({
        'names': {'slappart0': 'data0', 'slappart1': 'data1'},
        'frozen': [], 'bangs': 0, 'calls': []})

  def _write(self, state):
    write_json(self._path, state)

  @property
  def state(self):
    """All it knows."""
    return read_json(self._path)

  def _change(self, call, **changes):
    state = self.state
    self._write(dict(state, calls=state['calls'] + [call], **changes))

  def own_name(self):
    """As Master.own_name, of slappart1."""
    return self.state['names']['slappart1']

  def freeze(self, name):
    """As Master.freeze."""
    partition, = (key for key, value in self.state['names'].items()
                  if value == name)
    self._change('freeze ' + name,
                 frozen=sorted({*self.state['frozen'], partition}))
    return 'computer', partition

  def rename(self, _, partition_id, name):
    """As Master.rename."""
    names = dict(self.state['names'])
    if name in names.values() and names[partition_id] != name:
      raise MasterError('there is a %s already' % name)
    names[partition_id] = name
    self._change('rename %s %s' % (partition_id, name), names=names)

  def bang(self, _):
    """As Master.bang."""
    self._change('bang', bangs=self.state['bangs'] + 1)


class Unreachable:
  """A master that is down."""

  def own_name(self):
    """As Master.own_name."""
    raise MasterError('the SlapOS master did not do what it was asked')


class TestTakeover(TestCase):
  """takeover.takeover on clone data1."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import', **{'partition-id': 'slappart1'})
    self.configuration = self.clone.configuration
    self.master = Master(self.path('master.json'))

  def load(self):
    """Let the service hold generation 3.7."""
    identity = sealed(self.clone.dump, {'marker': 'x'}, epoch=3, sequence=7)
    for name in ('verified.json', 'imported.json'):
      write_json(self.configuration.state(name), {
        'generation': identity.to_json(), 'at': 1e9})

  def take_over(self):
    """Run the takeover."""
    return takeover.takeover(self.configuration, self.master)

  def assertTakenOver(self):
    """data1 is data0 now, the old one is frozen, and nothing else changed."""
    state = self.master.state
    self.assertEqual(state['names']['slappart1'], 'data0')
    self.assertRegex(state['names']['slappart0'], r'^broken-\d{8}-\d{6}$')
    self.assertEqual(state['frozen'], ['slappart0'])
    self.assertGreaterEqual(state['bangs'], 1)
    self.assertEqual(read_json(
      self.configuration.state('leadership.json'))['epoch'], 4)
    self.assertTrue(
      pathlib.Path(self.configuration.takeover_triggered).exists())
    self.assertEqual(
      read_json(self.configuration.state('takeover.json'))['done'],
      ['fenced', 'frozen', 'renamed', 'banged'])

  def test_before_the_first_import_it_is_refused_and_changes_nothing(self):
    with self.assertRaisesRegex(
        takeover.TakeoverRefused, 'No backup downloaded yet'):
      self.take_over()
    self.assertEqual(self.master.state['calls'], [])
    for name in ('takeover.json', 'leadership.json'):
      self.assertIsNone(read_json(self.configuration.state(name)))

  def test_the_clone_leads_and_the_old_leader_is_frozen(self):
    self.load()
    self.assertEqual(
      self.take_over(), 'data1 is now data0, with generation 3.7 of the data.')
    self.assertTakenOver()
    broken = self.master.state['names']['slappart0']
    self.assertEqual(self.master.state['calls'], [
      'freeze data0', 'rename slappart0 ' + broken, 'rename slappart1 data0',
      'bang'])

  def test_run_twice_it_changes_nothing_more(self):
    self.load()
    self.take_over()
    before = self.master.state
    self.assertIn('leads already', self.take_over())
    self.assertEqual(self.master.state, before)
    self.assertTakenOver()

  def test_on_the_leader_itself_it_changes_nothing(self):
    self.load()
    self.master.rename('', 'slappart0', 'other')
    self.master.rename('', 'slappart1', 'data0')
    before = self.master.state
    self.assertIn('data0 leads already', self.take_over())
    self.assertEqual(self.master.state, before)
    self.assertIsNone(read_json(self.configuration.state('takeover.json')))

  def test_killed_at_any_moment_the_rerun_ends_in_the_same_state(self):
    self.load()
    shutil.copytree(self.clone.path, self.path('saved'),
                    ignore=shutil.ignore_patterns('*.wake'))
    for number in range(1, 200):
      shutil.rmtree(self.clone.path)
      shutil.copytree(self.path('saved'), self.clone.path)
      pathlib.Path(self.path('master.json')).unlink()
      self.master = Master(self.path('master.json'))
      died = killed_before(number, self.take_over)
      self.take_over()
      self.assertTakenOver()
      if not died:
        self.assertGreater(number, 20)
        return
    self.fail('it never completes')

  def test_a_master_that_is_down_changes_nothing_and_can_be_tried_again(self):
    self.load()
    with self.assertRaises(MasterError):
      takeover.takeover(self.configuration, Unreachable())
    self.assertIsNone(read_json(self.configuration.state('takeover.json')))
    self.take_over()
    self.assertTakenOver()

  def test_a_master_that_goes_down_in_the_middle_is_asked_again(self):
    self.load()
    for method in ('freeze', 'rename', 'bang'):
      def fail(*_):
        raise MasterError('gone')
      setattr(self.master, method, fail)
      with self.assertRaises(MasterError):
        self.take_over()
      delattr(self.master, method)
    self.take_over()
    self.assertTakenOver()

  def test_during_an_import_it_waits_and_then_says_why_not(self):
    self.load()
    with lock(self.configuration.state('import.lock')):
      with self.assertRaisesRegex(
          takeover.TakeoverRefused, 'a takeover or an import is running'):
        self.take_over()
    self.assertEqual(self.master.state['calls'], [])

  def test_two_at_once_are_one(self):
    self.load()
    with lock(self.configuration.state('takeover.lock')):
      with self.assertRaises(takeover.TakeoverRefused):
        self.take_over()
    self.assertEqual(self.master.state['calls'], [])

  def test_what_the_new_leader_seals_is_newer_than_all_of_the_old_one(self):
    self.load()
    self.take_over()
    # The same partition, with the profile of a leader.
    self.clone.configure(role='export')
    self.clone.serve({'marker': 'new'})
    self.assertEqual(exporter.main(self.clone.configuration), 0)
    sealed_now, _ = exporter.sealed_generation(self.clone.configuration)
    self.assertEqual((sealed_now.epoch, sealed_now.sequence), (4, 8))
    self.assertEqual(clone.imported(self.configuration)[0].epoch, 3)
