"""A real slapproxy, and a family of instances at it: a root, a leader and two
clones."""
import contextlib
import sqlite3
import sys
import urllib.request

from slapos.proxy.db_version import DB_VERSION
import slapos.slap
import slapos.util

from resilient.durable import write_json
from resilient.master import Master

from ..ports import free_port
from .partition import Partition
from .support import sealed, TestCase, wait_until

SOFTWARE = 'http://[::1]/software.cfg'
COMPUTER = 'COMP-1'
_TABLE = 'partition' + DB_VERSION
# As template-replicated.cfg.in asks for a leader that was allocated once.
NOWHERE = {'computer_guid': 'no computer: the leader was allocated'}
_SERVE = '''
import logging, sys, types
from slapos.proxy import do_proxy
logging.getLogger('werkzeug').setLevel(logging.ERROR)
do_proxy(types.SimpleNamespace(
  logger=logging.getLogger(), computer_id=%r, database_uri=sys.argv[1],
  host='127.0.0.1', port=sys.argv[2], software_product_list=[],
  multimaster={}))
'''


class Proxy:
  """A slapproxy with eight partitions; ends with `test`."""

  def __init__(self, test, directory):
    self.database = directory + '/proxy.db'
    self._test = test
    self._port = free_port()
    self.url = 'http://127.0.0.1:%d/' % self._port
    self.process = None
    self.start()
    slap = slapos.slap.slap()
    slap.initializeConnection(self.url)
    slap.registerComputer(COMPUTER).updateConfiguration(slapos.util.dumps({
      'reference': COMPUTER, 'address': '::1', 'netmask': '',
      'partition_list': [
        {'reference': 'slappart%d' % number, 'tap': {'name': ''},
         'address_list': []} for number in range(8)]}))
    self._slap = slap

  def start(self):
    """Start it, and wait until it answers."""
    self.process = self._test.start([
      sys.executable, '-c', _SERVE % COMPUTER, self.database, str(self._port)])
    wait_until(self._answers, 'the master answers', timeout=30)

  def stop(self):
    """End it."""
    self.process.kill()
    self.process.wait()

  def _answers(self):
    with contextlib.suppress(OSError):
      urllib.request.urlopen(self.url + 'getRunId', timeout=5).close()
      return True
    return False

  def save(self):
    """Return all that it knows of instances, for `restore`."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      return connection.execute('SELECT * FROM ' + _TABLE).fetchall()

  def restore(self, rows):
    """Let it know what it knew."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      with connection:
        connection.execute('DELETE FROM ' + _TABLE)
        connection.executemany('INSERT INTO %s VALUES (%s)' % (
          _TABLE, ','.join('?' * len(rows[0]))), rows)

  def free(self, partition):
    """Let it have no instance in `partition`, as when that was destroyed."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      with connection:
        connection.execute(
          "UPDATE %s SET slap_state = 'free', xml = NULL,"
          ' connection_xml = NULL, software_type = NULL,'
          " partition_reference = NULL, requested_by = ''"
          ' WHERE reference = ?' % _TABLE, (partition,))

  def request(self, title, software_type, parameters=(), **keywords):
    """Request an instance of the root's, as the root does."""
    return self._slap.registerComputerPartition(
      COMPUTER, 'slappart0').request(
        SOFTWARE, software_type, title,
        partition_parameter_kw=dict(parameters), state='started', **keywords)

  def root_pass(self):
    """Process the root instance, as far as leader and clones go.  It ends at
    the first request that fails, as buildout does."""
    self.request('data0', 'data-export', {'namebase': 'data'},
                 filter_kw=NOWHERE)
    for number in (1, 2):
      self.request('data%d' % number, 'data-import', {'namebase': 'data'})

  def make(self):
    """Allocate the whole family: root in slappart0, data0 in slappart1..."""
    self._slap.registerOpenOrder().request(SOFTWARE, 'root')
    self.request('data0', 'data-export', {'namebase': 'data'})
    self.root_pass()

  def instances(self):
    """Return {partition: (title, type, state)} of what is allocated."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      return {row[0]: row[1:] for row in connection.execute(
        'SELECT reference, partition_reference, software_type, requested_state'
        " FROM %s WHERE slap_state = 'busy'" % _TABLE)}

  def titled(self, title):
    """Return the partitions whose instance has `title`."""
    return [partition for partition, row in self.instances().items()
            if row[0] == title]


class FamilyCase(TestCase):
  """A leader in slappart1 and its clones in slappart2 and slappart3, each as a
  Partition that knows the real master."""

  def setUp(self):
    super().setUp()
    self.proxy = Proxy(self, self.directory)
    self.proxy.make()
    self.leader = self.member('export', 1)
    self.clone = self.member('import', 2)
    self.other = self.member('import', 3)

  def member(self, role, number, **options):
    """Return the Partition of slappart`number`."""
    return Partition(self.path('slappart%d' % number), role, {**{
      'server-url': self.proxy.url, 'computer-id': COMPUTER,
      'partition-id': 'slappart%d' % number,
      'software-release-url': SOFTWARE}, **options})

  def load(self, *places, **changes):
    """Let the services of clones hold a generation of the leader, 3.7."""
    for place in places or (self.clone, self.other):
      identity = sealed(place.dump, {'marker': 'x'}, **{**{
        'epoch': 3, 'sequence': 7, 'leader': COMPUTER + '/slappart1',
        'sealed': 1e9}, **changes})
      for name in ('verified.json', 'imported.json'):
        write_json(place.configuration.state(name), {
          'generation': identity.to_json(), 'at': 1e9})

  def look(self, place):
    """Return what the master knows of `place`."""
    return Master(place.configuration).look(place.configuration.address)

  def publish(self, values, place=None):
    """Let `place`, or the leader, publish `values`."""
    configuration = (place or self.leader).configuration
    Master(configuration)._slap.registerComputerPartition(
      COMPUTER, configuration.partition_id).setConnectionDict(values)

  def assertLeads(self, winner, old):
    """`winner` is the one data0, and `old` is frozen and says why."""
    self.assertEqual(self.proxy.titled('data0'),
                     [winner.configuration.partition_id])
    title, kind, state = self.proxy.instances()[old.configuration.partition_id]
    self.assertRegex(title, r'^broken-\d{8}-\d{6}')
    self.assertEqual((kind, state), ('frozen', 'stopped'))
    told = self.look(old).parameters
    self.assertEqual(told['successor'], winner.configuration.address)
    self.assertEqual(told['namebase'], 'data')
