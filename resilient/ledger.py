"""What is known about the health of an archive's generations: which was
verified when, and with what result."""
import time

from .clock import moment
from .durable import read_note, write_json


def _progress(value):
  if not value:
    return {}
  if int(value['done']) < 0:
    raise ValueError('no number of an entry: %r' % value)
  return {'digest': str(value['digest']), 'done': int(value['done'])}


def _understood(content):
  return (
    moment(content.get('last', 0)), _progress(content.get('progress', {})), {
      str(digest): (moment(item['at']), str(item['problem']))
      for digest, item in content.get('generations', {}).items()})


# How a problem begins that is of the verification, and not of the generation.
_UNVERIFIED = 'it could not be verified'


class Ledger:
  """The ledger of archive `name`: ``verified-<name>.json``.

  A ledger that cannot be read is an empty one: nothing counts as verified.
  """

  def __init__(self, configuration, name):
    self._path = configuration.state('verified-%s.json' % name)
    self.last, self.progress, self._found = read_note(
      self._path, _understood, (0.0, {}, {}))

  def at(self, generation):
    """Return when `generation` was last verified, in seconds since 1970-01-01
    UTC, or 0."""
    return self._found.get(generation.digest, (0, ''))[0]

  def problem(self, generation):
    """Return what was found wrong with `generation`, or ''."""
    return self._found.get(generation.digest, (0, ''))[1]

  def is_damaged(self, generation):
    """Whether something was found wrong with `generation` itself."""
    problem = self.problem(generation)
    return bool(problem) and not problem.startswith(_UNVERIFIED)

  def sentence(self, generation):
    """Return what is wrong with `generation`, as a sentence."""
    problem = self.problem(generation)
    return 'generation %s %s' % (
      generation.label, 'is damaged: ' + problem
      if self.is_damaged(generation) else problem.removeprefix('it '))

  def note_failure(self, generation, why):
    """`generation` could not be verified now, for `why`."""
    self.note(generation, '%s: %s' % (_UNVERIFIED, why))

  def note(self, generation, problem=''):
    """`generation` was verified now, and that is wrong with it."""
    self._found[generation.digest] = time.time(), problem
    if self.progress.get('digest') == generation.digest:
      self.progress = {}

  def save(self, index):
    """Make it durable, as far as it is about what is in `index`."""
    digests = {generation.digest for _, generation in index}
    write_json(self._path, {
      'last': self.last, 'progress': self.progress, 'generations': {
        digest: {'at': when, 'problem': problem}
        for digest, (when, problem) in sorted(self._found.items())
        if digest in digests}})
