"""The state of a partition, and what is wrong with it.

The promises, ``bin/status`` and the page all say what this module says.
"""
import contextlib
import time
import typing

from . import (
  beginning,
  clone,
  essential,
  exporter,
  former,
  half_import,
  importer,
  leadership,
  manifest,
  progress,
  verification,
)
from .archive import Archive
from .clock import ahead, deployed, past
from .durable import encodable, read_note
from .generation import from_json
from .running import running
from .takeover_journal import unfinished

# What each promise shows, whatever its topics: nobody knows what is wrong.
DAMAGE = 'damage'


class Problem(typing.NamedTuple):
  """topic: which promise shows it.  text: one sentence for the operator."""
  topic: str
  text: str


def _deployed(configuration, now):
  moment = deployed(configuration)
  return now if moment is None else past(moment, now)


def _age(generation, now):
  """Return the age of the data, in seconds; never negative, for a clock that
  went back does not make data younger than new."""
  return max(0, now - generation.sealed)


def _failed_run(configuration, task, topic=None):
  last = configuration.store.last_run(task)
  if last is None or last.success:
    return []
  return [Problem(topic or task.partition('-')[0], '%s failed: %s' % (
    task, last.message))]


def _late(configuration, what, generation, now):
  """Return a list of Problems: data that should have been replaced by now."""
  if generation is None:
    if now > _deployed(configuration, now) + configuration.patience:
      return [Problem('freshness', '%s has no backup yet' % what)]
    return []
  wrong = ahead(generation.sealed, now)
  if generation.due and wrong:
    return [Problem('freshness', (
      '%s: generation %s is dated %d s ahead of the clock here; one of the two'
      ' clocks was wrong, so nobody knows when it is late') % (
        what, generation.label, wrong))]
  if generation.due and now > generation.due:
    return [Problem('freshness', (
      '%s is late: its newest generation, %s, is %d s old and was to be'
      ' replaced %d s ago') % (
        what, generation.label, _age(generation, now), now - generation.due))]
  return []


def _leader(configuration, now):
  generation, wrong = essential.seal(configuration)
  problems = [Problem('export', wrong)] if wrong else []
  problems += _failed_run(configuration, exporter.TASK)
  exporting, interrupted = running(
    configuration, 'dump.lock', 'exporting', shared=True)
  if interrupted:
    problems.append(Problem(
      'export', 'an export was interrupted: run bin/exporter again'))
  if generation:
    problems += _late(configuration, 'the leader', generation, now)
  elif not wrong:
    # A new leader has what it took over, until its first export.
    with contextlib.suppress(manifest.InvalidManifest, ValueError):
      generation = clone.imported(configuration)[0] or manifest.read(
        configuration.dump_directory).generation
    told = essential.read(configuration, 'leadership.json') or {}
    since = told.get('since')
    since = past(since, now) if since else _deployed(configuration, now)
    if now > exporter.due(configuration, since):
      problems.append(Problem('freshness', 'no export has ever succeeded here'))
  failures = read_note(
    configuration.state('notified.json'), lambda note: {
      url: str(text) for url, text in note['failures'].items()}, {})
  for url, text in sorted(failures.items()):
    if url in configuration.notify:
      problems.append(Problem(
        'notification', '%s was not notified: %s' % (url, text)))
  leads, found = _leads(configuration, 'leadership')
  return {'generation': generation, 'exporting': exporting,
          'leadership': leads}, problems + found


def _leads(configuration, topic):
  """Return (what is known of its leadership, Problems of `topic`) of a leader,
  and of a clone that has taken over and has not its new role yet."""
  why = leadership.replaced(configuration)
  problems = _failed_run(configuration, leadership.TASK, topic)
  problems += [Problem(topic, text) for text in (
    why, half_import.remedy(configuration)) if text]
  return {'epoch': leadership.own_epoch(configuration), 'replaced': why,
          'stopped': leadership.stopped(configuration)}, problems


def _clone(configuration, now):
  state = clone.status(configuration)
  imported = from_json(state['imported'])
  problems = []
  if importer.taken_over(configuration):
    state['leadership'], problems = _leads(configuration, 'takeover')
  elif running(configuration, 'import.lock', half_import.MARKER)[1]:
    problems.append(Problem(clone.TASK, (
      'the service may hold a part of a generation, whose import did not'
      ' complete: it is tried again, see var/log/equeue.log')))
  problems += _failed_run(configuration, clone.TASK)
  if text := former.pbs_problem(configuration):
    problems.append(Problem(clone.TASK, text))
  problems += _late(configuration, 'the clone', imported, now)
  problems += _begun(configuration)
  return dict(state, generation=imported), problems


