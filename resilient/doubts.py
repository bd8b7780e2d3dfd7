"""Should this clone take over?  What speaks against it, from what is known here
and from what PBS and leader say."""
import typing

from . import clone, half_import, peer_status
from .generation import from_json
from .succession import describe

NO_BACKUP = 'No backup downloaded yet, takeover should not happen now.'


class Doubts(typing.NamedTuple):
  """reasons: sentences, each a reason to refuse.  unknown: sentences on what
  could not be learned; they do not refuse, for a lost leader says nothing.
  epoch: the largest that anybody tells of, or 0."""
  reasons: list
  unknown: list
  epoch: int = 0


def lag(held, newer):
  """Return by how much Generation `held` is behind `newer`, as text."""
  seconds = max(0, newer.sealed - held.sealed)
  if newer.epoch != held.epoch:
    return '%d s, and a change of leader, behind' % seconds
  count = newer.sequence - held.sequence
  return '%d generation%s and %d s behind' % (
    count, '' if count == 1 else 's', seconds)


def nothing_loaded(configuration):
  """Return why a clone whose service holds no backup cannot lead."""
  newest = clone.newest(configuration)
  if not newest:
    return NO_BACKUP
  last = configuration.store.last_run(clone.TASK)
  return '%s Generation %s is here, verified, but was never loaded%s' % (
    NO_BACKUP, newest.label,
    ': ' + last.message if last and not last.success else '.')


def _known_here(configuration, unknown):
  """Yield (Generation, where it is) of what has not been loaded."""
  for look, where in ((
      clone.verified, 'is here, verified, and not loaded: see'
      ' var/log/equeue.log'), (
      clone.staged, 'is here, verified, and not loaded yet')):
    try:
      found, _ = look(configuration)
    except ValueError as error:
      unknown.append(str(error))
      continue
    if found:
      yield found, where


def _known_to_peers(configuration, head, unknown):
  """Yield (Generation, where it is) of what PBS and leader tell."""
  leader = head and head.instance.values.get('notification-id')
  urls = {'its PBS': configuration.on_notification, 'the leader': leader}
  answers = peer_status.ask_all(configuration, filter(None, urls.values()))
  for who, url in urls.items():
    status = answers.get(url)
    if status is None:
      unknown.append('%s does not answer, so what is newer there is not known'
                     % who)
      continue
    found = (status.get('generation') if who == 'the leader'
             else peer_status.archived(status, configuration.name))
    try:
      found = from_json(found)
    except ValueError as error:
      unknown.append('%s gives no answer that can be used: %s' % (who, error))
      continue
    if found:
      yield found, 'is known to %s, and has not arrived here' % who


def doubts(configuration, head):
  """Return the Doubts about this clone.

  head: the succession.Head of the chain of its leader, or None.
  """
  held, _ = clone.imported(configuration)
  reasons, unknown = [], []
  if '/' in held.leader and head and head.address != held.leader:
    reasons.append(
      'the data here is of %s, which was replaced: %s; no backup of its'
      ' successor has arrived' % (
        held.leader, describe(head.claim) if head.claim else '?'))
  half = half_import.begun(configuration)
  if half:
    reasons.append(
      'the service may hold a part of generation %s, whose import did not'
      ' complete' % half)
  known = [*_known_here(configuration, unknown),
           *_known_to_peers(configuration, head, unknown)]
  newer = [item for item in known if item[0].order > held.order]
  if newer:
    newest, where = max(newer, key=lambda item: item[0].order)
    reasons.append('this clone, with generation %s, is %s: generation %s %s' % (
      held.label, lag(held, newest), newest.label, where))
  return Doubts(reasons, unknown, max(
    (found.epoch for found, _ in known), default=0))
