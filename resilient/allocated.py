"""What the root instance was given by the SlapOS master.

A request that the master cannot serve, between the renames of a takeover or
because it gives a wrong answer, fails when its section is installed.  By then
all others are made, with nothing in the place of what that one publishes.  So
sections of ``template-replicated.cfg.in`` keep what leader and PBS told, and
that is told to the others.  `buildout` is zc.buildout's object.
"""
import logging
import os
import secrets

from zc.buildout import UserError

from .durable import read_note, write_bytes, write_json
from .root import Clones

log = logging.getLogger('resilient.root')

# The identifier of an instance that no master has.
_NOWHERE = 'no instance: it is gone'


def ensure_secret(path):
  """See to it that file `path` has a secret, in the form of slapos.cookbook's
  generate.password, before the first request tells it to anybody."""
  if os.path.exists(path) and os.path.getsize(path):
    os.chmod(path, 0o600)
  else:
    write_json(path, {'': secrets.token_urlsafe(48)})


def _text(guid):
  # Bytes for some versions of the recipe.
  return guid.decode() if isinstance(guid, bytes) else guid


def _path(buildout, namebase):
  return os.path.join(buildout['buildout']['directory'], 'srv/resilient',
                      'told-%s.json' % namebase)


def _read(path):
  return read_note(path, lambda note: {
    section: dict(told) for section, told in note.items()}, {})


def told(buildout, namebase, section):
  """Return {name: value} of what the instance that request `section` asked for
  tells, or told when it was found last, and its identifier as ``guid``; '' for
  what it never told.

  Remembers that a leader is allocated: from then on none is ever made.
  """
  request, path = buildout[section], _path(buildout, namebase)
  kept, known = _read(path), section.removesuffix('-retired')
  found = {name: request['connection-' + name]
           for name in request['return'].split()}
  found['guid'] = _text(request.get('instance-guid', ''))
  if found['guid']:
    if section == 'request-' + namebase:
      marker = buildout['leader-%s-known' % namebase]['marker']
      if not os.path.exists(marker):
        write_bytes(marker, b'')
    if kept.get(known) != found:
      os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
      write_json(path, dict(kept, **{known: found}))
  elif known in kept:
    log.error(
      '%s is not found at the SlapOS master, or the master does not answer:'
      ' what it told before is used. If a takeover was begun, run bin/takeover'
      ' again in that clone', request['name'])
    return {name: kept[known].get(name, '') for name in found}
  return found


def guid(buildout, namebase, number, suffix=''):
  """Return the identifier of the PBS of clone `number`.

  suffix: of the sections of one that is retired, and may be gone.

  Raises UserError if it is not allocated yet.
  """
  # No empty leader is made from here on, whatever fails.
  buildout['told-' + namebase]
  found = buildout['told-pbs-%s-%d%s' % (namebase, number, suffix)]['guid']
  if suffix:
    return found or _NOWHERE
  clone = buildout['request-%s-pseudo-replicating-%d' % (namebase, number)]
  if found or clone.get('instance-guid'):
    Clones.load(buildout, buildout[
      'replicated-service-' + namebase]).remember({number})
  if found:
    return found
  raise UserError(
    'PBS (%s / %d) is not allocated yet: if it stays so, look where it is to go'
    ' (-sla-%d-… and -sla-pbs%d-…)' % (namebase, number, number, number))


def forget(buildout, namebase):
  """Forget what PBS of service `namebase` told that were destroyed."""
  service, path = buildout['replicated-service-' + namebase], _path(
    buildout, namebase)
  gone = {'request-pbs-%s-%d' % (namebase, number)
          for number in Clones.load(buildout, service).destroyed}
  kept = _read(path)
  if gone & kept.keys():
    write_json(path, {
      section: told for section, told in kept.items() if section not in gone})
