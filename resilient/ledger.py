"""What is known about the health of an archive's generations: which was
verified when, and with what result."""
import time

from .clock import moment, past
from .durable import read_note, write_json


def _progress(value):
  if not value:
    return {}
  if int(value['done']) < 0:
    raise ValueError('no number of an entry: %r' % value)
  return {'digest': str(value['digest']), 'done': int(value['done'])}


def _understood(content):
  return (
    moment(content.get('last', 0)), bool(content.get('others', False)),
    _progress(content.get('progress', {})), {
      str(digest): (moment(item['at']), str(item['problem']),
                    bool(item.get('again', False)))
      for digest, item in content.get('generations', {}).items()})


# How a problem begins that is of the verification, and not of the generation.
_UNVERIFIED = 'it could not be verified'


class Ledger:
  """The ledger of archive `name`: ``verified-<name>.json``.

  A ledger that cannot be read is an empty one: nothing counts as verified.
  """

  def __init__(self, configuration, name):
    self._path = configuration.state('verified-%s.json' % name)
    self.last, self._others, self.progress, self._found = read_note(
      self._path, _understood, (0.0, False, {}, {}))

  def _of(self, generation):
    return self._found.get(generation.digest, (0, '', False))

  def at(self, generation):
    """Return when `generation` was last verified, in seconds since 1970-01-01
    UTC, or 0."""
    return self._of(generation)[0]

  def problem(self, generation):
    """Return what was found wrong with `generation`, or ''."""
    return self._of(generation)[1]

  def is_damaged(self, generation):
    """Whether something was found wrong with `generation` itself."""
    problem = self.problem(generation)
    return bool(problem) and not problem.startswith(_UNVERIFIED)

  def following(self, index, now):
    """Return the item (time, Generation) of `index` whose turn it is: the
    longest unread one, but in every other turn one that is to be tried again,
    for else it would be red until all others had theirs."""
    again = [] if self._others else [
      item for item in index if self._of(item[1])[2]]
    return min(again or index, key=lambda item: past(self.at(item[1]), now))

  def end_turn(self, failed=False):
    """A turn has ended; failed: with a generation that could not be verified.
    """
    self.last, self._others = time.time(), failed

  def sentence(self, generation):
    """Return what is wrong with `generation`, as a sentence."""
    problem = self.problem(generation)
    return 'generation %s %s' % (
      generation.label, 'is damaged: ' + problem
      if self.is_damaged(generation) else problem.removeprefix('it '))

  def note_failure(self, generation, why, again=False):
    """`generation` could not be verified now, for `why`; again: that may soon
    be otherwise."""
    self.note(generation, '%s: %s' % (_UNVERIFIED, why), again)

  def note(self, generation, problem='', again=False):
    """`generation` was verified now, and that is wrong with it."""
    self._found[generation.digest] = time.time(), problem, again
    if self.progress.get('digest') == generation.digest:
      self.progress = {}

  def save(self, index):
    """Make it durable, as far as it is about what is in `index`."""
    digests = {generation.digest for _, generation in index}
    write_json(self._path, {
      'last': self.last, 'others': self._others, 'progress': self.progress,
      'generations': {
        digest: {'at': when, 'problem': problem, 'again': again}
        for digest, (when, problem, again) in sorted(self._found.items())
        if digest in digests}})
