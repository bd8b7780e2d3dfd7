"""Test case: a real SlapOS master, and a root instance that is built against it
by a real buildout with the real recipes.  Only the children are not built."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import types

import requests
import slapos.slap
from slapos.util import dumps, xml2dict

from demo import convergence
from environment.dialect_case import BuildoutTestCase
from resilient.master import Master

from ..ports import free_port
from . import macros

_COMPUTER = 'local'
_SOFTWARE = 'http://[::1]/software.cfg'
_PARTITIONS = 24
_PATIENCE = 60
# What each type publishes, as the interface has it.
_PUBLISHED = {
  'export': ('ssh-public-key', 'resilient-ssh-url', 'notification-id', 'ip'),
  'import': ('ssh-public-key', 'resilient-ssh-url', 'notification-url', 'ip',
             'takeover-url', 'takeover-password', 'takeover-fingerprint'),
  'pull-backup': ('ssh-key', 'ssh-public-key', 'resilient-ssh-url',
                  'notification-url', 'feeds-url',
                  'monitor-base-url'),
}
_HEAD = '''
[buildout]
parts =
  %(parts)s
eggs-directory = eggs
develop-eggs-directory = develop-eggs
offline = true

[slap-connection]
computer-id = local
partition-id = %(partition)s
server-url = %(url)s
key-file =
cert-file =
software-release-url = %(software)s
requested = started
'''


class MasterTestCase(BuildoutTestCase):
  """A root instance for each test, of a master that knows nothing else."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.database = pathlib.Path(folder.name, 'proxy.db')
    port = free_port()
    cls.url = 'http://127.0.0.1:%d' % port
    configuration = pathlib.Path(folder.name, 'slapos.cfg')
    configuration.write_text(
      '[slapos]\ncomputer_id = %s\nmaster_url = %s\n[slapproxy]\n'
      'host = 127.0.0.1\nport = %d\ndatabase_uri = %s\n' % (
        _COMPUTER, cls.url, port, cls.database))
    log = pathlib.Path(folder.name, 'proxy.log')
    with open(log, 'wb') as output:
      cls._proxy = subprocess.Popen(
        [os.path.join(os.path.dirname(sys.executable), 'slapos'), 'proxy',
         'start', '--cfg', configuration], stdin=subprocess.DEVNULL,
        stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    cls.addClassCleanup(cls._end_master)
    cls.slap = slapos.slap.slap()
    cls.slap.initializeConnection(cls.url)
    end = time.monotonic() + _PATIENCE
    while True:
      try:
        cls._format()
        break
      except (requests.RequestException, slapos.slap.ConnectionError) as error:
        if time.monotonic() > end:
          raise AssertionError(log.read_text()) from error
      time.sleep(0.1)
    cls._fresh = cls.database.read_bytes()

  @classmethod
  def _end_master(cls):
    os.killpg(cls._proxy.pid, signal.SIGKILL)
    cls._proxy.wait()

  @classmethod
  def _format(cls):
    cls.slap.registerComputer(_COMPUTER).updateConfiguration(dumps({
      'reference': _COMPUTER, 'address': '::1', 'netmask': '',
      'partition_list': [
        {'reference': 'p%d' % number, 'tap': {'name': 'p'},
         'address_list': [{'addr': '::1', 'netmask': ''}]}
        for number in range(_PARTITIONS)]}))

  def setUp(self):
    super().setUp()
    # It opens the file for each request, and none is under way.
    self.database.write_bytes(self._fresh)
    root = self.slap.registerOpenOrder().request(_SOFTWARE, convergence.ROOT)
    self.root = root.getId()

  def master(self):
    """Return the master as the root, and so each of its tree, sees it."""
    return Master(types.SimpleNamespace(
      server_url=self.url, key_file='', cert_file='',
      address='%s/%s' % (_COMPUTER, self.root),
      software_release_url=_SOFTWARE))

  # The root

  def root_profile(self, template, parts, url=None, **context):
    """Write the profile of the root: a template that calls the macros, and the
    parts that it has, another template.  url: of another master."""
    text = macros.render(_HEAD % {
      'parts': parts, 'partition': self.root, 'url': url or self.url,
      'software': _SOFTWARE} + template, **context)
    path = self.folder / 'buildout.cfg'
    path.write_text(text.replace('@code@', str(macros.ROOT)), 'utf-8')

  def service(self, number, after='', url=None, **parameters):
    """Write the profile of a root with one service ``data``, called with
    `number`; `after` follows the call, and `url` is of another master."""
    self.root_profile(
      '{{ replicated.replicate("data", number, "export", "import",'
      ' slapparameter_dict=parameters) }}\n' + after,
      '{{ parts.replicate("data", number) }}', url, number=number,
      parameters={name.replace('_', '-') if name.isidentifier() else name: value
                  for name, value in parameters.items()})

  def build(self, status=None):
    """Build the root once; return the output."""
    return self.buildout(status=status)

  def converge(self):
    """Build the root, and let its children publish, until it is done; return
    the output of the last build.  Raises AssertionError."""
    for _ in range(6):
      output = self.build()
      if 'Error' not in output:
        return output
      self.publish()
    raise AssertionError(output)

  # The children

  def publish(self):
    """Let each child publish what its type does, in the form in which it was
    asked."""
    for title, instance in self.instances().items():
      if instance.type not in _PUBLISHED:
        continue
      values = {name: '%s of %s' % (name, title)
                for name in _PUBLISHED[instance.type]}
      if '_' in self.parameters_as_stored(title):
        values = {'_': json.dumps(values)}
      self._partition(instance).setConnectionDict(values)

  def _partition(self, instance):
    return self.slap.registerComputerPartition(_COMPUTER, instance.partition)

  def instances(self):
    """Return {title: convergence.Instance}."""
    return {instance.title: instance
            for instance in convergence.instances(self.database)}

  def states(self):
    """Return {title: requested state} of all instances but the root."""
    return {title: instance.state for title, instance in
            self.instances().items() if title != convergence.ROOT}

  def parameters_as_stored(self, title):
    """Return the parameters of an instance as the master has them."""
    instance = self.instances()[title]
    text, = convergence._query(
      self.database, "SELECT xml FROM partition%s WHERE reference = '%s'" % (
        convergence.DB_VERSION, instance.partition))
    return xml2dict(text[0])

  def parameters(self, title):
    """Return the parameters of an instance as its profile sees them."""
    found = self.parameters_as_stored(title)
    return json.loads(found['_']) if '_' in found else found

  def published(self):
    """Return what the root publishes."""
    return self.instances()[convergence.ROOT].parameters

  def report(self):
    """Let the node forget the instances that are to be destroyed, as ``slapos
    node report`` does."""
    for instance in self.instances().values():
      if instance.state == 'destroyed':
        self._partition(instance).destroyed()

  def memory(self):
    """Return what the root remembers of its clones."""
    return json.loads(pathlib.Path(
      self.folder, 'srv/resilient/clones-data.json').read_text())
