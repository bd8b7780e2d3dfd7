"""Who leads, by what the SlapOS master knows; and how one becomes the leader.

An instance that was replaced has the facts of it as its parameters: a *claim*.
So claims form a chain from each old leader to the present one, which can be
followed without changing anything.

The claim of two clones at once is decided by two things at the master that all
can read and write: the claim, and the title of the old leader.  A claim names
the title under which it was made.  Who changes that title closes the claim:
from then on nobody can write it, for it is written by title, and everybody
reads the same one.  See "Takeover" in docs/design.rst.
"""
import logging
import typing

from .master import NoInstance

log = logging.getLogger('resilient.succession')

# What makes a claim; the values are texts.
SUCCESSOR = 'successor'
CLAIMED_AS = 'claimed-as'
FROZEN = 'frozen'
_LONGEST_CHAIN = 1000
_LONGEST_ELECTION = 50


class Lost(Exception):
  """Another instance takes over, or did; the message says which and when."""


class Head(typing.NamedTuple):
  """The end of the chain of claims.

  address: of the present leader, or of who is about to be.  instance: what the
  master knows of it.  epoch: the largest one that a claim on the way tells.
  claim: the last claim on the way, or None.
  """
  address: str
  instance: typing.Any
  epoch: int
  claim: dict | None


def is_claimed(instance):
  """Whether somebody claimed to replace `instance`, and it is closed: the title
  under which it was claimed has changed."""
  parameters = instance.parameters
  return bool(parameters.get(SUCCESSOR)) and (
    parameters.get(CLAIMED_AS) != instance.title)


def head(master, address, leader_name):
  """Follow the claims from `address` on; return a Head.

  Raises MasterError.
  """
  epoch, claim, seen = 0, None, set()
  while True:
    instance = master.look(address)
    if (instance.title == leader_name or not is_claimed(instance)
        or address in seen or len(seen) > _LONGEST_CHAIN):
      return Head(address, instance, epoch, claim)
    seen.add(address)
    claim = instance.parameters
    epoch = max(epoch, _number(claim.get('epoch')))
    address = claim[SUCCESSOR]


def _number(text):
  return int(text) if str(text).isdigit() else 0


def describe(claim):
  """Return who made `claim`, when and for which data."""
  return '%s (%s) took over on %s, with generation %s and epoch %s' % (
    claim.get('successor-title', '?'), claim.get(SUCCESSOR),
    claim.get('date', '?'), claim.get('generation', '?'),
    claim.get('epoch', '?'))


def replace(master, address, facts, leader_name, broken):
  """Have the instance at `address` frozen and renamed, on behalf of the
  instance at ``facts[SUCCESSOR]``.  May be repeated after any interruption.

  facts: parameters of the frozen instance.
  broken: its new title.

  Raises Lost if another instance replaces it, and MasterError.
  """
  for turn in range(_LONGEST_ELECTION):
    instance = master.look(address)
    title, found = instance.title, instance.parameters
    mine = found.get(SUCCESSOR) == facts[SUCCESSOR]
    # A leader's title is never that of a closed claim: it leads again.
    if title != leader_name and is_claimed(instance):
      if not mine:
        raise Lost(describe(found))
      return
    if mine and found.get(CLAIMED_AS) == title and instance.type == FROZEN:
      # Closes the claim.  In a further round, its title is taken already.
      master.rename(address, broken if title != broken else '%s-%d' % (
        broken, turn + 2))
      continue
    # Not claimed, or by another one that did not close it, or a run of the root
    # instance wrote its own parameters again.
    _claim(master, address, title, dict(facts, **{CLAIMED_AS: title}), instance)
  raise Lost('the claim did not end: the SlapOS master changed it each time')


def _claim(master, address, title, facts, instance):
  """Write a claim.  Raises Lost if the title belongs to another by now."""
  try:
    written = master.request(title, FROZEN, facts, 'stopped')
  except NoInstance:
    log.info('%s has changed its title meanwhile', title)
    return
  if written != address:
    # Another one took over between two steps of ours, and has the title.  What
    # we wrote there is undone with what a leader is requested with.
    log.warning('%s is %s by now: restored', title, written)
    if instance.type != FROZEN:
      master.request(title, instance.type, instance.parameters, 'started')
    master.bang('%s leads' % written)
    raise Lost('%s leads by now' % written)