def _care(configuration, archive, now):
  """Return (what is known of an archive's generations, Problems)."""
  ledger, generations = archive.ledger, archive.index()
  problems = [
    Problem('verification', 'archive %s: %s' % (
      archive.name, ledger.sentence(generation)))
    for _, generation in generations if ledger.problem(generation)]
  if not problems:
    problems += _failed_run(configuration, 'verify-' + archive.name,
                            'verification')
  late = verification.late(
    archive, configuration.verification_interval,
    _deployed(configuration, now), now)
  if late:
    problems.append(Problem('verification', late))
  problems += _failed_run(configuration, 'adopt-' + archive.name,
                          'verification')
  problems += _failed_run(configuration, 'drill-' + archive.name)
  drill = configuration.store.last_run('drill-' + archive.name)
  verified = [ledger.at(generation) for _, generation in generations]
  return {
    'generations': [generation.label for _, generation in generations],
    'damaged': [generation.label for _, generation in generations
                if ledger.is_damaged(generation)],
    'verified_last': ledger.last or None,
    'verified_longest_ago': min(verified, default=None) or None,
    'drill': drill and drill._asdict(),
    'history': beginning.summary(archive)}, problems


def _begun(configuration):
  """Return Problems: a takeover that was begun, and is to be run again."""
  text = unfinished(configuration)
  return [Problem('takeover', text)] if text else []


def _frozen(configuration, _):
  return ({'generation': essential.read(configuration, 'sealed.json')},
          _begun(configuration))


def _source(configuration, peer, now):
  """Return (state, Problems) of one archive and of its leader."""
  archive = Archive(configuration, peer.name)
  theirs = read_note(configuration.state('source-%s.json' % peer.name),
                     lambda said: from_json(said.get('generation')))
  state = {'generation': None, 'generations': [], 'leader': theirs,
           'incomplete': archive.incomplete,
           'pulling': progress.current(configuration, peer.task)}
  problems = _failed_run(configuration, peer.task)
  problems += _failed_run(configuration, 'prune-' + peer.name)
  try:
    newest = archive.newest()
    care, found = _care(configuration, archive, now)
  except ValueError as error:
    # The next pull makes the index again.
    return state, [*problems, Problem('verification', str(error))]
  problems += found
  problems += _late(configuration, 'archive ' + peer.name, newest, now)
  return dict(state, generation=newest, **care), problems


def _destination(configuration, peer):
  held = read_note(
    configuration.state('destination-%s.json' % peer.name), lambda said: {
      key: from_json(said.get(key)) for key in ('verified', 'imported')},
    {'verified': None, 'imported': None})
  return dict(held, pushing=progress.current(configuration, peer.task)), (
    _failed_run(configuration, peer.task))


def _pbs(configuration, now):
  peers, wrong = configuration.peers()
  problems = [Problem('configuration', sentence) for sentence in (
    *wrong, *configuration.abandoned())]
  archives, clones = {}, {}
  for peer in peers:
    if peer.kind == 'pull':
      archives[peer.name], found = _source(configuration, peer, now)
    else:
      clones[peer.name], found = _destination(configuration, peer)
    problems += found
  return {'archives': archives, 'clones': clones}, problems


def _plain(value):
  """Return `value` for JSON."""
  if hasattr(value, 'to_json'):
    return value.to_json()
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  return value


def _evaluate(configuration, now):
  essential.check(configuration)
  roles = {'export': _leader, 'import': _clone, 'pull-backup': _pbs,
           'frozen': _frozen}
  state, found = roles[configuration.role](configuration, now)
  return state, [Problem(topic, encodable(text)) for topic, text in found]


def problems(configuration):
  """Return the list of Problems of the partition."""
  try:
    return _evaluate(configuration, time.time())[1]
  except essential.DamagedState as error:
    return [Problem(DAMAGE, str(error))]


def status(configuration):
  """Return the state of the partition, for JSON.  Raises DamagedState."""
  now = time.time()
  state, found = _evaluate(configuration, now)
  return dict(
    _plain(state), role=configuration.role, instance=configuration.instance,
    now=now, problems=[problem._asdict() for problem in found])
