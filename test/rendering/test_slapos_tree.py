"""Inside a SlapOS tree: its components and its monitor stack beside the stack.

Real buildouts, of software and of partitions, in a folder; what stands for the
tree has its names of sections and options, and nothing else of it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from .real_buildout import buildout

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
_MONITOR = pathlib.Path(__file__).with_name('slapos-tree') / 'monitor.cfg'
# A component of the tree: where it is is decided by its recipe.
_COMPONENT = '''\
[buildout]
parts = {name}

[{name}]
recipe = slapos.recipe.build
init =
  options['location'] = '{tree}/parts/{name}'
{more}
'''
_PROGRAMS = '''\
[programs]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/programs.json
inline = {{ json_module.dumps(dict(programs)) }}
context =
  section programs resilient-programs
  import json_module json
'''
_INSTANCE = '''\
[buildout]
extends = {profiles}
directory = {directory}
eggs-directory = {software}/eggs
develop-eggs-directory = {software}/develop-eggs
offline = true
{parts}

[slap-connection]
computer-id = computer
partition-id = slappart7
server-url = http://[::1]:1/
software-release-url = http://[::1]/software.cfg
key-file =
cert-file =

[slap-configuration]
recipe = slapos.recipe.build
ipv6-random = ::1
instance-guid = guid
init =
  options['configuration'] = {{'namebase': 'data'}}
  options['slave-instance-list'] = []

[resilient-publish-connection-parameter]
recipe = slapos.recipe.build
init = pass

[data-exporter]
recipe = slapos.cookbook:wrapper
command-line = /bin/true
wrapper-path = ${{exporter:wrapper}}
'''


class TreeCase(unittest.TestCase):
  """A folder with a tree, whose stack/resilient is ours."""

  @classmethod
  def setUpClass(cls):
    cls.tree = pathlib.Path(tempfile.mkdtemp(prefix='tree-')).resolve()
    cls.addClassCleanup(shutil.rmtree, cls.tree)
    stack = cls.tree / 'stack/resilient'
    stack.mkdir(parents=True)
    for name in ('component', 'resilient', 'templates'):
      shutil.copytree(_ROOT / name, stack / name)
    for path in (*_ROOT.glob('*.cfg'), *_ROOT.glob('*.in'),
                 *_ROOT.glob('*.json')):
      shutil.copy(path, stack)
    for name in ('dcron', 'gzip', 'logrotate', 'openssh', 'rdiff-backup',
                 'rsync'):
      more = ''
      if name == 'dcron':
        more = '[dcron-output]\ncrond = ${dcron:location}/sbin/crond'
      (cls.tree / 'component' / name).mkdir(parents=True)
      (cls.tree / 'component' / name / 'buildout.cfg').write_text(
        _COMPONENT.format(name=name, tree=cls.tree, more=more))

  def software(self, name, extends, parts):
    """Build software/`name`, which extends the files `extends` of the tree;
    return its folder."""
    folder = self.tree / 'software' / name
    folder.mkdir(parents=True)
    (folder / 'buildout.cfg').write_text(
      '[buildout]\nextends =\n%sparts = %s\n\n%s' % (
        ''.join('  ../../%s\n' % path for path in extends), parts, _PROGRAMS))
    buildout(folder)
    return folder


class TestComponents(TreeCase):
  """Which programs the stack runs."""

  stack = 'stack/resilient/buildout.cfg'
  debian = {
    'sshd': '/usr/sbin/sshd', 'ssh': '/usr/bin/ssh',
    'ssh-keygen': '/usr/bin/ssh-keygen', 'rsync': '/usr/bin/rsync',
    'logrotate': '/usr/sbin/logrotate', 'gzip': '/usr/bin/gzip',
    'gunzip': '/usr/bin/gunzip'}

  def programs(self, name, *extends):
    """Return {program: path} in a software that extends `extends`, and where
    the tree's openssh is there."""
    folder = self.software(name, extends, 'programs')
    return json.loads((folder / 'programs.json').read_text())

  def test_alone_it_runs_what_debian_and_pypi_have(self):
    programs = self.programs('alone', self.stack)
    self.assertEqual({**programs, **self.debian}, programs)
    for name in ('rdiff-backup', 'crond'):
      self.assertTrue(os.access(programs[name], os.X_OK), programs[name])

  def test_with_the_trees_components_it_runs_those(self):
    extends = self.stack, 'stack/resilient/component/tree.cfg'
    # As README.rst has it.
    self.assertIn(''.join('    ../../%s\n' % path for path in extends),
                  (_ROOT / 'README.rst').read_text(encoding='utf-8'))
    programs = self.programs('tree', *extends)
    parts = str(self.tree / 'parts')
    for name in (*self.debian, 'crond'):
      self.assertTrue(programs[name].startswith(parts), programs[name])
    self.assertRegex(programs['rdiff-backup'], 'bin/rdiff-backup$')
    self.assertFalse((self.tree / 'software/tree/bin/resilient-crond').exists())

  def test_for_all_releases_by_one_line_of_the_stack(self):
    path = self.tree / self.stack
    text = path.read_text()
    self.addCleanup(path.write_text, text)
    path.write_text(text.replace('component/debian.cfg', 'component/tree.cfg'))
    programs = self.programs('edited', self.stack)
    self.assertTrue(programs['sshd'].startswith(str(self.tree / 'parts')))

  def test_components_of_the_tree_are_not_touched_by_ours(self):
    # A release may need them for itself, named before or after the stack.
    component = 'component/openssh/buildout.cfg'
    for number, extends in enumerate((
        (component, self.stack), (self.stack, component))):
      with self.subTest(extends):
        name = 'beside-%d' % number
        folder = self.software(name, extends, 'programs openssh')
        installed = (folder / '.installed.cfg').read_text()
        section = installed.partition('[openssh]')[2].partition('\n[')[0]
        self.assertIn('location = %s/parts/openssh' % self.tree, section)
        self.assertNotIn('/usr', section)


