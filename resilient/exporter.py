"""``bin/exporter``: dump the service, seal the dump, tell the PBS."""
import datetime
import functools
import logging
import os
import time

from . import changes, essential, leadership, manifest
from .durable import lock, LockTimeout, remove, write_json
from .entries import ARCHIVE_DATA, DEEPEST, encode_path, scan, stamps
from .generation import Generation
from .process import Failed, run

log = logging.getLogger('resilient.exporter')
TASK = 'export'


class ExportFailed(Exception):
  """Nothing was sealed; the message says why and what it left."""


def due(configuration, now):
  """Return when an export that follows one at `now` is late, in seconds since
  1970-01-01 UTC."""
  if configuration.maximum_age:
    return now + configuration.maximum_age
  # Imported here, as notify below: each gate imports this module, and must
  # start fast.
  import croniter
  # As cron does, by the clock on the wall.
  following = croniter.croniter(
    configuration.periodicity, datetime.datetime.fromtimestamp(now)).get_next(
      datetime.datetime)
  # An hour that comes twice, or not at all, makes nothing late before its time.
  return configuration.lateness_margin + max(
    following.replace(fold=fold).timestamp() for fold in (0, 1))


def _marker(configuration):
  return configuration.state('exporting')


def _last_seal(configuration):
  """Return the Generation that was sealed last, or None; a damaged sealed.json
  is made again.

  To be called with the lock on the dump.  Raises DamagedState if nothing tells
  what it was.
  """
  generation, problem = essential.seal(configuration)
  if problem:
    if generation is None:
      raise essential.DamagedState(problem)
    log.error('%s: it was generation %s', problem, generation.label)
    write_json(configuration.state('sealed.json'), generation.to_json())
  return generation


def sealed_dump(configuration):
  """Return (Generation or None, bytes of its files, '' or why its dump is not
  to be had).

  To be called with the lock on the dump.  Raises DamagedState.
  """
  last = _last_seal(configuration)
  if os.path.exists(_marker(configuration)):
    return last, 0, ('an export was interrupted and left the dump unsealed: run'
                     ' bin/exporter again')
  try:
    return *manifest.outline(configuration.dump_directory), ''
  except manifest.InvalidManifest as error:
    return last, 0, '' if last is None else str(error)


def _next_order(configuration, previous):
  """Return (epoch, sequence) of the next generation.

  previous: the last Manifest, or None.  Raises DamagedState.
  """
  known = [generation for generation in (
    previous and previous.generation, _last_seal(configuration)) if generation]
  newest = max(known, key=lambda generation: generation.order, default=None)
  return (max(leadership.own_epoch(configuration),
              newest.epoch if newest else 1),
          (newest.sequence if newest else 0) + 1)


def _next_generation(configuration, order):
  now = time.time()
  epoch, sequence = order
  return Generation(
    name=configuration.name, epoch=epoch, sequence=sequence, digest='',
    leader=configuration.address, sealed=now, due=due(configuration, now))


def _newest(configuration, kept):
  """Return the last Manifest, or None: an exporter that failed may have removed
  the one in the dump, and a person may have put back an older one.

  kept: the one beside the dump, or None.
  """
  root = configuration.dump_directory
  try:
    generation, _ = manifest.outline(root)
    # Else it is the same, as a rule: that takes long to parse.
    if kept is None or generation.order > kept.generation.order:
      return manifest.read(root)
  except manifest.InvalidManifest as error:
    log.info('no previous generation in the dump: %s', error)
  return kept


