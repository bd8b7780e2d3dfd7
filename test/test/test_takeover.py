"""A leader is replaced by a clone, whatever happens meanwhile; backups go on;
and the old leader is brought back."""
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest
import urllib.parse

from resilient import manifest

from . import ResilientTestCase, set_up_module as setUpModule  # noqa: F401
from .checker import Checker
from .node import fetch, wait_until

# Runs bin/takeover's code, and dies by SIGKILL when it is about to give the
# winner its new name: nobody has that name then.
_KILLED = '''
import os, signal, sys
count = 0
def look(event, arguments):
  global count
  if event == 'http.client.send' and b'/softwareInstanceRename' in arguments[1]:
    count += 1
    if count == 2:
      os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
from resilient.command import main
main(['takeover', '--configuration', sys.argv[-1]])
'''


class TakeoverTest(ResilientTestCase):
  """One story; its parts follow each other."""

  @classmethod
  def getInstanceParameterDict(cls):
    """Return the parameters of the root instance: all look often."""
    return dict(super().getInstanceParameterDict(),
                **{'resiliency-check-interval': '10'})

  def programs(self, node):
    """Return the folder of the software's programs, as `node` uses it."""
    word = next(word for word in (node.path / 'bin/takeover').read_text(
      ).replace("'", ' ').replace('"', ' ').split()
      if word.endswith('/bin/resilient'))
    return pathlib.Path(word).parent

  def test_takeover(self):
    self.before_the_first_backup()
    self.a_clone_that_is_behind()
    self.killed_half_way()
    self.at_once()
    self.roles_after()
    self.frozen()
    self.new_leader()
    self.late_export()
    self.brought_back()

  def before_the_first_backup(self):
    """It refuses, in words."""
    tree = self.tree
    self.roles = tree.roles()
    self.old, self.winner, self.other = (
      tree.leader, tree.clone(1), tree.clone(2))
    said = self.winner.run('takeover', status=1)
    self.assertIn('No backup downloaded yet', said)
    self.url = tree.root.parameters['takeover-data-1-url']
    page = fetch(self.url)[1]
    self.assertIn('No backup downloaded yet, takeover should not happen now.',
                  page)
    self.assertEqual(self.roles, tree.roles())

  def a_clone_that_is_behind(self):
    """It says by how much, and offers to insist; a wrong password does not."""
    tree = self.tree
    password = tree.root.parameters['takeover-data-1-password']
    self.old.write('before', 'the loss')
    tree.back_up()
    self.winner.stop('equeue')
    self.old.write('later', 'and late')
    self.first = tree.export()
    tree.wait_for_archive(self.first)
    status, page = fetch(self.url, 'POST', 'password=wrong')
    self.assertEqual(403, status)
    self.assertIn('Password is invalid.', page)
    status, page = fetch(
      self.url, 'POST', urllib.parse.urlencode({'password': password}))
    self.assertEqual(409, status, page)
    self.assertRegex(page, r'1 generation and \d+ s behind: generation %s'
                     % self.first)
    self.assertIn('name="force"', page)
    self.winner.start('equeue')
    tree.wait_for_clones(self.first)
    self.assertTrue(self.url.startswith('https://'), self.url)
    page = fetch(self.url, fingerprint=tree.root.parameters[
      'takeover-data-1-fingerprint'])[1]
    self.assertIn('Last valid backup', page)
    self.assertIn(self.first, page)
    self.assertEqual(self.roles, tree.roles())

  def killed_half_way(self):
    """While nobody has the leader's name, the root instance makes none, and
    another clone is told to wait."""
    tree = self.tree
    python = self.programs(self.winner) / 'resilient-python'
    with tempfile.NamedTemporaryFile('w', suffix='.py') as script:
      script.write(_KILLED)
      script.flush()
      killed = subprocess.run(
        [python, script.name, self.winner.path / 'etc/resilient.json'],
        timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    self.assertEqual(-signal.SIGKILL, killed.returncode, killed.stdout)
    roles = tree.roles()
    self.assertNotIn('data0', roles)
    self.assertEqual(self.winner.partition, roles['data1'])
    self.assertIn('not complete', self.winner.problems()['takeover'])
    self.nobody_told_it()
    # The node processes the root now, which it would not do by itself.
    (tree.root.path / '.timestamp').unlink(missing_ok=True)
    self.assertNotEqual(0, tree.run_pass().status)
    self.assertEqual(roles, tree.roles())
    said = self.other.run('takeover', status=1)
    self.assertIn('run bin/takeover there', said)
    self.assertEqual(roles, tree.roles())

  def at_once(self):
    """Run again, in both clones at once: one leads, and serves at once."""
    tree = self.tree
    runs = {node: subprocess.Popen(
      [node.path / 'bin/takeover'], stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
      for node in (self.other, self.winner)}
    said = {node: run.communicate(timeout=120)[0]
            for node, run in runs.items()}
    self.assertEqual(0, runs[self.winner].returncode, said[self.winner])
    self.assertEqual(1, runs[self.other].returncode, said[self.other])
    self.assertIn('data1 is now data0', said[self.winner])
    self.assertRegex(said[self.other], 'Refused. .*took over on')
    self.assertEqual(204, self.winner.write('promoted', 'before any pass'))
    self.assertIn('leads already', self.winner.run('takeover'))
    self.assertEqual(self.winner.partition, tree.roles()['data0'])

  def nobody_told_it(self):
    """The old leader finds out, refuses writes and exports, and says why."""
    wait_until(lambda: self.old.write('late', 'as a leader') == 403, 120,
               'end of the old leader', self.tree.diagnosis)
    for said in (self.old.problems()['leadership'],
                 self.old.run('exporter', status=1)):
      self.assertIn('this leader has been replaced: data1 (', said)
    wait_until(lambda: self.old.state()['leadership']['stopped'], 30,
               'note that it has stopped', self.tree.diagnosis)
    # With what it took until then.
    self.kept = self.old.records()

  def roles_after(self):
    """The next passes give everyone its role."""
    tree = self.tree
    self.converge()
    now = tree.roles()
    self.broken, = (title for title in now if title.startswith('broken-'))
    self.assertEqual(self.old.partition, now[self.broken])
    self.assertEqual(self.winner.partition, now['data0'])
    self.assertNotIn(now['data1'], self.roles.values())
    for title in ('data2', 'PBS (data / 1)', 'PBS (data / 2)'):
      self.assertEqual(self.roles[title], now[title])

  def frozen(self):
    """The old leader runs nothing, says why, and has all its data, that any
    instance can load."""
    node = self.tree.nodes('stopped')[self.broken]
    self.assertEqual('frozen', node.type)
    self.assertEqual([], node.processes())
    text = node.log('frozen')
    for part in ('Replaced by: data1 at ', 'which is data0 now', 'When: ',
                 'generation %s, and leads epoch 2' % self.first,
                 'Last backup of this instance: generation %s' % self.first,
                 str(node.path / 'srv/backup/data'), 'bin/takeover'):
      self.assertIn(part, text)
    self.assertIn(
      b'the loss', (node.path / 'srv/payload/payload.sqlite').read_bytes())
    with tempfile.TemporaryDirectory() as elsewhere:
      dump = pathlib.Path(elsewhere, 'dump')
      shutil.copytree(node.path / 'srv/backup/data', dump)
      found = manifest.read(dump)
      self.assertEqual(self.first, found.generation.label)
      self.assertEqual([], manifest.compare(dump, found))
      database = pathlib.Path(elsewhere, 'payload.sqlite')
      subprocess.run(
        [self.programs(node) / 'resilient-payload', 'import', '--database',
         database, '--dump', dump], check=True, timeout=120)
      rows = dict(sqlite3.connect(database).execute(
        'SELECT key, value FROM records'))
      self.assertEqual(
        {'before': 'the loss', 'later': 'and late'}, rows)

  def new_leader(self):
    """It has the data, takes writes, and backs up to the replacement clone."""
    tree = self.tree
    leader = tree.leader
    self.assertEqual(leader.parameters['url'], tree.root.parameters['url'])
    self.assertEqual('the loss', leader.records().get('before'))
    self.assertEqual('before any pass', leader.records().get('promoted'))
    self.assertEqual(204, leader.write('after', 'the takeover'))
    checker = Checker(tree)
    second = checker.export()
    self.assertEqual('2', second.partition('.')[0])
    checker.check()
    for pbs in tree.all_pbs():
      generations = pbs.state()['archives']['data']['generations']
      self.assertIn(self.first, generations)
      self.assertEqual(second, generations[-1])

  def late_export(self):
    """What the old leader sealed, offered again, is refused, visibly."""
    tree = self.tree
    leader, pbs = tree.leader, tree.pbs(1)
    newest, dump = tree.archived(pbs), 'srv/backup/data'
    shutil.rmtree(leader.path / dump)
    shutil.copytree(
      tree.nodes('stopped')[self.broken].path / dump, leader.path / dump)
    wait_until(lambda: 'is older than' in pbs.problems().get('pull', ''), 150,
               'refusal of the older generation by %r' % pbs, tree.diagnosis)
    self.assertEqual(newest, tree.archived(pbs))
    tree.back_up()
    self.assertEqual({}, pbs.problems())

  def brought_back(self):
    """The old leader leads again, with its own data, and PBS and clones accept
    it as the newest."""
    tree = self.tree
    frozen = tree.nodes('stopped')[self.broken]
    roles = tree.roles()
    said = frozen.run('takeover', status=1)
    self.assertRegex(said, r'data0 \(.* Its last backup is generation 2[.]'
                     '.*bin/takeover --bring-back')
    self.assertEqual(roles, tree.roles())
    self.assertIn('is now data0', frozen.run('takeover', '--bring-back'))
    # Red until its next export: its last is older than what the PBS hold.
    for _ in range(4):
      tree.run_pass()
    replaced, = tree.nodes('stopped').values()
    self.assertEqual(
      (self.winner.partition, []), (replaced.partition, replaced.processes()))
    leader = tree.leader
    self.assertEqual((self.old.partition, self.kept),
                     (leader.partition, leader.records()))
    wait_until(lambda: leader.write('back', 'again') == 204, 90,
               'writes to %r' % leader, tree.diagnosis)
    checker = Checker(tree)
    self.assertEqual('3', checker.export().partition('.')[0])
    self.converge()
    checker.check()


if __name__ == '__main__':
  unittest.main()
