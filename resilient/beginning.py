"""How the history of an archive began: it may have been lost, and a sibling may
have it.  Kept in ``history-<name>.json``.
"""
import logging
import os
import time

from .clock import moment
from .durable import read_note, write_json

log = logging.getLogger('resilient.beginning')

# What was refused is looked at again after this.
_REFUSED = 86400


def _path(configuration, name):
  return configuration.state('history-%s.json' % name)


def _understood(note):
  if not isinstance(note.get('copy') or {}, dict) or not isinstance(
      note.get('siblings', {}), dict):
    raise ValueError('what is noted of siblings is no object')
  for refusal in note.get('refused', {}).values():
    moment(refusal['at'])
    if not {'gain', 'why'} <= refusal.keys():
      raise ValueError('it does not say why a copy was refused')
  return note


def record(configuration, name):
  """Return what is known of how the history of archive `name` began.

  first: digest of the generation with which it began anew, '' if there is none
  yet.  copy: of which sibling, and at which generation.  adopted: from whom.
  siblings: {sibling: why nothing is taken}.  refused: as siblings, of copies.

  Of a damaged record nobody knows: then the history begins with what is there,
  which costs a question to the siblings, and else they would never be asked.
  """
  path = _path(configuration, name)
  return read_note(
    path, _understood, {'first': ''} if os.path.exists(path) else {})


def save(archive, found):
  """Keep `found` as the record of `archive`; a damaged one is replaced."""
  path = _path(archive.configuration, archive.name)
  if found != read_note(path, _understood):
    write_json(path, found)


def refusals(found, alias, gain, why):
  """Return what is refused: what `found`, a record, has, and what sibling
  `alias` offers to give, the Generations `gain`."""
  return dict(found.get('refused', {}), **{alias: {
    'gain': [item.digest for item in gain], 'at': time.time(), 'why': why}})


def why_refused(found, alias, gain):
  """Return why `gain` of sibling `alias` was refused not long ago, or ''."""
  refused = found.get('refused', {}).get(alias)
  if refused and refused['gain'] == [item.digest for item in gain] and abs(
      time.time() - refused['at']) < _REFUSED:
    return refused['why']
  return ''


def note_beginning(archive):
  """Remember that nothing is in `archive`, or with what it began after that.
  Returns whether its history began with what it holds now."""
  found = record(archive.configuration, archive.name)
  index = archive.index()
  if not index and not archive.repository.times():
    save(archive, dict(found, first='', adopted=None))
  elif index and found.get('first') == '':
    save(archive, dict(found, first=index[0][1].digest))
    log.warning('archive %s: its history begins at generation %s',
                archive.name, index[0][1].label)
    return True
  else:
    save(archive, found)
  return False


def begins_anew(archive):
  """Whether `archive` began with its oldest generation, and others were made
  before that one."""
  index = archive.index()
  return bool(index) and index[0][1].order > (1, 1) and index[0][
    1].digest == record(archive.configuration, archive.name).get('first')


def summary(archive):
  """Return with what the history of `archive` begins, and what is known of the
  rest, for bin/status."""
  index, found = archive.index(), record(archive.configuration, archive.name)
  return {'begins': index[0][1].label if index else None,
          'anew': begins_anew(archive), 'adopted': found.get('adopted'),
          'siblings': found.get('siblings', {})}
