"""The certificate of the takeover page."""
import datetime
import hashlib
import os
import ssl
import stat

from resilient import certificate

from .support import TestCase

_NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
_YEAR = datetime.timedelta(days=365)


class TestEnsure(TestCase):
  """certificate.ensure"""

  def ensure(self, address='2001:db8::1', now=_NOW):
    """Make or keep the certificate; return its fingerprint."""
    return certificate.ensure(self.path('tls', 'page.pem'), address, now)

  def decoded(self):
    """Return what openssl reads in it."""
    return ssl._ssl._test_decode_cert(self.path('tls', 'page.pem'))

  def test_the_address_is_its_name(self):
    for address, kind in (('2001:db8::1', 'IP Address'),
                          ('127.0.0.1', 'IP Address'),
                          ('clone.example.com', 'DNS')):
      self.ensure(address)
      (found_kind, value), = self.decoded()['subjectAltName']
      self.assertEqual(found_kind, kind)
      self.assertEqual(value.replace(':0:0:0:0:0:', '::').lower().strip(),
                       address)

  def test_the_fingerprint_is_that_of_the_certificate(self):
    fingerprint = self.ensure()
    with open(self.path('tls', 'page.pem'), encoding='ascii') as source:
      text = source.read()
    der = ssl.PEM_cert_to_DER_cert(text[text.index('-----BEGIN CERT'):])
    self.assertEqual(fingerprint.replace(':', '').lower(),
                     hashlib.sha256(der).hexdigest())

  def test_nobody_else_reads_the_key(self):
    self.ensure()
    mode = os.stat(self.path('tls', 'page.pem')).st_mode
    self.assertEqual(stat.S_IMODE(mode), 0o600)

  def test_one_that_is_good_is_kept(self):
    first = self.ensure()
    for years in (0, -1, 1, 8):
      self.assertEqual(self.ensure(now=_NOW + years * _YEAR), first)

  def test_it_is_renewed_before_it_ends_and_for_another_address(self):
    first = self.ensure()
    second = self.ensure(now=_NOW + 9.5 * _YEAR)
    self.assertNotEqual(first, second)
    third = self.ensure('::1', now=_NOW + 9.5 * _YEAR)
    self.assertNotEqual(second, third)
    self.assertEqual(self.ensure('::1', now=_NOW + 10 * _YEAR), third)

  def test_one_that_was_made_by_a_clock_far_ahead_is_replaced(self):
    ahead = self.ensure(now=_NOW + 50 * _YEAR)
    self.assertNotEqual(self.ensure(), ahead)

  def test_damage_is_replaced(self):
    self.ensure()
    with open(self.path('tls', 'page.pem'), 'w', encoding='ascii') as output:
      output.write('-----BEGIN PRIVATE')
    self.ensure()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
      self.path('tls', 'page.pem'))
