"""Stories told on a whole node: real slapgrid, master, sshd, rdiff-backup.

A process has one node, and each class deploys a tree of its own on it.
RESILIENT_TEST_SLOT is the number of a process that runs beside others.  The
words of the stories are in ``node.py`` and ``tree.py``.
"""
import atexit
import functools
import http.server
import json
import os
import pathlib
import shutil
import threading
import time

# Read by slapos.testing when it is imported.
os.environ.setdefault('SLAPOS_TEST_IPV4', '127.0.0.1')
os.environ.setdefault('SLAPOS_TEST_IPV6', '::1')

from slapos.testing.testcase import makeModuleSetUpAndTestCaseClass  # noqa: E402

from demo import convergence, processes, release  # noqa: E402

from . import node, service, tree  # noqa: E402

_WORK = pathlib.Path(os.environ.get(
  'RESILIENT_TEST_WORK', release.PROJECT / '.node')).resolve()
_SLOT = int(os.environ.get('RESILIENT_TEST_SLOT', 0))
_BASE = _WORK / ('t%d' % _SLOT)
_LIMIT_OF_PASSES = 12
# Seconds: a promise that was red is looked at again after one minute.
_LIMIT_OF_QUIET = 120
# The folders with other releases that extend the stack.
_FOLDERS = ('database', 'lapp', 'lamp')
# Those that know nothing of the stack but its URL, and where they name it.
_FOREIGN = ('test/foreign', 'test/override')
_STACK = b'https://stack.example/resilient/'


class _Handler(http.server.SimpleHTTPRequestHandler):

  def log_message(self, *_):
    """Say nothing: what is fetched is in buildout's log."""


def serve(directory):
  """Serve `directory` while the tests run; return the URL."""

  class Server(http.server.ThreadingHTTPServer):
    address_family = __import__('socket').AF_INET6

  server = Server(
    ('::1', 0), functools.partial(_Handler, directory=str(directory)))
  threading.Thread(target=server.serve_forever, daemon=True).start()
  return 'http://[::1]:%d' % server.server_port


def _foreign_url(stack):
  """Serve the foreign releases from another root; return the URL.

  stack: URL of the stack.
  """
  directory = _BASE / 'foreign'
  for folder in _FOREIGN:
    target = directory / folder
    target.mkdir(parents=True)
    for path, data in release.content(release.PROJECT / folder).items():
      (target / path).write_bytes(data.replace(_STACK, stack.encode()))
  return serve(directory) + '/'


def _release_url():
  # Every process of the node inherits the mark, so that none outlives us, and
  # what an interrupted run left does not disturb.
  os.environ[processes.MARK] = str(_BASE)
  processes.end_node(_BASE)
  atexit.register(processes.end_node, _BASE)
  shutil.rmtree(_BASE, ignore_errors=True)
  releases = _BASE / 'release'
  releases.mkdir(parents=True)
  name = release.write(release.content(folders=_FOLDERS), releases)
  return '%s/%s/' % (serve(releases), name)


_RELEASE_URL = _release_url()
_FOREIGN_URL = _foreign_url(_RELEASE_URL)
_, _TestCase = makeModuleSetUpAndTestCaseClass(
  _RELEASE_URL + 'software.cfg', base_directory=str(_BASE),
  software_id='resilient', skip_software_check=True)


def _url(software):
  return (_FOREIGN_URL if os.path.dirname(software) in _FOREIGN
          else _RELEASE_URL) + software


class ResilientTestCase(_TestCase):
  """A tree of a leader, two clones and two PBS, converged."""

  # p50, p51...: their ports are not those of a demo, whose numbers are small,
  # nor of stories that are told at the same time.
  __partition_reference__ = 'p%d' % (5 + _SLOT)
  # Ten at the most, or a name would be that of p5 and two digits.
  partition_count = 10
  default_partition_reference = convergence.ROOT
  request_instance = True
  # The software, relative to the project.
  SOFTWARE = 'software.cfg'
  NAME = 'data'
  NUMBER = 3
  # What the root publishes beside the stack's own.
  PUBLISHED = ('url',)
  # How the stories write and read what is replicated.
  SERVICE = service.Records

  # How many passes did something until the tree was converged.
  working_passes = 0

  @classmethod
  def getSoftwareURL(cls):
    """Return the URL of the software."""
    return _url(cls.SOFTWARE)

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root instance: no export but those of the
    stories, for cron may strike at any minute."""
    return {'resiliency-backup-periodicity': '0 0 29 2 *'}

  @classmethod
  def waitForInstance(cls):
    """Run passes until one finds nothing to do."""
    cls.tree = tree.Tree(cls.slap, cls.NAME, cls.NUMBER, cls.PUBLISHED,
                         cls.SERVICE)
    cls.working_passes = cls.converge()

  @classmethod
  def request_root(cls, parameters):
    """Ask for the root instance with other `parameters`, to be deployed."""
    cls.slap.request(
      software_release=cls.getSoftwareURL(),
      software_type=cls.getInstanceSoftwareType(),
      partition_reference=cls.default_partition_reference,
      partition_parameter_kw={'_': json.dumps(parameters)}, state='started')

  @classmethod
  def converge(cls, meanwhile=lambda: None):
    """Run passes until the tree is converged; return how many did something.

    meanwhile: called after each of them that was not the last.
    Raises AssertionError with what is still missing.
    """
    number, quiet = 0, time.monotonic()
    while number <= _LIMIT_OF_PASSES:
      last = cls.tree.run_pass()
      if last.converged:
        return number
      if last.working:
        number, quiet = number + 1, time.monotonic()
      elif time.monotonic() - quiet > _LIMIT_OF_QUIET * node.FACTOR:
        break
      else:
        # Nothing to process, and not green yet: a service may need a moment.
        time.sleep(1)
      meanwhile()
    raise AssertionError('the tree did not converge in %d working passes: %s;'
                         ' %s' % (number, last.missing.sentence(),
                                  last.failures))

  @classmethod
  def _cleanup(cls, snapshot_name):
    """End the node, and forget its instances: in seconds, where destroying
    each of them in turn takes minutes.  The software stays."""
    processes.end_node(_BASE)
    shutil.rmtree(cls.slap.instance_directory)
    os.unlink(cls.slap._proxy_database)

  @classmethod
  def _copySnapshot(cls, source_file_name, name):
    """Keep no copies: the folder of the node stays until the next run."""

  def setUp(self):
    super().setUp()
    self.addCleanup(self._no_defect_in_logs)

  def _no_defect_in_logs(self):
    """No service met a defect of its own while the test ran."""
    defects = self.tree.tracebacks()
    self.assertFalse(defects, 'tracebacks in logs:\n' + '\n'.join(defects))


@functools.cache
def build(software):
  """Build `software`, a path relative to the project; once for all modules.

  Raises AssertionError.

  As slapos.testing does it, but without its polling, which triples the time,
  and without its bill of materials: nxdbom looks for eggs, and the packages of
  our environment are none.
  """
  slap = ResilientTestCase.slap
  slap.start()
  # The tree of another software was there, and went with its folder.
  os.makedirs(slap.instance_directory, exist_ok=True)
  slap.supply(_url(software))
  log = pathlib.Path(slap._log_directory, 'software.log')
  if node.slapos(slap, 'software', log):
    raise AssertionError('%s was not built:\n' % software + '\n'.join(
      log.read_text(errors='replace').splitlines()[-30:]))


def set_up_module():
  """Build the stack's own release."""
  build(ResilientTestCase.SOFTWARE)
