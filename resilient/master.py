"""What a takeover reads and asks of the SlapOS master.

Instances are addressed by computer and partition, which a rename does not
change: ``COMP-1/slappart3``.
"""
import json
import typing

# A published value: the address of who is about to take over.
MARK = 'takeover-mark'
# Seconds for each question.
_TIMEOUT = 30
# The master allocates nothing on a computer that does not exist.
_NOWHERE = 'no computer: an instance that is there already, or none'
# What masters put among the parameters of an instance, beside its own.
_NO_PARAMETERS = frozenset((
  'instance_title', 'root_instance_title', 'root_instance_short_title',
  'slap_software_type', 'slap_software_release_url', 'slap_computer_id',
  'slap_computer_partition_id', 'slave_instance_list', 'ip_list',
  'full_ip_list', 'timestamp'))


class MasterError(Exception):
  """The master cannot be reached, or refused."""


class NoInstance(MasterError):
  """No instance has this name."""


class Instance(typing.NamedTuple):
  """What the master knows of an instance.

  parameters: those it was requested with.  published: those it published.
  """
  title: str
  type: str
  parameters: dict
  published: dict

  @property
  def values(self):
    """What it published; of a release with parameters of any JSON type, too,
    whose instances publish all in one value."""
    try:
      found = json.loads(self.published['_'])
    except (KeyError, ValueError):
      return self.published
    return {**found, **self.published} if isinstance(
      found, dict) else self.published


def _ask(function, *arguments, **keywords):
  # Not with the module: each gate imports it, and must start fast.
  import slapos.slap
  try:
    return function(*arguments, **keywords)
  except slapos.slap.NotFoundError as error:
    raise NoInstance('the SlapOS master does not know it: %s' % error
                     ) from error
  except Exception as error:
    # Whatever it is: the parser of slapos.slap lets through what it stumbles
    # over, where not the master answers but a page of maintenance, or nothing.
    # One line of it: what it says may go over many.
    raise MasterError('the SlapOS master did not do what it was asked: %s: %s'
                      % (type(error).__name__, ' '.join(str(error).split()))
                      ) from error


class Master:
  """The master, as the partition of `configuration` sees it.

  Every method raises MasterError.
  """

  def __init__(self, configuration):
    import slapos.slap
    self._configuration = configuration
    self._slap = slapos.slap.slap()
    self._slap.initializeConnection(
      configuration.server_url, configuration.key_file or None,
      configuration.cert_file or None, timeout=_TIMEOUT)

  def _partition(self, address):
    computer, _, partition = address.partition('/')
    if not computer or not partition:
      raise MasterError('%r is no address of an instance' % address)
    return self._slap.registerComputerPartition(computer, partition)

  def look(self, address):
    """Return the Instance at `address`.  Changes nothing."""
    partition = self._partition(address)
    parameters = dict(_ask(partition.getInstanceParameterDict))
    return Instance(
      parameters.get('instance_title') or '',
      parameters.get('slap_software_type') or '',
      {key: value for key, value in parameters.items()
       if key not in _NO_PARAMETERS},
      dict(_ask(partition.getConnectionParameterDict)))

  def _request(self, title, software_type, parameters, state):
    """Have `state` and the rest asked for; return what slapos.slap makes of the
    answer."""
    configuration = self._configuration
    return _ask(
      self._partition(configuration.address).request,
      software_release=configuration.software_release_url,
      software_type=software_type, partition_reference=title, state=state,
      partition_parameter_kw=parameters, filter_kw={'computer_guid': _NOWHERE})

  def request(self, title, software_type, parameters, state):
    """Give the instance `title` another type, parameters and state; return its
    address.  None is ever made: raises NoInstance if there is none."""
    instance = self._request(title, software_type, parameters, state)
    # Asked first: it is what says that the instance is not ready.
    partition_id = _ask(instance.getId)
    return '%s/%s' % (instance.slap_computer_id, partition_id)

  def destroy(self, title, software_type):
    """Have instance `title` of this tree destroyed, with its data.  Raises
    NoInstance if the master says that there is none."""
    # No address is asked for: the master of ERP5 has none for what is to go.
    self._request(title, software_type, {}, 'destroyed')

  def mark(self, address, published, own):
    """Let the instance at `address` publish `own` as its MARK, beside what it
    has `published`."""
    _ask(self._partition(address).setConnectionDict,
         {**published, MARK: own})

  def rename(self, address, title):
    """Give the instance at `address` another title."""
    _ask(lambda: self._partition(address).rename(title))

  def bang(self, message):
    """Have the whole tree processed again."""
    _ask(lambda: self._partition(self._configuration.address).bang(message))
