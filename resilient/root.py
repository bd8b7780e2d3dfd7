"""The root instance: are its parameters right, and which clones does it no
longer ask for?

Called while the root's partition is built, by sections that
``template-replicated.cfg.in`` writes.  `buildout` is zc.buildout's object.
What is asked for a service is in a section ``replicated-service-<name>``.
"""
import logging
import os
import re
import types
import typing

from zc.buildout import UserError

from . import parameter
from .durable import read_json, write_json
from .master import Master, MasterError, NoInstance

log = logging.getLogger('resilient.root')

_SECTION = 'replicated-service-'
_PLACE = '-sla-'
_POLICIES = ('stopped', 'destroyed')
# What no option of a profile can have as its name.
_UNFIT = re.compile(r'[\s{}\[\]=:$]|[+-]\Z|\A\Z')


class Clones(typing.NamedTuple):
  """What the root remembers of the clones of one service, by their numbers.

  path: of the file.  known: those that were ever allocated, or their PBS, but
  for those that it had destroyed since: destroyed.
  """
  path: str
  known: set
  destroyed: set

  @classmethod
  def load(cls, buildout, service):
    """Return those of `service`.  Raises UserError."""
    path = os.path.join(
      buildout['buildout']['directory'], 'srv/resilient',
      'clones-%s.json' % service['namebase'])
    try:
      record = read_json(path, {})
    except ValueError as error:
      raise UserError(str(error)) from error
    return cls(path, set(record.get('known', ())),
               set(record.get('destroyed', ())))

  def save(self):
    """Remember these, durably."""
    os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
    write_json(self.path, {
      'known': sorted(self.known), 'destroyed': sorted(self.destroyed)})

  def remember(self, known):
    """These are allocated."""
    if not known <= self.known:
      self._replace(known=self.known | known).save()


def _prefixes(service, numbers):
  """Return how the places of the instances of `service` may begin."""
  prefixes = []
  for number in sorted({0, *numbers}):
    names = ['%d' % number, '%s%d' % (service['namebase'], number)]
    if number:
      names.append('pbs%d' % number)
    prefixes += ['%s%s-' % (_PLACE, name) for name in names]
  return prefixes


def _is_whole(value, least):
  return (re.fullmatch('[0-9]+', str(value).strip()) is not None
          and int(value) >= least)


def _is_name(value):
  try:
    return bool(parameter.name(value))
  except ValueError:
    return False


def _asked(service):
  """Return the numbers of the clones that are asked for."""
  return set(range(1, int(service['number'])))


def _wrong_call(service):
  """Yield sentences on what a root's profile calls the macros with."""
  if not _is_name(service['namebase']):
    yield 'the name of a replicated service is %r, and must be %s' % (
      service['namebase'], 'letters, digits, "_", "." and "-" alone')
  if not _is_whole(service['number'], 1):
    yield 'the number of instances of service %s is %r, and must be %s' % (
      service['namebase'], service['number'],
      'a whole number, at least 1: the leader counts')


def _wrong_parameters(service):
  """Yield sentences on what the user of the root asks for."""
  parameters = service['parameters']
  for name in sorted({*parameters, *service['monitor-parameters']}):
    if _UNFIT.search(name) and not name.startswith(_PLACE):
      yield 'a parameter has the name %r, and must have one that is not' \
        ' empty, has no space and none of {}[]=:$, and no + or - at its' \
        ' end' % name
    if name in service['reserved']:
      yield 'parameter %s is %r, and must not be given: the stack itself' \
        ' tells it to its instances, so give yours another name' % (
          name, parameters.get(name))
    if name == 'recipe':
      yield 'parameter recipe is %r, and buildout takes that for its own in' \
        ' each instance: give it another name' % parameters.get(name)
  count = parameters.get('resilient-clone-number', 0)
  if count not in (None, '') and not _is_whole(count, 0):
    yield 'parameter resilient-clone-number is %r, and must be a whole' \
      ' number, at least 0' % count
  policy = parameters.get('resilient-retired-clones')
  if policy not in (None, '', *_POLICIES):
    yield 'parameter resilient-retired-clones is %r, and must be one of: %s' % (
      policy, ', '.join(_POLICIES))


