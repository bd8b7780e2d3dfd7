"""Profiles in the forms that existing releases have, made by the real buildout.

Each is installed in a folder; the master only hears what is published.
"""
import http.server
import json
import os
import pathlib
import shutil
import socket
import tempfile
import threading
import unittest
import urllib.parse

import slapos.slap
from slapos.util import dumps, loads

from .real_buildout import buildout

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
_SOFTWARE = '''\
[buildout]
extends = {root}/buildout.cfg
directory = {directory}
parts =
  pbs-recipe-egg
  interface

[interface]
recipe = slapos.recipe.template:jinja2
output = {directory}/interface
inline =
  {interface}
'''
# What a software profile may name.
_INTERFACE = (
  'pbsready-import:output', 'pbsready-export:output', 'pbsready:output',
  'pbsready-export:target', 'template-pull-backup:output',
  'instance-frozen:output', 'template-replicated:target',
  'template-parts:target', 'template-resilient-templates:output',
  'switchsoftware:target')
# Beside the profile: what slapgrid and the switch give.
_INSTANCE = '''\
[buildout]
extends = {profile}
directory = {directory}
eggs-directory = {software}/eggs
develop-eggs-directory = {software}/develop-eggs
offline = true

[slap-connection]
computer-id = computer
partition-id = slappart7
server-url = {master}
software-release-url = http://[::1]/software.cfg
key-file =
cert-file =

[slap-configuration]
recipe = slapos.recipe.build
ipv6-random = ::1
instance-guid = guid
init =
  options['configuration'] = {parameters!r}
  options['slave-instance-list'] = []
  options['slap-software-type'] = 'frozen'
'''
# A service, as it was before it became resilient.
_SERVICE = '''\
[buildout]
parts =
  publish-connection-parameter

[directory]
recipe = slapos.cookbook:mkdirectory
bin = ${buildout:directory}/bin

[publish-connection-parameter]
recipe = slapos.cookbook:publish
url = http://[::1]:80/
'''
_KEYS = {'ssh-public-key', 'resilient-ssh-url', 'ip', 'notification-url'}


class Master:
  """Hears what a partition publishes, and tells how it was requested."""

  def __init__(self):
    self.published = []
    master = self

    class Server(http.server.HTTPServer):
      address_family = socket.AF_INET6

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_POST(self):
        """Take in a publication."""
        body = self.rfile.read(int(self.headers['Content-Length'])).decode()
        master.published.append(loads(
          urllib.parse.parse_qs(body)['connection_xml'][0].encode()))
        self.send_response(200)
        self.end_headers()

      def do_GET(self):
        """Tell of the partition, which was requested with plain values."""
        partition = slapos.slap.ComputerPartition('computer', 'partition')
        partition._parameter_dict = {}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(dumps(partition))

      def log_message(self, *_):
        """Say nothing."""

    self.server = Server(('::1', 0), Handler)
    self.url = 'http://[::1]:%d' % self.server.server_port
    threading.Thread(target=self.server.serve_forever, daemon=True).start()


class ProfileCase(unittest.TestCase):
  """One software for all tests; a partition for each."""

  @classmethod
  def setUpClass(cls):
    cls.directory = pathlib.Path(tempfile.mkdtemp(prefix='profiles-'))
    cls.addClassCleanup(shutil.rmtree, cls.directory)
    cls.software = cls.directory / 'software'
    cls.software.mkdir()
    (cls.software / 'buildout.cfg').write_text(
      _SOFTWARE.format(
        root=_ROOT, directory=cls.software,
        interface='\n  '.join(map('${%s}'.__mod__, _INTERFACE))))
    buildout(cls.software)

  def setUp(self):
    self.master = Master()
    self.addCleanup(self.master.server.server_close)
    self.addCleanup(self.master.server.shutdown)
    self.partition = self.directory / self.id().rpartition('.')[2][:40]
    self.partition.mkdir()
    (self.partition / 'software_release').symlink_to(self.software)
    (self.partition / 'service.cfg').write_text(_SERVICE)

  def stack(self, name):
    """Return the path of a profile of the stack."""
    return self.software / 'resilient-profiles' / (name + '.cfg')

  def install(self, profile, **parameters):
    """Install text `profile` in the partition; return what is published
    there."""
    path = self.partition / 'profile.cfg'
    path.write_text(profile)
    (self.partition / 'buildout.cfg').write_text(_INSTANCE.format(
      profile=path, directory=self.partition, software=self.software,
      master=self.master.url, parameters=parameters))
    buildout(self.partition)
    return self.master.published[-1] if self.master.published else {}

  def configuration(self):
    """Return what the stack was told."""
    return json.loads((self.partition / 'etc/resilient.json').read_text())


