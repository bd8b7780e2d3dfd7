"""The takeover page's certificate, as an operator checks it."""
import hashlib
import re
import ssl
import urllib.parse


def trusting(url, fingerprint):
  """Return an SSL context that trusts the certificate of `url`, and no other.

  Raises AssertionError if it has not the SHA-256 `fingerprint`.
  """
  where = urllib.parse.urlsplit(url)
  certificate = ssl.get_server_certificate((where.hostname, where.port))
  digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
  found = ':'.join(re.findall('..', digest.upper()))
  assert fingerprint in (None, found), '%s has certificate %s, not %s' % (
    url, found, fingerprint)
  return ssl.create_default_context(cadata=certificate)
