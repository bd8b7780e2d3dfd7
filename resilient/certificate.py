"""The certificate of the takeover page: made while the instance is built, so
that nobody waits for it, and signed by itself, so that nobody has to be asked.

Who visits the page compares its fingerprint with the one that is published.
"""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .durable import write_bytes

_YEAR = datetime.timedelta(days=365)
_LIFE = 10 * _YEAR
# Renewed when less than this is left.
_MARGIN = _YEAR
# Clocks may be wrong by a year, ours too.
_BEFORE = 2 * _YEAR


def _alternative_name(address):
  try:
    return x509.IPAddress(ipaddress.ip_address(address))
  except ValueError:
    return x509.DNSName(address)


def _make(address, now):
  """Return the text of a new key and certificate for `address`."""
  key = ec.generate_private_key(ec.SECP256R1())
  name = x509.Name([
    x509.NameAttribute(NameOID.COMMON_NAME, 'takeover of a resilient stack')])
  certificate = (
    x509.CertificateBuilder().subject_name(name).issuer_name(name)
    .public_key(key.public_key()).serial_number(x509.random_serial_number())
    .not_valid_before(now - _BEFORE).not_valid_after(now + _LIFE)
    .add_extension(x509.SubjectAlternativeName([_alternative_name(address)]),
                   critical=False)
    .add_extension(x509.BasicConstraints(ca=False, path_length=None),
                   critical=True)
    .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
                   critical=False)
    .sign(key, hashes.SHA256()))
  return key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption()
  ) + certificate.public_bytes(serialization.Encoding.PEM)


def _read(path):
  """Return the certificate in file `path`, None if there is none."""
  try:
    with open(path, 'rb') as source:
      return x509.load_pem_x509_certificate(source.read())
  except (FileNotFoundError, ValueError):
    return None


def _is_good(certificate, address, now):
  names = certificate.extensions.get_extension_for_class(
    x509.SubjectAlternativeName).value
  return (list(names) == [_alternative_name(address)]
          and certificate.not_valid_before_utc <= now
          and now + _MARGIN < certificate.not_valid_after_utc)


def fingerprint(certificate):
  """Return the SHA-256 of an X.509 certificate, as browsers show it."""
  return certificate.fingerprint(hashes.SHA256()).hex(':').upper()


def ensure(path, address, now=None):
  """Make a key and a certificate for `address` in file `path`, unless there is
  one that is good for another year; return its fingerprint.

  address: an IP address or a host name.  now: an aware datetime.

  Both are in one file, so that they always belong together.  Raises OSError.
  """
  now = now or datetime.datetime.now(datetime.timezone.utc)
  certificate = _read(path)
  if certificate is None or not _is_good(certificate, address, now):
    # Asked for while the partition's directories are not made yet.
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_bytes(path, _make(address, now))
    certificate = _read(path)
  return fingerprint(certificate)
