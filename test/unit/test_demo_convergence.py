"""What the demo concludes from passes, promises and the master's database."""
import contextlib
import json
import sqlite3

from slapos.proxy.db_version import DB_VERSION
from slapos.util import dict2xml

from demo import convergence, deploy
from demo.convergence import Instance, Missing

from .demo_support import COMPLETE, TestCase

# Passes of slapos.core 1.24.1, shortened.
FAILED_PASS = '''\
2026-11-23 01:23:08 slapos[20812] INFO Processing computer partitions...
2026-11-23 01:23:08 slapos[20812] INFO Processing Computer Partition slappart0.
2026-11-23 01:23:08 slapos[20812] INFO   Software URL: http://[::1]/software.cfg
2026-11-23 01:23:10 slapos[20812] ERROR Failed to run buildout profile in \
directory '/srv/node/inst/slappart0'
2026-11-23 01:23:10 slapos[20812] INFO Checking slappart0 promises...
2026-11-23 01:23:10 slapos[20812] INFO Checking slappart1 promises...
2026-11-23 01:23:13 slapos[20812] INFO Processing Computer Partition slappart7.
2026-11-23 01:23:18 slapos[20812] INFO Finished computer partitions.
2026-11-23 01:23:18 slapos[20812] INFO ========================================
2026-11-23 01:23:18 slapos[20812] INFO Error while processing the following \
partitions:
2026-11-23 01:23:18 slapos[20812] INFO   slappart0[default]: Failed to run \
buildout profile in directory '/srv/node/inst/slappart0':
Updating slap-configuration.
Installing request-data.
While:
  Installing switch-softwaretype.
Traceback (most recent call last):
  File "/srv/venv/lib/slapos/recipe/request.py", line 243, in install
    raise KeyError(error_message)
KeyError: 'Connection parameter ssh-key not found.'


2026-11-23 01:23:18 slapos[20812] INFO Error with promises for the following \
partitions:
2026-11-23 01:23:18 slapos[20812] INFO   slappart7[data-import]: Promise \
'promise-sshd.py' failed with output: [::1]:22070 does not answer
'''
IDLE_PASS = '''\
2026-11-23 01:20:10 slapos[20100] INFO Processing computer partitions...
2026-11-23 01:20:10 slapos[20100] INFO Checking slappart0 promises...
2026-11-23 01:20:10 slapos[20100] INFO Checking slappart1 promises...
2026-11-23 01:20:11 slapos[20100] INFO 5 promises didn't need to be checked.
2026-11-23 01:20:15 slapos[20100] INFO Finished computer partitions.
2026-11-23 01:20:15 slapos[20100] INFO ========================================
'''


class TestPass(TestCase):
  """What a pass tells."""

  def outcome(self, log, status=0, lack=COMPLETE):
    """Return the convergence.Pass with that log."""
    return convergence.outcome(
      status, 1.5, self.write('pass-7.log', log), lack)

  def test_processed_and_failed_partitions_are_found(self):
    found = self.outcome(FAILED_PASS, 1)
    self.assertEqual(found.processed, ['slappart0', 'slappart7'])
    self.assertEqual(found.failures, {
      'slappart0': "KeyError: 'Connection parameter ssh-key not found.'",
      'slappart7': "Promise 'promise-sshd.py' failed with output:"
                   ' [::1]:22070 does not answer'})
    self.assertTrue(found.working)
    self.assertFalse(found.converged)

  def test_a_wrong_parameter_is_found(self):
    line = "Error: parameter -sla-9-x is 'X', and must begin with: -sla-0-"
    log = FAILED_PASS.replace(
      "KeyError: 'Connection parameter ssh-key not found.'", line)
    self.assertEqual(self.outcome(log, 1).failures['slappart0'], line)

  def test_an_idle_pass_of_a_complete_tree_is_converged(self):
    found = self.outcome(IDLE_PASS)
    self.assertEqual((found.processed, found.failures), ([], {}))
    self.assertFalse(found.working)
    self.assertTrue(found.converged)

  def test_anything_else_is_not(self):
    # Exit status 0 alone is what this must never be taken for.
    processing = FAILED_PASS.partition('Finished')[0]
    for log, status, lack in (
        (processing, 0, COMPLETE),
        (IDLE_PASS, 1, COMPLETE),
        (IDLE_PASS, 2, COMPLETE),
        (IDLE_PASS, 0, COMPLETE._replace(instances=['data1'])),
        (IDLE_PASS, 0, COMPLETE._replace(parameters=['url'])),
        (IDLE_PASS, 0, COMPLETE._replace(
          promises=[('slappart1', 'promise-sshd', 'not checked yet')]))):
      with self.subTest(status=status, lack=lack):
        self.assertFalse(self.outcome(log, status, lack).converged)

  def test_the_line_of_a_pass(self):
    titles = {'slappart0': 'root', 'slappart7': 'data1'}
    self.assertEqual(
      deploy.pass_line(self.outcome(FAILED_PASS, 1), titles),
      'pass 7:  1.5 s, 2 partitions processed, exit status 1;'
      ' to be processed again: data1, root')
    self.assertEqual(
      deploy.pass_line(self.outcome(IDLE_PASS), titles),
      'pass 7:  1.5 s, 0 partitions processed; nothing is missing')
    lack = Missing(['data1', 'data2'], ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
                   [('slappart7', 'promise-sshd', 'no'),
                    ('slappart7', 'promise-cron', 'no'),
                    ('slappart9', 'promise-cron', 'no')])
    self.assertEqual(
      lack.sentence(titles),
      'not requested: data1, data2; not published: a, b, c, d and 3 more;'
      ' red: data1 (promise-sshd, promise-cron), slappart9 (promise-cron)')


