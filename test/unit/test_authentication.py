"""The secret of a tree, signatures, and hints that are said twice."""
import json
import os
import stat

from resilient import authentication
from resilient.authentication import NotAuthentic

from .support import generation, TestCase


def hint(sequence=1, epoch=1):
  """Return the body of a hint."""
  return json.dumps(
    {'generation': generation(sequence, epoch).to_json()}).encode()


class SecretCase(TestCase):
  """An instance with the secret of a tree."""

  def setUp(self):
    super().setUp()
    self.secret = self.secret_file('secret', 'the secret of this tree')

  def secret_file(self, name, given=''):
    """Return the path of a file with secret `given`."""
    authentication.ensure_secret(self.path('etc', name), given)
    return self.path('etc', name)


class TestSecret(SecretCase):
  """authentication.ensure_secret, token"""

  def test_nobody_else_reads_it(self):
    mode = os.stat(self.secret).st_mode
    self.assertEqual(stat.S_IMODE(mode), 0o600)
    mode = os.stat(os.path.dirname(self.secret)).st_mode
    self.assertEqual(stat.S_IMODE(mode), 0o700)

  def test_members_have_the_same_tokens_and_no_other_tree_has(self):
    member = self.secret_file('member', 'the secret of this tree')
    other = self.secret_file('other', 'the secret of other tree')
    tokens = set()
    for purpose in (authentication.FEEDS, authentication.STATUS):
      self.assertEqual(authentication.token(self.secret, purpose),
                       authentication.token(member, purpose))
      tokens |= {authentication.token(path, purpose)
                 for path in (self.secret, other)}
    self.assertEqual(len(tokens), 4)
    for token in tokens:
      self.assertRegex(token, '^[0-9a-f]{32}$')

  def test_an_instance_without_a_tree_has_its_own_and_keeps_it(self):
    first = self.secret_file('first')
    second = self.secret_file('second')
    found = {authentication.token(path, 'feeds') for path in (first, second)}
    self.assertEqual(len(found), 2)
    self.secret_file('first')
    self.assertIn(authentication.token(first, 'feeds'), found)
    self.assertFalse(authentication.is_shared(first))

  def test_the_secret_of_the_tree_replaces_the_own_one_and_the_last(self):
    path = self.secret_file('path')
    self.secret_file('path', 'the secret of this tree')
    self.assertTrue(authentication.is_shared(path))
    self.assertEqual(authentication.token(path, 'feeds'),
                     authentication.token(self.secret, 'feeds'))
    self.secret_file('path', 'another secret of the tree')
    self.assertNotEqual(authentication.token(path, 'feeds'),
                        authentication.token(self.secret, 'feeds'))

  def test_a_short_secret_is_refused_and_not_shown(self):
    with self.assertRaisesRegex(ValueError, 'resilient-secret has 6') as caught:
      self.secret_file('secret', 'secret')
    self.assertNotIn('"secret"', str(caught.exception))
    self.assertTrue(authentication.is_shared(self.secret))


