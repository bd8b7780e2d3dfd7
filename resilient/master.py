"""What a takeover asks of the SlapOS master."""
import requests
import slapos.slap


class MasterError(Exception):
  """The master cannot be reached, or refused."""


_ERRORS = (
  slapos.slap.NotFoundError, slapos.slap.ServerError,
  slapos.slap.ResourceNotReady, slapos.slap.ConnectionError,
  requests.RequestException, OSError)


class Master:
  """The master, as the partition of `configuration` sees it.

  Every method raises MasterError.
  """

  def __init__(self, configuration):
    self._configuration = configuration
    self._slap = slapos.slap.slap()
    self._slap.initializeConnection(
      configuration.server_url, configuration.key_file or None,
      configuration.cert_file or None)

  def _partition(self, computer_id, partition_id):
    return self._slap.registerComputerPartition(computer_id, partition_id)

  def _own(self):
    return self._partition(
      self._configuration.computer_id, self._configuration.partition_id)

  @staticmethod
  def _ask(function, *arguments, **keywords):
    try:
      return function(*arguments, **keywords)
    except _ERRORS as error:
      raise MasterError('the SlapOS master did not do what it was asked: %s: %s'
                        % (type(error).__name__, error)) from error

  def own_name(self):
    """Return the name under which this partition is requested."""
    return self._ask(self._own).getInstanceParameterDict()['instance_title']

  def freeze(self, name):
    """Have instance `name` of this tree stopped, as type ``frozen``.

    Returns (computer, partition), which stay the same when it is renamed.
    """
    own = self._ask(self._own)
    instance = self._ask(
      own.request,
      software_release=self._configuration.software_release_url,
      software_type='frozen', partition_reference=name, state='stopped')
    # Asked first: it is what says that the instance is not ready.
    partition_id = self._ask(instance.getId)
    return instance.slap_computer_id, partition_id

  def destroy(self, name, software_type):
    """Have instance `name` of this tree destroyed, with its data."""
    own = self._ask(self._own)
    self._ask(
      own.request,
      software_release=self._configuration.software_release_url,
      software_type=software_type, partition_reference=name,
      state='destroyed')

  def rename(self, computer_id, partition_id, name):
    """Give the instance in that partition another name."""
    self._ask(
      lambda: self._partition(computer_id, partition_id).rename(name))

  def bang(self, message):
    """Have the whole tree processed again."""
    self._ask(lambda: self._own().bang(message))