class TestMissing(TestCase):
  """What a tree lacks, from the master's database and slapgrid's notes."""

  def setUp(self):
    super().setUp()
    self.database = self.folder / 'proxy.db'
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      connection.execute(
        'CREATE TABLE partition%s (reference, slap_state, connection_xml,'
        ' software_type, partition_reference, requested_state)' % DB_VERSION)
      connection.execute('CREATE TABLE slave%s (reference)' % DB_VERSION)
      connection.commit()

  def insert(self, table_name, **values):
    """Insert a row into the master's database."""
    with contextlib.closing(sqlite3.connect(self.database)) as connection:
      connection.execute('INSERT INTO %s%s (%s) VALUES (%s)' % (
        table_name, DB_VERSION, ', '.join(values),
        ', '.join('?' * len(values))), tuple(values.values()))
      connection.commit()

  def instance(self, title, number, state='started', **published):
    """Add an instance."""
    self.insert(
      'partition', reference='slappart%d' % number, slap_state='busy',
      connection_xml=dict2xml(published) if published else None,
      software_type='data-import', partition_reference=title,
      requested_state=state)

  def lack(self, number=2):
    """Return the Missing of service "data" with `number` instances."""
    return convergence.missing(self.database, self.folder, 'data', number)

  def promise(self, partition, name, failed, message=''):
    """Add a promise; `failed` is None for one that was not checked yet."""
    self.write('%s/etc/plugin/%s.py' % (partition, name), '')
    if failed is not None:
      self.write(
        '%s/.slapgrid/promise/result/%s.status.json' % (partition, name),
        json.dumps({'result': {'failed': failed, 'message': message}}))

  def test_no_master_yet(self):
    self.database.unlink()
    self.assertEqual(convergence.instances(self.database), [])
    self.database.write_bytes(b'')
    self.assertEqual(convergence.instances(self.database), [])
    self.assertEqual(len(self.lack().instances), 5)

  def test_what_is_published_as_json(self):
    self.instance('root', 0, _=json.dumps({'url': 'u', 'number': 3}))
    found, = convergence.instances(self.database)
    self.assertEqual(found.parameters, {'url': 'u', 'number': 3})

  def test_a_tree_that_grows(self):
    self.assertEqual(self.lack().instances, [
      'data0', 'data1', 'PBS (data / 1)', 'PBS 1 pulling from data0',
      'PBS pushing on data1'])
    self.assertEqual(self.lack().parameters, [
      'takeover-data-1-url', 'takeover-data-1-password',
      'takeover-data-1-fingerprint',
      'feed-url-data-1-pull', 'feed-url-data-1-push', 'url'])
    self.instance('root', 0, url='http://[::1]/')
    self.instance('data0', 1)
    self.instance('data1', 2)
    self.instance('PBS (data / 1)', 3)
    self.insert('slave', reference='slappart0_PBS 1 pulling from data0')
    lack = self.lack()
    self.assertEqual(lack.instances, ['PBS pushing on data1'])
    self.assertNotIn('url', lack.parameters)
    self.assertEqual(
      [item for item in convergence.instances(self.database)
       if item.title == 'root'],
      [Instance('root', 'slappart0', 'data-import', 'started',
                {'url': 'http://[::1]/'})])

  def test_only_green_promises_are_green(self):
    self.instance('data0', 1)
    self.instance('broken-20261123', 2, state='stopped')
    self.promise('slappart1', 'good', False)
    self.promise('slappart1', 'bad', True, 'nobody listens\n')
    self.promise('slappart1', 'new', None)
    self.promise('slappart1', '__init__', None)
    self.promise('slappart2', 'stopped', True)
    self.assertEqual(self.lack().promises, [
      ('slappart1', 'bad', 'nobody listens'),
      ('slappart1', 'new', 'not checked yet')])
