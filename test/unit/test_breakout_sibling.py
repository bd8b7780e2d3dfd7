"""Break-outs through the door of a PBS: its siblings read one archive there,
and nothing else."""
import os
import pathlib
import shutil
import subprocess
import unittest

from resilient import gate, keys, sibling
from resilient.durable import make_directories_writable
from resilient.process import run

from .partition import write_tree
from .sibling_case import SiblingCase
from .tree import SSH_KEYGEN


class SiblingDoorTest(SiblingCase):
  """The first PBS asks the second in its own way."""

  def setUp(self):
    super().setUp()
    self.proof = self.path('proof')
    # Another archive, that of another service.
    write_tree(self.other.at('srv/backup/pbs'), {'shop/secret': 'secret'})

  def refused(self, request, why):
    """The door refuses `request`."""
    done = self.ssh(self.doors[1], request)
    self.assertNotEqual(done.returncode, 0, request)
    self.assertIn(why, done.stdout, request)
    self.assertNotIn('secret', done.stdout)

  def test_it_reads_the_archive_of_its_service(self):
    done = self.ssh(self.doors[1], 'generations data')
    self.assertEqual(done.returncode, 0, done.stdout)
    self.assertIn('"sequence": 3', done.stdout)

  def test_no_other_archive_and_nothing_beside_it(self):
    options = '-lHtprSe.iLsfxCIvu --specials --numeric-ids'
    for name in ('shop', '..', '.', '', 'data/..', '/etc', 'data/../shop'):
      self.refused('generations ' + name, 'no archive that this key is for')
      self.refused('size ' + name, 'no archive that this key is for')
      self.refused('rsync --server --sender %s . final/%s/' % (options, name),
                   'no archive that this key is for')
    self.refused('rsync --server --sender %s . other/data/' % options,
                 'no such copy')

  def test_it_writes_nothing_and_runs_nothing(self):
    for request in (
        'rsync --server -lHtprSe.iLsfxCIvu --delete . final/data/',
        gate.RDIFF_BACKUP, 'touch ' + self.proof, 'generation', 'status',
        'accept {}', 'sh -c "touch %s"' % self.proof):
      self.refused(request, 'this is a PBS')
    for option in ('--log-file=' + self.proof, '--copy-links', '-L',
                   '--files-from=/etc/passwd', '--delete', '--remove-source'):
      self.refused('rsync --server --sender %s . final/data/' % option,
                   'is not allowed')
    self.assertFalse(os.path.exists(self.proof))
    self.assertEqual(self.labels(self.other), ['1.1', '1.2', '1.3'])

  def test_a_link_in_an_archive_is_a_link(self):
    archive = pathlib.Path(self.archive_at(self.other).path)
    make_directories_writable(archive)
    (archive / 'door').symlink_to(self.other.at('srv/backup/pbs/shop'))
    target = self.path('copy')
    os.mkdir(target)
    remote = self.peer(self.pbs).siblings[0]
    rsh = ' '.join(self.ssh_command(self.doors[1], host=False))
    run([self.pbs.options['rsync'], '--rsh', rsh, *sibling.RSYNC_OPTIONS,
         '%s@[::1]:final/data/' % remote.user, target + '/'], 60)
    self.assertTrue(os.path.islink(target + '/door'))

  def test_a_list_of_names_that_is_another_file_is_not_read(self):
    secret = self.other.at('etc/private')
    pathlib.Path(secret).write_text('marker\n')
    os.mkdir(self.path('copy'))
    rsh = ' '.join(self.ssh_command(self.doors[1], host=False))
    for rule in (': ' + secret, ':- ' + secret):
      shutil.rmtree(self.path('copy'))
      os.mkdir(self.path('copy'))
      done = subprocess.run(
        [self.pbs.options['rsync'], '--rsh', rsh, '--filter', rule,
         *sibling.RSYNC_OPTIONS,
         '%s@[::1]:final/data/' % self.peer(self.pbs).siblings[0].user,
         self.path('copy') + '/'],
        check=False, timeout=60, encoding='utf-8', stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
      self.assertNotIn('marker', done.stdout.replace(secret, ''), rule)
      # What was left out would tell what the file says.
      self.assertTrue(done.returncode or 'marker' in os.listdir(
        self.path('copy')), rule)

  def test_the_key_of_nobody_opens_nothing(self):
    os.rename(self.pbs.at('etc/key'), self.pbs.at('etc/key.own'))
    keys.ensure(self.pbs.at('etc/key'), '', SSH_KEYGEN)
    self.refused('generations data', 'Permission denied')


if __name__ == '__main__':
  unittest.main()
