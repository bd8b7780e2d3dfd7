"""Break out of an archive: a leader, or a sibling, that was broken into names
files of a PBS that are in no archive, or in another one."""
import gzip
import os
import pathlib
import subprocess
import sys
import unittest
import unittest.mock

from resilient import launch_rdiff_backup
from resilient.entries import ARCHIVE_DATA

from .archive_case import ArchiveCase, flip
from .partition import RDIFF_BACKUP, ROOT, write_tree
from .sibling_case import SiblingCase

# Reads what it is asked to read, or instead all of another folder, and says
# that there is more: for each of (path, index), what is at the path, by the
# name of the index.
_EVIL = '''\
import runpy, sys
from rdiffbackup.locations import _dir_shadow
from rdiff_backup import Globals, rorpiter, rpath
select = _dir_shadow.ReadDirShadow.set_select.__func__
def set_select(cls, rp, *selection):
  if %(instead)r:
    rp, selection = rpath.RPath(rp.conn, %(instead)r), ([],)
  select(cls, rp, *selection)
  honest = cls._select.iter
  def forged():
    yield next(honest)
    for path, index in %(more)r:
      found = rpath.RPath(rp.conn, path)
      found.index = index
      yield found
    yield from honest
  cls._select = rorpiter.CacheIndexable(
    forged(), Globals.pipeline_max_length * 3)
_dir_shadow.ReadDirShadow.set_select = classmethod(set_select)
sys.argv[0] = %(program)r
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def _folders(index):
  """Yield the index of each folder on the way to `index`."""
  for length in range(1, len(index)):
    yield index[:length]


def has_landlock():
  """Whether the kernel confines rdiff-backup."""
  code = 'import sys; from resilient.confine import confine; ' \
    'sys.exit(not confine(linking=True))'
  return not subprocess.call([sys.executable, '-c', code], cwd=ROOT)


def without_landlock(test):
  """For the rest of `test`, rdiff-backup is started as where the kernel has no
  Landlock."""
  mock = unittest.mock.patch.object(launch_rdiff_backup, 'WRITABLE', 'NOTHING')
  mock.start()
  test.addCleanup(mock.stop)


class TestLeader(ArchiveCase):
  """A leader that sends more than its dump."""

  def setUp(self):
    super().setUp()
    self.export({'marker': 'four'})
    self.evil = self.path('evil')
    pathlib.Path(self.evil).write_text('evil')
    write_tree(self.pbs.at('srv/backup/pbs'), {'other/kept': 'kept'})

  def send(self, *more, instead=None):
    """Have the leader send `more`, pairs of a path and an index; and folder
    `instead` of what it is asked for."""
    program = self.path('evil-rdiff-backup')
    with open(RDIFF_BACKUP, encoding='utf-8') as source:
      first = source.readline()
    pathlib.Path(program).write_text(first + _EVIL % {
      'more': [(os.fsencode(path), tuple(index)) for path, index in more],
      'instead': instead, 'program': RDIFF_BACKUP})
    os.chmod(program, 0o755)
    gate = pathlib.Path(self.leader.at('bin/gate'))
    shell, _, honest = gate.read_text().partition('\n')
    gate.write_text(
      '%s\ncase "$SSH_ORIGINAL_COMMAND" in *server)'
      ' exec %s --api-version 201 server;; esac\n%s' % (shell, program, honest))

  def send_upwards(self, name):
    """Have the leader send a file for `name` in the partition of the PBS."""
    index = (b'..',) * 4 + tuple(name.encode().split(b'/'))
    self.send(*((self.path(), folder) for folder in _folders(index)),
              (self.evil, index))

  def assertNothingWritten(self):
    """Pulls fail, nothing is outside of the archive, and that is as before."""
    for _ in range(2):
      self.assertFalse(self.run_task('pull'), self.message())
    self.assertFalse(os.path.lexists(self.pbs.at('etc/evil')))
    self.assertEqual(self.pbs.read('srv/backup/pbs/other/kept'), 'kept')
    self.assertEqual(self.labels(), ['1.1', '1.2', '1.3'])

  def test_a_name_that_leads_out_of_the_archive(self):
    self.send_upwards('etc/evil')
    self.assertNothingWritten()

  def test_a_name_that_leads_into_another_archive(self):
    self.send_upwards('srv/backup/pbs/other/kept')
    self.assertNothingWritten()

  def test_names_that_lead_out_where_the_kernel_has_no_landlock(self):
    without_landlock(self)
    self.send_upwards('etc/evil')
    self.assertNothingWritten()
    self.assertIn('a name leads out of where it belongs', self.message())

  def test_a_link_that_leads_out_and_a_file_in_it(self):
    if not has_landlock():
      self.skipTest('this kernel has no Landlock')
    for victim in ('etc', 'srv/backup/pbs/other'):
      with self.subTest(victim):
        link = self.path(os.path.basename(victim))
        os.symlink(self.pbs.at(victim), link)
        self.send((link, [b'-d']), (self.evil, [b'-d', b'kept']))
        self.assertFalse(self.run_task('pull'), self.message())
        self.assertFalse(os.path.lexists(self.pbs.at('etc/kept')))
        self.assertEqual(self.pbs.read('srv/backup/pbs/other/kept'), 'kept')

  def test_a_link_where_a_folder_is_repaired(self):
    self.archived({'folder/kept': 'kept'})
    os.mkdir(self.path('instead'))
    os.symlink(self.pbs.at('srv/backup/pbs/other'), self.path('instead/folder'))
    self.send(instead=self.path('instead'))
    flip(self.in_archive('folder/kept'))
    with self.archive.locked():
      self.assertIn('folder/kept: has another sha256', self.cared_for.mend())
    self.assertEqual(self.pbs.read('srv/backup/pbs/other/kept'), 'kept')


class TestSibling(SiblingCase):
  """A sibling whose archive lists more than it holds."""

  def forge(self):
    """Have the newest list of the other's archive name ``etc/evil`` of the
    partition where it is restored."""
    folder = os.path.join(self.archive_at(self.other).path, ARCHIVE_DATA)
    path = os.path.join(folder, max(
      name for name in os.listdir(folder)
      if name.startswith('mirror_metadata.') and 'snapshot' in name))
    with gzip.open(path) as source:
      data = source.read()
    index = (b'..',) * 4 + (b'etc', b'evil')
    # What the first entry says of owner and date, for the others.
    second = data.index(b'File ', 1)
    kind = b'  Type '
    common = b''.join(
      line + b'\n' for line in data[:second].splitlines()
      if line.startswith(b'  ') and not line.startswith(kind))
    forged = [b'File %s\n%sdir\n%s' % (b'/'.join(folder), kind, common)
              for folder in _folders(index)]
    forged.append(b'File %s\n%ssym\n  SymData /\n%s' % (
      b'/'.join(index), kind, common))
    with gzip.open(path, 'w') as output:
      output.write(data[:second] + b''.join(forged) + data[second:])

  def assertNothingWritten(self):
    """What is good in its archive is taken, and nothing is written outside."""
    self.lose()
    self.pull(self.pbs)
    self.forge()
    self.assertTrue(self.adopt())
    self.assertFalse(os.path.lexists(self.pbs.at('etc/evil')))
    self.assertWhole()

  def test_a_name_that_leads_out_of_the_copy(self):
    self.assertNothingWritten()

  def test_nor_where_the_kernel_has_no_landlock(self):
    without_landlock(self)
    self.assertNothingWritten()


if __name__ == '__main__':
  unittest.main()
