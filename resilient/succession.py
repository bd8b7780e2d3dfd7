"""Who leads, by what the SlapOS master knows; and how one becomes the leader.

An instance that was replaced has the facts of it as its parameters: a *claim*.
So claims form a chain from each old leader to the present one, which can be
followed without changing anything.  Only who won writes a claim; between clones
that try at once, two marks at the old leader decide, its title and a published
value, both written by its address.  See "At the SlapOS master" in
docs/design.rst.
"""
import logging
import random
import time
import typing

from .master import Instance, MARK, MasterError, NoInstance

log = logging.getLogger('resilient.succession')

# What makes a claim; the values are texts.
SUCCESSOR = 'successor'
FROZEN = 'frozen'
# How the title of what was replaced begins.
BROKEN = 'broken-'
# How much larger an epoch is than any that is known, where who leads is not:
# more than takeovers may have happened that nobody here can tell of.  Not much
# more: an epoch is a part of the manifest's mtime, which ends at 128 on some
# file systems.
UNSEEN = 10
_NONE = Instance('', '', {}, {})
_LONGEST_CHAIN = 1000
_LONGEST_ELECTION = 20
# Seconds that one who did not win leaves to the others, at random: those who
# wait do not all try again at once.
_WAIT = (2, 5)
# Seconds until the master is asked again for what it does not know.
_AGAIN = 3


class Lost(Exception):
  """Another instance takes over, or did; the message says which and when."""


class Head(typing.NamedTuple):
  """The end of the chain of claims.

  address: of the present leader, or of who is about to be.  instance: what the
  master knows of it; without a title if it does not know it any more.  epoch:
  the largest one that a claim on the way tells.  claim: the last claim on the
  way, or None.
  """
  address: str
  instance: typing.Any
  epoch: int
  claim: dict | None


def is_claimed(instance, leader_name):
  """Whether `instance` was replaced, and says by whom."""
  return bool(instance.parameters.get(SUCCESSOR)) and (
    # Else it leads again, and the root did not yet write what a leader gets.
    instance.title != leader_name)


def claim_of(instance):
  """Return what tells the claim on `instance` from any other, for JSON, or
  None.  A leader that was brought back may have one left, too, which counts
  again as soon as it has another title."""
  successor = instance.parameters.get(SUCCESSOR)
  return [successor, epoch_of(instance.parameters)] if successor else None


def find(master, address):
  """Return the Instance at `address`, without a title if there is none.  Raises
  MasterError."""
  try:
    found = master.look(address)
    if not found.title:
      # So answers, too, a master that misses an instance for a moment.
      time.sleep(_AGAIN)
      found = master.look(address)
    return found
  except NoInstance as error:
    log.info('%s: %s', address, error)
    return _NONE


def head(master, address, leader_name):
  """Follow the claims from `address` on; return a Head.

  Raises MasterError.
  """
  claims, claim = {}, None
  while True:
    instance = find(master, address)
    if not is_claimed(instance, leader_name) or len(claims) > _LONGEST_CHAIN:
      break
    if address in claims:
      # One of them is being brought back: the last claim is of that one.
      claim = max(claims.values(), key=epoch_of)
      address = claim[SUCCESSOR]
      instance = find(master, address)
      break
    claim = claims[address] = instance.parameters
    address = instance.parameters[SUCCESSOR]
  if not instance.title.startswith(BROKEN) and instance.title not in (
      leader_name, (claim or {}).get('successor-title')):
    # The master gave the partition of who was destroyed to another one.
    instance = _NONE
  epochs = [epoch_of(item) for item in claims.values()]
  if instance.title == leader_name and claim_of(instance):
    # It was brought back, in an epoch later than that of the claim it has left.
    epochs.append(epoch_of(instance.parameters) + 1)
  return Head(address, instance, max(epochs, default=0), claim)


def epoch_of(claim):
  """Return the epoch that `claim` tells, or 0."""
  text = str(claim.get('epoch'))
  return int(text) if text.isdecimal() and text.isascii() else 0


def describe(claim):
  """Return who made `claim`, when and for which data."""
  return '%s (%s) took over on %s, with generation %s and epoch %s' % (
    claim.get('successor-title', '?'), claim.get(SUCCESSOR),
    claim.get('date', '?'), claim.get('generation', '?'),
    claim.get('epoch', '?'))


def broken_title(address, moment):
  """Return the title that who is at `address` gives to what it replaces.  Two
  computers name their partitions alike, so it has both.

  moment: seconds since 1970-01-01 UTC.
  """
  return BROKEN + '%s-%s' % (
    time.strftime('%Y%m%d-%H%M%S', time.gmtime(moment)),
    address.replace('/', '-'))


def replace(master, address, facts, broken, known=None):
  """Have the instance at `address` renamed and frozen, on behalf of the
  instance at ``facts[SUCCESSOR]``.  May be repeated after any interruption.

  facts: parameters of the frozen instance.
  broken: its new title, which no other candidate uses.
  known: its claim_of when this takeover was decided: it was being brought back,
    or has been, and this supersedes that.

  Raises Lost if another instance replaces it, and MasterError.
  """
  own = facts[SUCCESSOR]

  def taken(instance):
    return claim_of(instance) not in (None, known)
  for number in range(2, _LONGEST_ELECTION):
    instance = master.look(address)
    if taken(instance):
      if instance.parameters[SUCCESSOR] != own:
        raise Lost(describe(instance.parameters))
      return
    # Not slappart1 for slappart10.
    closed = (instance.title + '-').startswith(broken + '-')
    if closed and instance.published.get(MARK) == own:
      # Won: from the mark to the title, both ours, nobody came between.
      try:
        master.request(instance.title, FROZEN, facts, 'stopped')
      except NoInstance:
        log.info('%s has changed its title meanwhile', address)
      continue
    if instance.title.startswith(BROKEN):
      _wait_for_others(master, address, taken)
      instance = master.look(address)
      if taken(instance):
        continue
    master.mark(address, instance.published, own)
    if master.look(address).title != instance.title:
      _wait_for_others(master, address, taken)
      continue
    master.rename(address, '%s-%d' % (broken, number) if closed else broken)
  raise MasterError('the SlapOS master changed the marks of this takeover each'
                    ' time')


def _wait_for_others(master, address, taken):
  """Another candidate is at it: leave it the time to win."""
  end = time.monotonic() + random.uniform(*_WAIT)
  while time.monotonic() < end:
    if taken(master.look(address)):
      return
    time.sleep(0.1)
