"""Parameters that change while a tree runs."""
import contextlib
import datetime
import hashlib
import http.client
import itertools
import json
import pathlib
import re
import time
import unittest

import croniter
import psutil

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .node import fetch, wait_until

_NEVER = '0 0 29 2 *'
_MARGIN = 1800
_NUMBERS = itertools.count(1)


class ParametersTest(ResilientTestCase):
  """One tree of a leader and a clone; each story asks for the parameters that
  it is about, beside the usual ones."""

  NUMBER = 2

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root instance, as texts."""
    return {'resilient-clone-number': '1',
            'resiliency-backup-periodicity': _NEVER}

  def setUp(self):
    super().setUp()
    self.tree.leader.write('before', self.id())
    self.first = self.tree.back_up()

  def request(self, **parameters):
    """Ask for other parameters of the root instance; '' takes one back."""
    wanted = dict(self.getInstanceParameterDict(), **{
      'resilient-clone-number': 1}, **{
        name.replace('_', '-'): value for name, value in parameters.items()})
    self.request_root(wanted)

  def change(self, **parameters):
    """Change parameters, and deploy that."""
    self.request(**parameters)
    self.converge()

  def change_while_red(self, key, value, **parameters):
    """Change parameters of a tree that cannot converge, for what is red needs a
    new backup; until the leader's configuration has `value` for `key`."""
    self.request(**parameters)
    for _ in range(6):
      if int(self.told(self.tree.leader, key)) == value:
        return
      self.tree.run_pass()
    self.fail('the leader was not told %s = %s' % (key, value))

  def entry(self):
    """Return when cron runs the leader's export."""
    path = self.tree.leader.path / 'etc/cron.d/backup'
    line, = path.read_text().splitlines()
    return ' '.join(line.split()[:5])

  def told(self, node, key):
    """Return what the configuration of `node` says of `key`."""
    return json.loads((node.path / 'etc/resilient.json').read_text())[key]

  def assertIntact(self, *labels):
    """The archive holds generations `labels`, each of them restores, and the
    clone has the newest."""
    pbs = self.tree.pbs(1)
    held = pbs.state()['archives']['data']['generations']
    for label in labels:
      self.assertIn(label, held)
      target = pbs.path / 'srv' / ('restored-%d' % next(_NUMBERS))
      self.assertIn('restored and verified', pbs.run(
        'restore', 'data', '--generation', label, '--to', str(target)))
    self.tree.wait_for_clones(labels[-1])
    self.assertEqual(
      self.tree.leader.records(), self.tree.clone(1).records())

  def test_periodicity_moves_cron_and_what_is_due(self):
    self.assertEqual(_NEVER, self.entry())
    # At no time of this year: no export but that of the story.
    self.change(resiliency_backup_periodicity='*-2-29 3:0/20')
    self.assertEqual('0-40/20 3 29 2 *', self.entry())
    label = self.tree.back_up()
    generation = self.tree.leader.state()['generation']
    following = croniter.croniter(
      '*/20 3 29 2 *', datetime.datetime.fromtimestamp(generation['sealed']))
    self.assertEqual(
      following.get_next(datetime.datetime).timestamp() + _MARGIN,
      generation['due'])
    self.assertIntact(self.first, label)

  def test_without_periodicity_it_is_hourly_at_a_minute_of_its_own(self):
    instance = self.tree.leader.state()['instance']
    minute = int(hashlib.sha256(instance.encode()).hexdigest(), 16) % 60
    # An export of its own would come between those of the stories.
    wait_until(lambda: (minute - time.localtime().tm_min) % 60 > 4, 360,
               'time without a backup', self.tree.diagnosis)
    self.change(resiliency_backup_periodicity='')
    self.assertEqual('%d * * * *' % minute, self.entry())
    again = self.tree.run_pass()
    self.assertTrue(again.converged, again)
    self.assertEqual('%d * * * *' % minute, self.entry())
    self.change()
    self.assertEqual(_NEVER, self.entry())
    self.assertIntact(self.first)

  def test_retention_removes_what_is_too_old_and_nothing_else(self):
    self.change(remove_backup_older_than='1B')
    second, third = self.tree.back_up(), self.tree.back_up()
    pbs = self.tree.pbs(1)

    def held():
      return pbs.state()['archives']['data']['generations']

    wait_until(lambda: self.first not in held(), 60, 'end of an old generation',
               self.tree.diagnosis)
    self.assertIn(third, held())
    self.assertLessEqual(len(held()), 2)
    self.assertIntact(*held())
    # Nothing is removed any more.
    self.change()
    fourth = self.tree.back_up()
    self.assertIntact(third, fourth)
    self.assertNotEqual(second, third)

  def test_exporter_that_hangs_is_ended_by_the_new_deadline(self):
    leader = self.tree.leader
    self.change(resiliency_export_deadline=2)
    put_back = leader.replace('data-exporter', 'exec sleep 7654\n')
    self.addCleanup(put_back)
    said = leader.run('exporter', status=1)
    sentence = 'data-exporter did not end within 2 s and was ended'
    self.assertIn(sentence, said)
    self.assertIn(sentence, leader.log('exporter'))
    self.assertIn(sentence, leader.problems()['export'])
    for process in leader.processes():
      with contextlib.suppress(psutil.Error):
        self.assertNotIn('7654', process.cmdline())
    self.assertIntact(self.first)

    put_back()
    self.change_while_red(
      'export-deadline', 600, resiliency_export_deadline=600)
    label = self.tree.back_up()
    self.assertEqual({}, leader.problems())
    self.assertIntact(self.first, label)

  def test_backup_older_than_the_maximum_age_is_red_everywhere(self):
    self.change(resiliency_maximum_age=60)
    label = self.tree.back_up()
    nodes = [self.tree.leader, self.tree.pbs(1), self.tree.clone(1)]
    generation = self.tree.leader.state()['generation']
    self.assertEqual(generation['sealed'] + 60, generation['due'])
    for node in nodes:
      wait_until(lambda: 'freshness' in node.problems(), 120,
                 'alarm of %r' % node, self.tree.diagnosis)
      self.assertIn('is late: its newest generation, %s,' % label,
                    node.problems()['freshness'])
    red = self.tree.check_promises()
    for node in nodes:
      self.assertIn((node.title, 'promise-freshness'), red)

    self.change_while_red('maximum-age', 7200, resiliency_maximum_age=7200)
    label = self.tree.back_up()
    generation = self.tree.leader.state()['generation']
    self.assertEqual(generation['sealed'] + 7200, generation['due'])
    self.assertEqual({}, self.tree.check_promises())
    self.assertIntact(self.first, label)

  def test_takeover_page_is_plain_http_and_https_again(self):
    before = dict(self.tree.clone(1).parameters)
    fingerprint = before['takeover-fingerprint']
    url = before['takeover-url']

    def shows(url, *arguments):
      try:
        return 'Last valid backup' in fetch(url, *arguments)[1]
      except (OSError, http.client.HTTPException):
        return False

    self.change(resiliency_takeover_tls=False)
    plain = self.tree.clone(1).parameters['takeover-url']
    self.assertEqual('http' + url.removeprefix('https'), plain)
    wait_until(lambda: shows(plain), 30, 'page at ' + plain)
    self.assertFalse(shows(url, 'GET', None, fingerprint))
    # The root tells it when it is processed the next time.
    (self.tree.root.path / '.timestamp').unlink()
    self.converge()
    self.assertEqual(plain, self.tree.root.parameters['takeover-data-1-url'])
    self.change()
    self.assertEqual(before, self.tree.clone(1).parameters)
    wait_until(lambda: shows(url, 'GET', None, fingerprint), 30,
               'page at ' + url)
    self.assertIntact(self.first)

  def test_wrong_value_is_one_line_and_changes_nothing(self):
    leader, pbs = self.tree.leader, self.tree.pbs(1)
    roles = self.tree.roles()
    for parameters, sentence in (
        ({'remove-backup-older-than': '2 weeks'},
         "parameter remove-backup-older-than is '2 weeks', and must be like"
         ' "2W", "1M15D" or "10B"'),
        ({'resiliency-export-deadline': '1h'},
         "parameter resiliency-export-deadline is '1h', and must be a whole"
         ' number from 1 to 31622400'),
        ({'resilient-clone-numer': 2},
         'parameter resilient-clone-numer is 2, and is unknown; there are: ')):
      with self.subTest(sentence):
        before = [(node.path / 'etc/resilient.json').read_text()
                  for node in (leader, pbs)]
        self.request(**parameters)
        failed = self.tree.run_pass()
        self.assertFalse(failed.converged)
        lines = pathlib.Path(failed.log).read_text().splitlines()
        said = [line for line in lines if sentence in line]
        self.assertTrue(said, lines[-20:])
        for line in said:
          self.assertRegex(line, r'(^|\bINFO )Error: ' + re.escape(sentence))
        self.assertFalse([line for line in lines if 'Traceback' in line])
        # As before, and working.
        self.assertEqual(roles, self.tree.roles())
        self.assertEqual(
          before, [(node.path / 'etc/resilient.json').read_text()
                   for node in (leader, pbs)])
        leader.write('meanwhile', sentence)
        self.tree.back_up()

    self.change(
      remove_backup_older_than='3W', resiliency_export_deadline='3600',
      resiliency_import_deadline=601, resiliency_transfer_deadline=602,
      resiliency_verification_interval=603, resiliency_check_interval=5)
    clone = self.tree.clone(1)
    for node, key, value in (
        (leader, 'export-deadline', 3600), (clone, 'import-deadline', 601),
        (pbs, 'transfer-deadline', 602), (pbs, 'verification-interval', 603),
        (clone, 'check-interval', 5),
        (pbs, 'check-interval', 5)):
      self.assertEqual(value, int(self.told(node, key)), (node, key))
    self.assertEqual(
      ['3W'], [shared['remove-backup-older-than'] for shared in self.told(
        pbs, 'shared-instances') if shared['type'] == 'pull'])
    self.assertIntact(self.first, self.tree.back_up())


if __name__ == '__main__':
  unittest.main()