class ProfileTest(ProfileCase):
  """Each test is one of the forms."""

  def test_what_a_software_may_name_is_a_file(self):
    paths = (self.software / 'interface').read_text().split()
    self.assertEqual(len(_INTERFACE), len(paths))
    self.assertEqual([], [path for path in paths if not os.path.isfile(path)])

  def test_leader_that_says_no_more_than_it_must(self):
    published = self.install('''\
[buildout]
extends = service.cfg %s
parts += cron-entry-backup
[exporter]
recipe = slapos.cookbook:wrapper
command-line = true
wrapper-path = ${:wrapper}
''' % self.stack('pbsready-export'), namebase='it')
    self.assertEqual(_KEYS | {'notification-id'}, set(published))
    self.assertTrue((self.partition / 'bin/it-exporter').exists())
    self.assertTrue((self.partition / 'srv/backup/it').is_dir())

  def test_leader_with_parameters_in_its_profile_and_a_publication(self):
    published = self.install('''\
[buildout]
extends = service.cfg %s
parts += cron-entry-backup
[slap-parameter]
namebase = kvm
ram = 1024
[directory]
tmp = ${buildout:directory}/tmp
[exporter]
recipe = slapos.cookbook:wrapper
command-line = true
wrapper-path = ${directory:bin}/${slap-parameter:namebase}-dump
wrapper = ${:wrapper-path}
[cron-entry-backup]
recipe = slapos.recipe.template:jinja2
inline = ${:frequency} ${:command}
output = ${directory:tmp}/${:name}
[publish-connection-parameter]
<= resilient-publish-connection-parameter
ram = ${slap-parameter:ram}
''' % self.stack('pbsready-export'), namebase='kvm', ram=1024)
    self.assertEqual(_KEYS | {'notification-id', 'url', 'ram'}, set(published))
    self.assertEqual('1024', str(published['ram']))
    self.assertEqual(str(self.partition / 'bin/kvm-dump'),
                     self.configuration()['exporter'])
    self.assertRegex((self.partition / 'tmp/backup').read_text(),
                     r'^\d+ \* \* \* \* %s/bin/exporter$' % self.partition)

  def test_clone_whose_stack_publishes_for_the_service(self):
    published = self.install('''\
[buildout]
extends = service.cfg %s
parts += import-on-notification notify-callback
[post-notification-run]
recipe = slapos.recipe.build
output = ${directory:bin}/post-notification-run-script
location = ${:output}
install =
  import os
  os.symlink('/bin/true', location)
[importer]
wrapper = ${import-script:output}
[import-script]
recipe = slapos.recipe.template:jinja2
inline = does not matter
output = ${directory:bin}/import-script
[resilient-publish-connection-parameter]
<= publish-connection-parameter
''' % self.stack('pbsready-import'), namebase='theia')
    self.assertEqual(
      _KEYS | {'takeover-url', 'takeover-password', 'takeover-fingerprint',
               'url'}, set(published))
    # Both run, the second with what the first let pass.
    self.assertEqual('/bin/true', os.readlink(
      self.configuration()['post-notification-run']))
    self.assertEqual(str(self.partition / 'bin/import-script'),
                     self.configuration()['importer'])

  def test_switch_that_reaches_the_stack_by_its_path(self):
    for path in (_ROOT / 'switchsoftware.cfg',
                 os.path.relpath(_ROOT / 'switchsoftware.cfg', self.partition)):
      with self.subTest(path):
        self.install('[buildout]\nextends = %s\n' % path)
        self.assertIn('frozen', (
          self.partition / 'var/log/frozen.log').read_text())
        for name in ('takeover', 'status'):
          self.assertTrue((self.partition / 'bin' / name).exists())
        shutil.rmtree(self.partition / 'var')


if __name__ == '__main__':
  unittest.main()
