"""State that is not to be guessed at: when it is damaged, a person is told what
to do.  What can be found out again is read by ``durable.read_note``.
"""
from . import manifest
from .clock import moment
from .durable import MISFITS, read_json
from .generation import from_json

_ABSENT = object()
# Of a journal's keys, which all releases write: what is checked by type alone.
_JOURNAL = {'done': list, 'title': str, 'broken': str, 'label': str,
            'old': (str, type(None))}


class DamagedState(ValueError):
  """A state file is damaged: the message names it, and says what to do."""


def _generation(value):
  found = from_json(value)
  if found is None:
    raise ValueError('it is no generation')
  return found


def _held(value):
  moment(value['at'])
  _generation(value['generation'])
  return value


def _epoch(value):
  epoch = value['epoch']
  if type(epoch) is not int or epoch < 1:
    raise ValueError('it is no epoch: %r' % epoch)


def _leadership(value):
  _epoch(value)
  moment(value.get('since', 0))
  return value


def _replaced(value):
  _epoch(value)
  if not (isinstance(value['why'], str) and isinstance(value['fenced'], bool)):
    raise ValueError('it does not say why, or whether it was fenced')
  if not isinstance(value.get('pbs') or '', str):
    raise ValueError('it does not say which PBS knew it')
  return value


def _journal(value):
  for key, kind in _JOURNAL.items():
    if not isinstance(value[key], kind):
      raise ValueError('its %s is %r' % (key, value[key]))
  _epoch(value)
  moment(value['at'])
  from_json(value['generation'])
  if value['leadership'] is not None:
    _leadership(value['leadership'])
  return value


_SENT_AGAIN = 'remove it: its PBS sends what is newest again'
# File: (what raises one of MISFITS if it is of another shape, what to do).
_FILES = {
  'sealed.json': (_generation, (
    'a leader makes it again, by the next pull or export, from the manifest in'
    ' its dump; without that, write to it the generation that bin/status of a'
    ' PBS shows of its archive')),
  'leadership.json': (_leadership, (
    'write {"epoch": N} to it: N is one more than the epoch of the generation'
    ' that bin/status of its PBS shows')),
  'replaced.json': (_replaced, (
    'remove it: whether this leader was replaced is found out again')),
  'takeover.json': (_journal, (
    'move it away and, if a takeover was begun here, run bin/takeover again')),
  'imported.json': (_held, (
    'remove it: the copy that is here is imported again')),
  'verified.json': (_held, _SENT_AGAIN),
  'staged.json': (_held, _SENT_AGAIN),
  # It tells enough by being there.
  'importing.json': (_held, 'the next import makes it again'),
}
_LEADERSHIP = ('leadership.json', 'replaced.json')
_OF_ROLE = {
  'export': _LEADERSHIP,
  'import': (*_LEADERSHIP, 'takeover.json', 'imported.json', 'verified.json',
             'staged.json'),
  'frozen': ('sealed.json', 'replaced.json')}


def _remedy(configuration, name):
  """Return what to do about state file `name`, which is damaged."""
  remedy = _FILES[name][1]
  if name == 'leadership.json':
    try:
      record = read(configuration, 'replaced.json')
      why = record and record['why']
    except DamagedState:
      why = 'replaced.json is damaged, too'
    if why is not None:
      # An epoch of its own would let it overwrite what its successor has.
      return ('this leader has been replaced (%s): do not write to that file,'
              ' unless this one is to lead again; then %s' % (why, remedy))
  return remedy


def read(configuration, name):
  """Return what is in state file `name`, or None if there is none; of
  ``sealed.json`` it is a Generation.  Raises DamagedState."""
  path, (understand, _) = configuration.state(name), _FILES[name]
  try:
    value = read_json(path, _ABSENT)
  except ValueError as error:
    raise DamagedState('%s; %s' % (
      error, _remedy(configuration, name))) from error
  try:
    return None if value is _ABSENT else understand(value)
  except MISFITS as error:
    raise DamagedState('%s is damaged: it is of another shape (%s: %s); %s' % (
      path, type(error).__name__, error, _remedy(configuration, name))
    ) from error


def check(configuration):
  """Raise DamagedState if what a partition of this role cannot do without is
  damaged.  A leader can do without its seal: see `seal`."""
  for name in _OF_ROLE.get(configuration.role, ()):
    read(configuration, name)


def seal(configuration):
  """Return (the Generation that was sealed last, or None; what is wrong with
  ``sealed.json``, or '').

  Instead of a damaged one the manifest in the dump is believed: should it be an
  older one, nobody takes a number that goes back.
  """
  try:
    return read(configuration, 'sealed.json'), ''
  except DamagedState as error:
    try:
      return manifest.read(configuration.dump_directory).generation, str(error)
    except manifest.InvalidManifest:
      return None, str(error)