class TestSignature(SecretCase):
  """authentication.sign, sender_of"""

  request = ('POST', '/notify', b'{"body": 1}')

  def sender(self, header, *request, secret=None):
    """Return who signed `request`."""
    return authentication.sender_of(
      secret or self.secret, header, *(request or self.request))

  def test_a_member_is_known_by_its_signature(self):
    for sender in ('SOFTINST-1', 'with "quotes", and ä', '\n'):
      header = authentication.sign(self.secret, sender, *self.request)
      header.encode('ascii')
      self.assertEqual(self.sender(header), sender)

  def test_whatever_is_changed_is_noticed(self):
    header = authentication.sign(self.secret, 'a', *self.request)
    method, where, body = self.request
    for changed in (('GET', where, body), (method, '/notifyx', body),
                    (method, where, body + b' '), (method, where, b'')):
      with self.assertRaises(NotAuthentic):
        self.sender(header, *changed)
    for wrong in (header.replace('"a"', '"b"'), header[:-2] + '0"', '', None,
                  header + ' ', 'Basic YTpi', header.upper(),
                  'Resilient sender="a", signature="%s"' % ('0' * 64)):
      with self.assertRaises(NotAuthentic):
        self.sender(wrong)

  def test_a_question_says_who_is_asked(self):
    def is_asked(netloc, ip='2001:db8::1', port=22001):
      return authentication.is_asked(
        authentication.new_question(netloc), ip, port)
    for netloc in ('[2001:db8::1]:22001', '[2001:DB8:0::1]:22001',
                   'name.example:22001'):
      self.assertTrue(is_asked(netloc), netloc)
    self.assertTrue(is_asked('192.0.2.1:1', '192.0.2.1', 1))
    for netloc in ('[2001:db8::1]:22011', '[2001:db8::2]:22001',
                   '[2001:db8::1]', '192.0.2.1:22001'):
      self.assertFalse(is_asked(netloc), netloc)

  def test_a_question_of_an_older_release_does_not(self):
    self.assertTrue(authentication.is_asked('4f1d', '2001:db8::1', 22001))
    self.assertTrue(authentication.is_asked('', '2001:db8::1', 22001))

  def test_fields_do_not_run_into_each_other(self):
    header = authentication.sign(self.secret, 'a', 'POST', '/notifya', b'')
    with self.assertRaises(NotAuthentic):
      self.sender(header, 'POST/', 'notifya', b'')

  def test_another_tree_is_not_believed(self):
    other = self.secret_file('other')
    header = authentication.sign(other, 'a', *self.request)
    with self.assertRaises(NotAuthentic):
      self.sender(header)


class TestHints(TestCase):
  """authentication.Hints: no replay, without a clock."""

  def setUp(self):
    super().setUp()
    self.hints = authentication.Hints(self.path('hints.json'))
    self.acts = 0

  def act(self):
    """What a hint does."""
    self.acts += 1

  def refused(self, sender, body):
    """`body` of `sender` is refused, and nothing happens."""
    before = self.acts
    with self.assertRaises(NotAuthentic):
      self.hints.accept(sender, body, self.act)
    self.assertEqual(self.acts, before)

  def test_what_is_newer_is_heard_once(self):
    for sequence, epoch in ((1, 1), (2, 1), (9, 1), (1, 2), (2, 2)):
      self.hints.accept('a', hint(sequence, epoch), self.act)
      self.refused('a', hint(sequence, epoch))
    self.assertEqual(self.acts, 5)
    for older in ((1, 2), (9, 1), (100, 1)):
      self.refused('a', hint(*older))

  def test_it_is_remembered_by_the_next_process(self):
    self.hints.accept('a', hint(7), self.act)
    self.hints = authentication.Hints(self.path('hints.json'))
    self.refused('a', hint(7))
    self.hints.accept('a', hint(8), self.act)

  def test_each_sender_counts_by_itself(self):
    self.hints.accept('old leader', hint(100), self.act)
    self.hints.accept('another', hint(1), self.act)
    self.refused('old leader', hint(100))
    self.assertEqual(self.acts, 2)

  def test_what_cannot_be_done_is_not_remembered(self):
    def fail():
      raise OSError('disk full')
    with self.assertRaises(OSError):
      self.hints.accept('a', hint(1), fail)
    self.hints.accept('a', hint(1), self.act)

  def test_senders_are_bounded_and_those_heard_last_are_kept(self):
    for number in range(200):
      self.hints.accept('sender %d' % number, hint(5), self.act)
      if number:
        self.refused('sender %d' % (number - 1), hint(5))
    self.assertLess(os.path.getsize(self.path('hints.json')), 10_000)

  def test_what_names_no_generation_is_refused(self):
    for body in (b'', b'{', b'[]', b'{"generation": null}', b'\xff',
                 b'{"generation": {"epoch": 1}}', b'[' * 50_000):
      self.refused('a', body)