def seal(configuration, previous, order):
  """Seal the dump as the generation of `order`; return its Generation.  Raises
  ExportFailed."""
  root = configuration.dump_directory
  unkeepable = []
  try:
    before = stamps(root)
  except RecursionError:
    raise ExportFailed('the dump has folders in folders, more than %d deep; let'
                       ' the exporter pack them' % DEEPEST) from None
  entries = list(scan(root, durable=True, unkeepable=unkeepable))
  after = stamps(root)
  changed = [path for path in before.keys() | after.keys()
             if before.get(path) != after.get(path)]
  if changed:
    raise ExportFailed(
      'the dump changed while it was sealed; let the exporter end all that'
      ' writes to it: ' + ', '.join(map(encode_path, sorted(changed)[:5])))
  if os.path.lexists(os.path.join(root, ARCHIVE_DATA)):
    unkeepable.append('%s is a name that rdiff-backup reserves' % ARCHIVE_DATA)
  if unkeepable:
    raise ExportFailed(
      'the dump has entries that cannot be kept; let the exporter leave them'
      ' out: ' + '; '.join(unkeepable))
  entries = changes.show(configuration, root, entries, previous)
  # Kept first: what a PBS may have pulled has a number that is not used again,
  # whatever fails from here on.
  generation = manifest.write(
    root, _next_generation(configuration, order), entries,
    functools.partial(changes.keep, configuration))
  write_json(configuration.state('sealed.json'), generation.to_json())
  return generation


def _keep_seal(configuration):
  """After a failed export: if the dump is what its manifest says, it is sealed,
  with the mtimes of its manifest.  Returns what to tell the operator."""
  root = configuration.dump_directory
  try:
    sealed = manifest.read(root)
  except manifest.InvalidManifest as error:
    return 'nothing can be pulled from here: %s' % error
  generation, last = sealed.generation, _last_seal(configuration)
  try:
    if manifest.compare(root, sealed):
      return ('the dump was touched, so generation %s can no longer be pulled'
              ' from here' % generation.label)
    changes.put_back(root, sealed)
    if generation.leader == configuration.address and (
        last is None or last.order < generation.order):
      # What failed is all that comes after its manifest.
      write_json(configuration.state('sealed.json'), generation.to_json())
    remove(_marker(configuration))
  except OSError as error:
    return 'generation %s can no longer be pulled from here: %s' % (
      generation.label, error)
  return 'generation %s is still there' % generation.label


def export(configuration):
  """Run the exporter and seal; return the Generation.

  Raises ExportFailed, LockTimeout.
  """
  try:
    essential.check(configuration)
    why = leadership.replaced(configuration)
  except ValueError as error:
    raise ExportFailed('%s; nothing was exported' % error) from error
  if why:
    raise ExportFailed(why)
  if os.path.islink(configuration.dump_directory):
    raise ExportFailed('%s is a link, which no PBS can pull: let it be a'
                       ' directory' % configuration.dump_directory)
  try:
    os.makedirs(configuration.dump_directory, mode=0o700, exist_ok=True)
    with lock(configuration.state('dump.lock'),
              deadline=configuration.lock_deadline) as descriptor:
      kept = changes.kept(configuration)
      previous = _newest(configuration, kept)
      # Before the dump is touched: it could not be sealed.
      order = _next_order(configuration, previous)
      changes.begin(configuration, kept, order)
      write_json(_marker(configuration), {'since': time.time()})
      try:
        # What the exporter started holds the lock too: nothing else writes
        # into the dump, even when this process is killed.
        run([configuration.exporter], configuration.export_deadline,
            lock=descriptor)
        generation = seal(configuration, previous, order)
        remove(_marker(configuration))
        return generation
      except (Failed, ExportFailed, OSError) as error:
        raise ExportFailed('%s; %s' % (
          error, _keep_seal(configuration))) from error
  except (essential.DamagedState, OSError) as error:
    raise ExportFailed('%s; nothing was exported' % error) from error
  except LockTimeout as error:
    raise ExportFailed(
      'another export, or a pull by a PBS, has used the dump for more than'
      ' %d s' % configuration.lock_deadline) from error


def main(configuration):
  """Export, then notify every PBS.  Returns the exit status."""
  from . import notify
  with configuration.store.recording(TASK) as report:
    try:
      generation = export(configuration)
    except ExportFailed as error:
      log.error('export failed: %s', error)
      report.failed(str(error))
      return 1
    report.generation = generation.label
    log.info('sealed generation %s', generation.label)
    failures = notify.notify_all(configuration, generation)
    report.message = 'sealed' if not failures else (
      'sealed; not notified, they will find out by themselves: '
      + '; '.join('%s (%s)' % item for item in sorted(failures.items())))
  log.info('export finished successfully')
  return 0
