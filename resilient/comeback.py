"""A frozen leader that is brought back: it takes over from its successor."""
import contextlib
import typing

from . import essential, leadership, peer_status, succession
from .generation import from_json


class Found(typing.NamedTuple):
  """leader: address of the present leader, or None if it cannot be found.
  epoch: the largest that is known.  label: of the generation that was sealed
  here last, or ''.  text: sentences on the present leader.  claim: its
  succession.claim_of, if it is about to be brought back itself, or has been.
  gone: whether the master does not know the present leader any more.
  """
  leader: str | None
  epoch: int
  label: str
  text: str
  claim: list | None = None
  gone: bool = False


def sealed(configuration):
  """Return the Generation that was sealed here last, or None."""
  return essential.seal(configuration)[0]


def look(configuration, master, own):
  """Return what can be Found.  Changes nothing.

  own: the master's Instance of this partition.  Raises MasterError.
  """
  name = configuration.name
  last = sealed(configuration)
  replaced = essential.read(configuration, 'replaced.json') or {}
  epochs = [leadership.own_epoch(configuration), replaced.get('epoch', 0)]
  if not succession.is_claimed(own, name + '0'):
    return Found(
      None, max(epochs), last.label if last else '',
      'Who leads now is not known here, so neither is what it holds.')
  head = succession.head(master, configuration.address, name + '0')
  if not head.instance.title:
    return Found(
      None, max(*epochs, head.epoch), last.label if last else '',
      'The SlapOS master does not know its successor (%s) any more, so what'
      ' that holds, or who leads now, is not known here: %s.' % (
        head.address, succession.describe(head.claim)), gone=True)
  status = peer_status.ask(
    configuration, head.instance.values.get('notification-id', ''))
  epochs += [head.epoch, peer_status.epoch(status, name)]
  text = '%s (%s) leads: %s.' % (
    head.instance.title, head.address, succession.describe(head.claim))
  newest = None
  with contextlib.suppress(ValueError):
    newest = from_json(status and status.get('generation'))
  if newest:
    text += ' Its last backup is generation %s.' % newest.label
  else:
    text += ' What it holds is not known: it tells nothing of use.'
  return Found(head.address, max(epochs), last.label if last else '', text,
               succession.claim_of(head.instance))


def warning(configuration, found):
  """Return what an operator has to know before this instance is brought back.
  """
  return (
    'This instance is frozen. %s To bring this one back makes its own data, as'
    ' it was when it was stopped, that of the service again%s: whatever was'
    ' written since then to its successor is no longer served, and replaced in'
    ' the clones; it stays in the partition of the successor, which is frozen'
    ' in turn. Nothing was changed. If this is what you want: bin/takeover'
    ' --bring-back' % (
      found.text, ' (last backup: generation %s)' % found.label
      if found.label else ''))
