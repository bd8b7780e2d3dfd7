"""The application's files: archives of users, good and bad."""
import functools
import hashlib
import http.server
import io
import os
import pathlib
import shutil
import tarfile
import tempfile
import threading
from unittest import mock

from database import documents

from .support import TestCase


class _Handler(http.server.SimpleHTTPRequestHandler):

  def log_message(self, *_):
    """Say nothing."""


class DocumentsTest(TestCase):
  """Each test replaces the sample page, or must not."""

  def setUp(self):
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix='documents-'))
    self.addCleanup(shutil.rmtree, self.folder)
    self.content = self.folder / 'content'
    self.content.mkdir()
    (self.folder / 'sample').write_text('sample')
    documents.make_sample(self.content, self.folder / 'sample')
    (self.folder / 'served').mkdir()
    server = http.server.ThreadingHTTPServer(
      ('127.0.0.1', 0), functools.partial(
        _Handler, directory=str(self.folder / 'served')))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    self.addCleanup(server.server_close)
    self.addCleanup(server.shutdown)
    self.url = 'http://127.0.0.1:%d/app.tar.gz' % server.server_port
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
      self.enterContext(mock.patch.dict(os.environ))
      os.environ.pop(name, None)

  def archive(self, *members):
    """Serve a tar of (name, text or None, attributes); return its SHA-256."""
    path = self.folder / 'served/app.tar.gz'
    with tarfile.open(path, 'w:gz') as target:
      for name, text, attributes in members:
        member = tarfile.TarInfo(name)
        data = (text or '').encode()
        member.size = len(data)
        for key, value in attributes.items():
          setattr(member, key, value)
        target.addfile(member, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()

  def read(self):
    """Return {name: text} of the document root."""
    root = self.content / 'documents'
    return {str(path.relative_to(root)): path.read_text()
            for path in root.rglob('*') if path.is_file()}

  def assert_refused(self, sha256, *words):
    """The archive is refused in one line, and the sample page stays."""
    with self.assertRaises(documents.DocumentsError) as caught:
      documents.replace(self.content, self.url, sha256)
    for word in ('parameter document-root-', *words):
      self.assertIn(word, str(caught.exception))
    self.assertEqual({'index.php': 'sample'}, self.read())
    self.assertEqual(['documents', 'documents.json'],
                     sorted(os.listdir(self.content)))

  def test_archive_replaces_the_sample(self):
    sha256 = self.archive(
      ('./', None, {'type': tarfile.DIRTYPE}),
      ('./index.php', 'mine', {'mode': 0o777, 'uid': 0}),
      ('sub', None, {'type': tarfile.DIRTYPE, 'mode': 0o500}),
      ('sub/page.html', 'page', {}),
      ('link', None, {'type': tarfile.SYMTYPE, 'linkname': 'sub/page.html'}))
    documents.replace(self.content, self.url, sha256)
    self.assertEqual(
      {'index.php': 'mine', 'sub/page.html': 'page', 'link': 'page'},
      self.read())
    page = self.content / 'documents/index.php'
    self.assertEqual(0o600, page.stat().st_mode & 0o777)

    # What the application changes is kept, until there is another archive.
    page.write_text('changed by the application')
    documents.replace(self.content, self.url, sha256)
    self.assertEqual('changed by the application', page.read_text())
    sha256 = self.archive(('index.php', 'newer', {}))
    documents.replace(self.content, self.url, sha256)
    self.assertEqual({'index.php': 'newer'}, self.read())

  def test_wrong_checksum(self):
    right = self.archive(('index.php', 'mine', {}))
    self.assert_refused('0' * 64, '0' * 64, right)

  def test_nothing_there(self):
    self.assert_refused('0' * 64, '404')

  def test_no_archive(self):
    path = self.folder / 'served/app.tar.gz'
    path.write_text('<html>')
    self.assert_refused(
      hashlib.sha256(path.read_bytes()).hexdigest(), 'tar archive')

  def test_archive_that_is_cut_off(self):
    self.archive(('index.php', 'x' * 10**6, {}))
    path = self.folder / 'served/app.tar.gz'
    path.write_bytes(path.read_bytes()[:-200])
    self.assert_refused(
      hashlib.sha256(path.read_bytes()).hexdigest(), 'tar archive')

  def test_names_that_lead_out(self):
    outside = str(self.folder / 'outside')
    link = {'type': tarfile.SYMTYPE}
    for members in (
        (('../outside', 'x', {}),),
        ((outside, 'x', {}),),
        (('a/../../outside', 'x', {}),),
        (('link', None, {**link, 'linkname': '..'}), ('link/x', 'x', {})),
        (('link', None, {**link, 'linkname': outside}),),
        (('hard', None, {'type': tarfile.LNKTYPE, 'linkname': '../sample'}),),
        (('fifo', None, {'type': tarfile.FIFOTYPE}),),
        (('device', None, {'type': tarfile.CHRTYPE}),)):
      with self.subTest(members=[name for name, *_ in members]):
        self.assert_refused(self.archive(*members))
        self.assertFalse(os.path.lexists(outside))

  def test_too_slow_and_too_large(self):
    sha256 = self.archive(('index.php', 'mine', {}))
    with mock.patch.object(documents, '_DEADLINE', -1):
      self.assert_refused(sha256, 'faster')
    with mock.patch.object(documents, '_LARGEST', 10):
      self.assert_refused(sha256, 'smaller')
    with mock.patch.object(documents, '_LARGEST_UNPACKED', 3):
      self.assert_refused(sha256, 'unpacked', 'smaller')
