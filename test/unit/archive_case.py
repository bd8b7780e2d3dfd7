"""An archive with a history, which is made once for a class of tests."""
import os
import shutil
import tempfile
import time
import unittest.mock

from resilient.status import problems
from resilient.tasks import tasks
from resilient.transfer import archive_of

from .partition import write_tree
from .tree import TreeCase

HOUR = 3600
DAY = 86400


class ArchiveCase(TreeCase):
  """An archive of a generation for each of `contents`, a day between each; the
  last is of now."""

  over_ssh = False
  contents = ({'marker': 'one'}, {'marker': 'two'}, {'marker': 'three'})

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.saved = tempfile.mkdtemp(prefix='resilient-')
    cls.addClassCleanup(shutil.rmtree, cls.saved)

  def setUp(self):
    super().setUp()
    places = (self.leader, self.pbs)
    if os.listdir(self.saved):
      for place in places:
        shutil.rmtree(place.at('srv'))
        shutil.copytree(os.path.join(self.saved, place.options['role']),
                        place.at('srv'), symlinks=True)
      return
    now = time.time()
    for number, content in enumerate(self.contents, 1):
      self.at_age(now, len(self.contents) - number, content)
    for place in places:
      os.unlink(place.configuration.store.wake_path)
      shutil.copytree(
        place.at('srv'), os.path.join(self.saved, place.options['role']),
        symlinks=True)

  def at_age(self, now, days, content):
    """Archive `content`, `days` days ago."""
    with unittest.mock.patch('time.time', lambda: now - DAY * days):
      self.archived(content)

  def labels(self):
    """Return the labels of the generations that are kept."""
    return [generation.label for _, generation in self.archive.index()]

  @property
  def peer(self):
    """The leader, as the PBS knows it."""
    return self.pbs.configuration.peers()[0][0]

  @property
  def cared_for(self):
    """The Archive of the PBS, which is repaired from its peers."""
    return archive_of(self.pbs.configuration, self.peer)

  def in_archive(self, *names):
    """Return a path below the archive."""
    return os.path.join(self.archive.path, *names)

  def increment(self, name, number=0):
    """Return the path of an increment of file `name`, the oldest first."""
    folder = self.in_archive(
      'rdiff-backup-data/increments', os.path.dirname(name))
    found = sorted(item for item in os.listdir(folder)
                   if item.startswith(os.path.basename(name) + '.'))
    return os.path.join(folder, found[number])


class VerificationCase(ArchiveCase):
  """An archive of three generations, the last of which was pulled now."""

  contents = ({'marker': 'one', 'a/b': 'x', 'c': 'x'},
              {'marker': 'two', 'a/b': 'x', 'c': 'y'},
              {'marker': 'three', 'a/b': 'y', 'c': 'y'})

  def setUp(self):
    super().setUp()
    self.now = time.time()

  def verify(self, hours=1):
    """Let time pass, and run the task.  Return its last message."""
    self.now += hours * HOUR
    with unittest.mock.patch('time.time', lambda: self.now):
      self.assertTrue(tasks(self.pbs.configuration)['verify-data'].run(),
                      self.message('verify-data'))
    return self.message('verify-data')

  def last(self):
    """Return the label of what was verified last."""
    return self.pbs.configuration.store.last_run('verify-data').generation

  def problems(self):
    """Return the PBS's problems, as seen then; that no backup came meanwhile is
    not what this is about."""
    with unittest.mock.patch('time.time', lambda: self.now):
      return [problem for problem in problems(self.pbs.configuration)
              if problem.topic != 'freshness']

  def problem(self):
    """Return the only problem of the PBS."""
    problem, = self.problems()
    self.assertEqual(problem.topic, 'verification')
    return problem

  def topics(self):
    """Return the topics of the PBS's problems."""
    return [problem.topic for problem in self.problems()]


def let_copy_be_old(archive):
  """The copy that `archive` adopts is of an older time, at which the link of
  today was a read-only directory."""
  place = os.path.join(archive.place('adopting'), 'link')
  os.unlink(place)
  write_tree(place, {'inner': 'old'})
  os.chmod(place, 0o555)


def flip(path, position=0):
  """Change the byte at `position` of file `path`, behind its mtime."""
  status = os.stat(path)
  with open(path, 'r+b') as damaged:
    data = bytearray(damaged.read())
    data[position] ^= 1
    damaged.seek(0)
    damaged.write(data)
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
