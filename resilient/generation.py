"""What identifies a sealed dump, and which of two is newer.

Generations are ordered by epoch and sequence, never by a clock: see
docs/design.rst.
"""
import typing


class Generation(typing.NamedTuple):
  """Identity and dates of one sealed dump.

  name: the service, for instance ``data``.
  epoch: larger after each takeover; 1 before the first one.
  sequence: its number, one larger at each seal.
  digest: SHA-256 of its manifest, in hexadecimal.
  leader: the instance that sealed it.
  sealed: when, in seconds since 1970-01-01 UTC.
  due: when the next one is late, in the same unit; 0 means never.
  """
  name: str
  epoch: int
  sequence: int
  digest: str
  leader: str
  sealed: float
  due: float

  @property
  def order(self):
    """Larger means newer."""
    return self.epoch, self.sequence

  @property
  def label(self):
    """Short form for people: ``epoch.sequence``."""
    return '%d.%d' % self.order

  def to_json(self):
    """Return a dict for JSON."""
    return self._asdict()


def from_json(value):
  """Return the Generation in dict `value`, or None for None.

  Raises ValueError if `value` is not one.
  """
  if value is None:
    return None
  if not isinstance(value, dict):
    raise ValueError('a generation must be an object, not %r' % (value,))
  checked = {}
  for field, kind in Generation.__annotations__.items():
    item = value.get(field)
    accepted = (int, float) if kind is float else kind
    if not isinstance(item, accepted) or isinstance(item, bool):
      raise ValueError('generation: %s must be %s, not %r' % (
        field, kind.__name__, item))
    # Nor is one NaN.
    if kind is float and not 0 <= item < 1e11:
      raise ValueError('generation: %s must be a time since 1970, not %r' % (
        field, item))
    checked[field] = item
  if checked['epoch'] < 1 or checked['sequence'] < 1:
    raise ValueError('generation: epoch and sequence start at 1, not %d.%d' % (
      checked['epoch'], checked['sequence']))
  return Generation(**checked)


class Refused(Exception):
  """A generation must not replace the one that is there."""


def _remedy(candidate, present):
  """Return what to do if `candidate`, which is refused, is of the right leader;
  one that was replaced is of an older epoch than its successor."""
  if candidate.epoch != present.epoch:
    return ''
  return ('; if %s leads, and lost its state, write {"epoch": %d} to'
          ' srv/resilient/leadership.json there and run bin/exporter' % (
            candidate.leader, present.epoch + 1))


def is_newer(candidate, present):
  """Whether `candidate` must replace `present` (either may be None).

  Raises Refused when `candidate` is older than `present`, or claims the same
  number with another content.
  """
  if candidate is None or candidate == present:
    return False
  if present is None or candidate.order > present.order:
    return True
  if candidate.order < present.order:
    raise Refused(
      'generation %s of leader %s is older than %s of leader %s, which is kept:'
      ' a leader that was replaced, or that lost its state, must not overwrite'
      ' newer data%s' % (
        candidate.label, candidate.leader, present.label, present.leader,
        _remedy(candidate, present)))
  if candidate.digest != present.digest:
    raise Refused(
      'generation %s exists twice with different contents: sealed by %s'
      ' (%.12s) and by %s (%.12s), which is kept%s' % (
        present.label, candidate.leader, candidate.digest, present.leader,
        present.digest, _remedy(candidate, present)))
  return False
