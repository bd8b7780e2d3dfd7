"""Whatever is sent to a service: no crash, and nothing changes."""
import contextlib
import http.client
import json
import os
import pathlib
import unittest.mock
import urllib.parse

from hypothesis import given, settings, strategies

from resilient import authentication, limits, notifier, takeover_page

from .anything import FAST
from .partition import ROOT
from .support import generation, TestCase
from .web_support import Served

_PATHS = strategies.one_of(
  strategies.sampled_from((
    '/', '/notify', '/notify/', '/notify/1', '/get/', '/get/x/import',
    '/status/x', '/get/../../etc/passwd', '//', '//\x80', '/%00',
    '/?password=x')),
  strategies.text(max_size=30).map(lambda text: '/' + text))
_METHODS = strategies.sampled_from((
  'GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'X'))
_VALUES = strategies.text(
  strategies.characters(max_codepoint=255, exclude_characters='\r\n\0'),
  max_size=60)
_HEADERS = strategies.dictionaries(
  strategies.sampled_from((
    'Authorization', 'Content-Type', 'Content-Encoding', 'Range', 'Cookie',
    'If-None-Match', 'If-Modified-Since', 'X-Forwarded-For', 'Forwarded',
    'Accept', 'Expect', 'Upgrade')),
  _VALUES | strategies.sampled_from((
    'application/json', 'application/x-www-form-urlencoded', 'bytes=0-',
    'multipart/form-data; boundary=x', 'multipart/form-data', 'gzip',
    'Resilient sender="x", signature="%s"' % ('0' * 64))),
  max_size=3)
_JSON = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats() | strategies.text(max_size=10),
  lambda inner: strategies.lists(inner, max_size=4)
  | strategies.dictionaries(
    strategies.sampled_from(('generation', 'epoch', 'sequence', 'name'))
    | strategies.text(max_size=5), inner, max_size=4), max_leaves=12)
_BODIES = (strategies.binary(max_size=300)
           | _JSON.map(lambda value: json.dumps(value).encode()))


def _changed(data, edits):
  """Return `data` with some bytes replaced, put in or cut out."""
  data = bytearray(data)
  for kind, position, byte in edits:
    position %= len(data) + 1
    data[position:position + (kind != 'put in')] = (
      b'' if kind == 'cut out' else bytes([byte]))
  return bytes(data)


_EDITS = strategies.lists(strategies.tuples(
  strategies.sampled_from(('replace', 'put in', 'cut out')),
  strategies.integers(0, 400), strategies.integers(0, 255)),
  min_size=1, max_size=4)


class FuzzCase(TestCase):
  """A clone and its two services, which ask nobody to wait."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    self.leader = self.partition('export')
    pathlib.Path(self.clone.at('etc/password')).write_text('the password')
    endless = limits.Rate((1e9, 1e9), (1e9, 1e9))
    for name in ('Rate', 'Guesses'):
      patch = unittest.mock.patch(
        'resilient.%s.%s' % ({'Rate': 'door', 'Guesses': 'takeover_page'}[name],
                             name),
        lambda: endless if name == 'Rate' else unittest.mock.Mock(
          wait=lambda _: 0, wrong=lambda _: 1, total=1))
      patch.start()
      self.addCleanup(patch.stop)
    patch = unittest.mock.patch.object(
      takeover_page, 'takeover', side_effect=AssertionError('taken over'))
    patch.start()
    self.addCleanup(patch.stop)

  def state(self):
    """Return all that the clone has on disk, and what is due."""
    found = {}
    for folder, _, names in os.walk(self.clone.at('srv')):
      for name in names:
        path = os.path.join(folder, name)
        if not name.startswith('queue.sqlite'):
          found[path] = os.stat(path).st_mtime_ns
    return found, self.clone.configuration.store.pending()

  def notifier(self):
    """Return the application of the notifier."""
    return notifier.application(lambda: self.clone.configuration)

  def page(self):
    """Return the application of the takeover page."""
    return takeover_page.application(
      lambda: self.clone.configuration,
      (ROOT / 'templates/takeover.html').read_text())

  def harmless(self, client, method, path, headers, body, **keywords):
    """One request is answered, and changes nothing."""
    before = self.state()
    # As a server passes it on: the client takes "//x" for another host.
    path, _, query = path.partition('?')
    answer = client.open('/', environ_overrides={
      'PATH_INFO': urllib.parse.unquote_to_bytes(path).decode('latin-1'),
      'QUERY_STRING': urllib.parse.quote(query, '=&%'),
    }, method=method, headers=headers, data=body, **keywords)
    self.assertLess(answer.status_code, 500, answer.text)
    self.assertNotIn('Traceback', answer.text)
    self.assertEqual(self.state(), before)
    return answer


class TestNotifier(FuzzCase):
  """The notifier."""

  def test_requests(self):
    client = self.notifier().test_client()

    @settings(max_examples=500, **FAST)
    @given(_METHODS, _PATHS, _HEADERS, _BODIES)
    def ask(method, path, headers, body):
      self.harmless(client, method, path, headers, body)

    ask()

  def test_hints_that_are_signed_and_make_no_sense(self):
    client, secret = self.notifier().test_client(), self.clone.options[
      'secret-file']

    @settings(max_examples=400, **FAST)
    @given(_JSON.map(lambda value: {'generation': value}) | _JSON)
    def hint(value):
      body = json.dumps(value).encode()
      answer = self.harmless(client, 'POST', '/notify', {
        'Authorization': authentication.sign(
          secret, 'member', 'POST', '/notify', body)}, body)
      self.assertEqual(answer.status_code, 403)

    hint()

  def test_hints_that_were_changed_on_their_way(self):
    client, secret = self.notifier().test_client(), self.clone.options[
      'secret-file']
    body = json.dumps({'generation': generation(7).to_json()}).encode()
    header = authentication.sign(secret, 'member', 'POST', '/notify', body)

    @settings(max_examples=400, **FAST)
    @given(strategies.booleans(), _EDITS)
    def hint(in_body, edits):
      new_body, new_header = body, header
      if in_body:
        new_body = _changed(body, edits)
      else:
        new_header = _changed(header.encode(), edits).decode('latin-1')
        new_header = ''.join(c for c in new_header if c not in '\r\n')
      if (new_body, new_header) != (body, header):
        answer = self.harmless(client, 'POST', '/notify', {
          'Authorization': new_header}, new_body)
        self.assertEqual(answer.status_code, 403)

    hint()

  def test_bytes_that_are_hardly_http(self):
    served = Served(self, self.notifier())
    good = (b'POST /notify HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n'
            b'Content-Length: 5\r\n\r\nhello')
    before = self.state()

    @settings(max_examples=250, **FAST)
    @given(_EDITS.map(lambda edits: _changed(good, edits))
           | strategies.binary(min_size=1, max_size=200))
    def send(data):
      said = served.raw(data)
      self.assertNotRegex(said[:20], b'^HTTP/1.1 (5|2)')

    send()
    self.assertEqual(self.state(), before)
    self.assertEqual(served.ask('GET', '/')[0], 204)


class TestPage(FuzzCase):
  """The takeover page."""

  def test_requests(self):
    client = self.page().test_client()

    @settings(max_examples=300, **FAST)
    @given(_METHODS, _PATHS, _HEADERS, _BODIES)
    def ask(method, path, headers, body):
      self.harmless(client, method, path, headers, body)

    ask()

  def test_passwords(self):
    client = self.page().test_client()

    @settings(max_examples=300, **FAST)
    @given(_METHODS, strategies.sampled_from(('data', 'query_string')),
           strategies.binary(max_size=40) | strategies.text(max_size=40).map(
             lambda text: text.encode('utf-8', 'surrogatepass')))
    def guess(method, where, password):
      before = self.state()
      with contextlib.suppress(UnicodeError):
        answer = client.open(
          '/', method=method, **{where: {'password': password}})
        self.assertLess(answer.status_code, 500)
        self.assertNotIn('Success', answer.text)
      self.assertEqual(self.state(), before)

    guess()

  def test_bytes_that_are_hardly_a_form(self):
    served = Served(self, self.page())
    good = (b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n'
            b'Content-Type: application/x-www-form-urlencoded\r\n\r\n'
            b'password=thepasswo')

    @settings(max_examples=150, **FAST)
    @given(_EDITS)
    def send(edits):
      said = served.raw(_changed(good, edits))
      self.assertNotRegex(said[:20], b'^HTTP/1.1 5')
      self.assertNotIn(b'Success', said)

    send()
    with contextlib.suppress(http.client.HTTPException):
      self.assertEqual(served.ask('GET', '/')[0], 200)