def _wrong_places(services, prefixes):
  """Yield sentences on places of no instance: two services may be told the same
  places, so each is to be one's of either."""
  given = {name: value for service in services
           for name, value in service['parameters'].items()
           if name.startswith(_PLACE)}
  for name, value in sorted(given.items()):
    if _UNFIT.search(name) or not any(
        name.startswith(prefix) and name != prefix for prefix in prefixes):
      yield 'parameter %s is %r, and must begin with one of: %s' % (
        name, value, ', '.join(prefixes))


def _same_titles(services):
  """Yield sentences on instances of two services that would have one name."""
  owners = {}
  for service in services:
    for number in (0, *_asked(service)):
      title = '%s%d' % (service['namebase'], number)
      if owners.setdefault(title, service['namebase']) != service['namebase']:
        yield 'two instances are named %s, of the services %s and %s: give' \
          ' one another name' % (title, owners[title], service['namebase'])


def _raise(problems):
  problems = list(dict.fromkeys(problems))
  if problems:
    raise UserError('; '.join(problems))


def check(buildout):
  """Look at all that is asked, before any of it is requested.

  Raises UserError, which names each parameter that is wrong.
  """
  services = [dict(buildout[name]) for name in sorted(buildout)
              if name.startswith(_SECTION)]
  _raise(problem for service in services for problem in _wrong_call(service))
  known = {service['namebase']: Clones.load(buildout, service)
           for service in services}
  prefixes = dict.fromkeys(
    prefix for service in services for prefix in _prefixes(
      service, _asked(service) | known[service['namebase']].known
      | known[service['namebase']].destroyed))
  _raise([
    *(problem for service in services
      for problem in _wrong_parameters(service)),
    *_wrong_places(services, prefixes), *_same_titles(services)])
  for service in services:
    clones, asked = known[service['namebase']], _asked(service)
    if asked & clones.destroyed:
      clones._replace(destroyed=clones.destroyed - asked).save()


def _stop(buildout, service, number):
  """Request a clone and its PBS as they were, but stopped: they are found
  wherever they are, and not made."""
  name = service['namebase']
  log.info(
    'clone %s%d and its PBS are not asked for any more: stopped, with all their'
    ' data', name, number)
  buildout.parse(service['retired-requests'].replace(
    service['any-clone'], str(number)))


def _destroy(master, service, number):
  """Have a clone and its PBS destroyed, and the shared instances with it."""
  name = service['namebase']
  log.warning(
    'clone %s%d and its PBS are not asked for any more: destroyed, with all'
    ' their data, as resilient-retired-clones says', name, number)
  for title, software_type in (
      ('%s%d' % (name, number), service['import-type']),
      ('PBS (%s / %d)' % (name, number), 'pull-backup')):
    try:
      master.destroy(title, software_type)
    except NoInstance:
      # An earlier run had it destroyed, and could not note it.
      continue
    except MasterError as error:
      raise UserError(str(error)) from error


def retire(buildout, namebase):
  """Care for the clones of service `namebase` that were requested once, and are
  not asked for any more.  Raises UserError.

  A master destroys what its root does not request any more.  So they are
  requested: stopped, unless the user wants them destroyed.  That is asked once,
  for a request of what is gone would make it anew.
  """
  service = dict(buildout[_SECTION + namebase])
  clones = Clones.load(buildout, service)
  retired = sorted(clones.known - _asked(service))
  if service['parameters'].get('resilient-retired-clones') != 'destroyed':
    for number in retired:
      _stop(buildout, service, number)
    return
  connection = buildout['slap-connection']
  master = Master(types.SimpleNamespace(
    address='%s/%s' % (connection['computer-id'], connection['partition-id']),
    **{key.replace('-', '_'): connection.get(key) for key in (
      'server-url', 'key-file', 'cert-file', 'software-release-url')}))
  for number in retired:
    _destroy(master, service, number)
    clones = clones._replace(known=clones.known - {number},
                             destroyed=clones.destroyed | {number})
    clones.save()
