"""What the root instance was given by the SlapOS master, once and for all.

A request that the master cannot serve fails when its section is installed.  By
then all others are made, with nothing in the place of what that one publishes.
So the sections of ``template-replicated.cfg.in`` ask here between one request
and the next.  `buildout` is zc.buildout's object.
"""
import os
import secrets

from zc.buildout import UserError

from .durable import write_bytes, write_json
from .root import Clones

# The identifier of an instance that no master has.
NOWHERE = 'no instance: it is gone'


def _service(buildout, namebase):
  return buildout['replicated-service-' + namebase]


def _title(namebase, number):
  return 'PBS (%s / %d)' % (namebase, number)


def ensure_secret(path):
  """See to it that file `path` has a secret, in the form of slapos.cookbook's
  generate.password, before the first request tells it to anybody."""
  try:
    if os.path.getsize(path):
      return
  except FileNotFoundError:
    pass
  write_json(path, {'': secrets.token_urlsafe(48)})


def is_allocated(request):
  """Whether the master told which instance section `request` asked for."""
  return bool(request.get('instance-guid'))


def check_leader(buildout, namebase):
  """Remember that the leader of service `namebase` is allocated: from then on
  none is ever made.  Raises UserError if it was, and is not found."""
  request = buildout['request-' + namebase]
  marker = buildout['leader-%s-known' % namebase]['marker']
  if is_allocated(request):
    if not os.path.exists(marker):
      write_bytes(marker, b'')
  elif os.path.exists(marker):
    raise UserError(
      '%s0 is not found at the SlapOS master, or the master does not answer:'
      ' nobody is told anything. If a takeover was begun, run bin/takeover'
      ' again in that clone' % namebase)


def check_pbs(buildout, namebase):
  """Remember which PBS of service `namebase` are allocated.  Raises UserError,
  before anybody is told that it is gone, if one was, and is not found."""
  service = _service(buildout, namebase)
  clones = Clones.load(buildout, service)
  numbers = range(1, int(service['number']))
  found = {number for number in numbers if is_allocated(
    buildout['request-pbs-%s-%d' % (namebase, number)])}
  missing = sorted((clones.pbs & set(numbers)) - found)
  if missing:
    raise UserError(
      '%s was allocated, and is not found at the SlapOS master, or the master'
      ' does not answer: nobody is told anything' % ', '.join(
        _title(namebase, number) for number in missing))
  clones.remember(found, found)


def guid(buildout, namebase, number, suffix=''):
  """Return the identifier of the PBS that section ``request-pbs-…`` asked for.

  suffix: of the section, of one that is retired, and may be gone.

  Raises UserError if it is not allocated yet.
  """
  check_leader(buildout, namebase)
  clone = 'request-%s-pseudo-replicating-%d%s' % (namebase, number, suffix)
  request = buildout['request-pbs-%s-%d%s' % (namebase, number, suffix)]
  if not suffix and is_allocated(buildout[clone]):
    Clones.load(buildout, _service(buildout, namebase)).remember({number})
  if is_allocated(request):
    # Bytes for some versions of the recipe.
    found = request['instance-guid']
    return found.decode() if isinstance(found, bytes) else found
  if suffix:
    return NOWHERE
  raise UserError(
    '%s is not allocated yet: if it stays so, look where it is to go'
    ' (-sla-%d-… and -sla-pbs%d-…)' % (
      _title(namebase, number), number, number))
