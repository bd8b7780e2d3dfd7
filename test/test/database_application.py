"""What the story of a database tells of the application in front of it."""
import hashlib
import io
import pathlib
import tarfile
import tempfile

from demo import release

from . import serve
from .browser import read_notes, write_note
from .node import fetch

NOTE = 'Zażółć <b>gęślą</b> 日本語 😀'


class ApplicationStory:
  """Parts of DatabaseStory."""

  def refused(self, sentence, **parameters):
    """The root, asked for other parameters, or the leader, says `sentence`, in
    one line; and the application goes on."""
    url = self.tree.root.parameters['url']
    page = fetch(url)
    self.request_root({**self.getInstanceParameterDict(), **parameters})
    # What the root hands on reaches the leader in a pass of its own.
    for _ in range(3):
      failed = self.tree.run_pass()
      self.assertFalse(failed.converged)
      lines = pathlib.Path(failed.log).read_text().splitlines()
      if any(sentence in line for line in lines):
        break
    else:
      self.fail('\n'.join(lines[-20:]))
    self.assertEqual(page, fetch(url))

  def own_application(self):
    """An archive of the user is fetched once, and served."""
    folder = self.enterContext(tempfile.TemporaryDirectory())
    sample = (release.PROJECT / self.NAME / 'index.php').read_text()
    with tarfile.open(folder + '/own.tar.gz', 'w:gz') as archive:
      for name, text in (
          ('index.php', sample.replace('<h1>Notes', '<h1>Our own notes')),
          ('about/us.txt', 'about us')):
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    path = pathlib.Path(folder, 'own.tar.gz')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = {'document-root-url': serve(folder) + '/own.tar.gz',
           'document-root-sha256': digest}

    self.refused('parameter database-connections is 1, and must be a whole'
                 ' number from 10 to 10000', **{'database-connections': 1})
    self.refused('and what document-root-url has is ' + digest, **{
      **own, 'document-root-sha256': '0' * 64})

    self.request_root({**self.getInstanceParameterDict(), **own})
    self.converge()
    # From now on it is nowhere else.
    path.unlink()
    self.serves_own_application()
    with self.writing() as writer:
      self.back_up(writer)

  def serves_own_application(self):
    """The root's page is that of the archive."""
    url = self.tree.root.parameters['url']
    self.assertIn('Our own notes', fetch(url)[1])
    self.assertEqual((200, 'about us'), fetch(url + 'about/us.txt'))

  def read_the_note(self):
    """Read it, and write another one, on the page of the leader."""
    before = read_notes(self.tree.root.parameters['url'])
    self.assertIn(NOTE, before)
    self.assertEqual(
      ['another', *before],
      write_note(self.tree.root.parameters['url'], 'another'))