class TestMonitor(TreeCase):
  """A leader with the tree's monitor stack."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.release = cls.software(
      cls, 'monitored', ['stack/resilient/buildout.cfg'],
      'pbs-recipe-egg pbsready-export')

  def partition(self, name, profiles, parts='parts += data-exporter'):
    """Deploy a partition that extends `profiles`; return its folder."""
    folder = self.tree / 'srv' / name
    folder.mkdir(parents=True)
    shutil.copy(_MONITOR, folder)
    (folder / 'software_release').symlink_to(self.release)
    (folder / 'buildout.cfg').write_text(_INSTANCE.format(
      profiles=profiles.format(
        ours=self.release / 'resilient-profiles/pbsready-export.cfg'),
      directory=folder, software=self.release, parts=parts))
    buildout(folder)
    return folder

  def assertServes(self, folder):
    """The partition has all that it has without the monitor stack."""
    plugins = {path.name for path in (folder / 'etc/plugin').iterdir()}
    self.assertLessEqual({
      'promise-equeue.py', 'promise-notifier.py', 'promise-cron.py',
      'promise-sshd.py', 'promise-export.py', 'promise-freshness.py'}, plugins)
    services = {path.name for path in (folder / 'etc/service').iterdir()}
    self.assertEqual({'crond', 'equeue', 'notifier', 'sshd'}, services)
    entries = {path.name for path in (folder / 'etc/cron.d').iterdir()}
    self.assertLessEqual({'backup', 'heartbeat', 'logrotate'}, entries)
    # One cron, which reads those.
    self.assertIn('bin/crond', (folder / 'etc/service/crond').read_text())
    self.assertIn('etc/cron.d', (folder / 'bin/crond').read_text())
    self.assertEqual(
      str(folder / 'srv/backup/data'),
      json.loads((folder / 'etc/resilient.json').read_text())[
        'dump-directory'])

  def assertRotates(self, folder, *names):
    """The logs `names` of the partition are rotated."""
    for name in names:
      (folder / 'var/log' / name).write_text('a line\n')
    entry, = (path for path in (folder / 'etc/cron.d').iterdir()
              if path.name == 'logrotate')
    command = entry.read_text().split()[-1]
    result = subprocess.run(
      [command, '-f'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, encoding='utf-8', timeout=60, check=False)
    self.assertEqual((0, ''), (result.returncode, result.stdout))
    for name in names:
      self.assertNotEqual(
        'a line\n', (folder / 'var/log' / name).read_text()
        if (folder / 'var/log' / name).exists() else '', name)

  def test_without_it_our_sections_serve(self):
    folder = self.partition('alone', '{ours}')
    self.assertServes(folder)
    self.assertRotates(folder, 'equeue.log', 'service.log')

  def test_the_monitor_stack_first_and_ours_after(self):
    folder = self.partition('before', 'monitor.cfg {ours}')
    self.assertServes(folder)
    self.assertTrue((folder / 'etc/plugin/of-the-monitor.py').exists())
    self.assertRotates(folder, 'equeue.log', 'cron.log')

  def test_ours_first_and_the_monitor_stack_after(self):
    # Its list of parts then replaces ours, so that the release names them.
    names = []
    for name in ('resilient-base', 'pbsready', 'pbsready-export'):
      profile = (self.release / 'resilient-profiles' / name).with_suffix('.cfg')
      names += profile.read_text().partition('\nparts +=\n')[2].partition(
        '\n\n')[0].split()
    folder = self.partition(
      'after', '{ours} monitor.cfg',
      'parts +=\n  data-exporter\n  ' + '\n  '.join(names))
    self.assertServes(folder)
    self.assertTrue((folder / 'etc/plugin/of-the-monitor.py').exists())
    self.assertIn('/bin/true', (folder / 'bin/crond').read_text())
    self.assertRotates(folder, 'equeue.log', 'cron.log')
