"""The takeover page in a real browser, over real TLS."""
import base64
import contextlib
import hashlib
import pathlib
import unittest
import unittest.mock

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:
  from selenium import webdriver
  from selenium.common.exceptions import WebDriverException
except ImportError as error:
  raise unittest.SkipTest('selenium is not in this environment') from error

from resilient import certificate, takeover_page
from resilient.takeover import TakeoverRefused

from .partition import ROOT
from .support import TestCase, wait_until
from .web_support import Served

_ARGUMENTS = (
  '--headless=new', '--no-proxy-server', '--disable-background-networking',
  '--disable-component-update', '--disable-dev-shm-usage',
  # Of a container: the browser's own sandbox needs rights that it lacks.
  '--no-sandbox')
_HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2'


class TestBrowser(TestCase):
  """What an operator sees and does."""

  def setUp(self):
    super().setUp()
    clone = self.partition('import')
    pathlib.Path(clone.at('etc/password')).write_text('the password')
    pem = self.path('page.pem')
    certificate.ensure(pem, '127.0.0.1')
    key = x509.load_pem_x509_certificate(
      pathlib.Path(pem).read_bytes()).public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    self.pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    patch = unittest.mock.patch.object(
      takeover_page, 'takeover', return_value=('data1 is now data0.', ''))
    self.takeover = patch.start()
    self.addCleanup(patch.stop)
    self.served = Served(self, takeover_page.application(
      lambda: clone.configuration,
      (ROOT / 'templates/takeover.html').read_text()), pem)

  @contextlib.contextmanager
  def browser(self, *arguments):
    """Yield a driver of chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = '/usr/bin/chromium'
    for argument in (*_ARGUMENTS, *arguments,
                     '--user-data-dir=' + self.path('profile')):
      options.add_argument(argument)
    driver = webdriver.Chrome(
      options, webdriver.ChromeService('/usr/bin/chromedriver'))
    try:
      driver.set_page_load_timeout(60)
      yield driver
    finally:
      driver.quit()

  def submit(self, driver, password, expected):
    """Fill in the form, press the button; `expected` is shown then."""
    driver.get('https://%s/' % self.served.netloc)
    driver.find_element('name', 'password').send_keys(password)
    driver.find_element('css selector', 'button').click()

    def shown():
      # The old page may go away while it is read.
      with contextlib.suppress(WebDriverException):
        return expected in driver.find_element('css selector', 'body').text

    wait_until(shown, lambda: '%r in %s' % (expected, driver.page_source))

  def test_an_operator_takes_over(self):
    with self.browser(
        '--ignore-certificate-errors-spki-list=' + self.pin) as driver:
      self.submit(driver, 'wrong', 'Password is invalid.')
      self.takeover.assert_not_called()
      self.takeover.side_effect = TakeoverRefused(_HOSTILE)
      self.submit(driver, 'the password', _HOSTILE)
      self.assertEqual(driver.title, 'Takeover of data0')
      self.assertNotIn('password', driver.current_url)
      self.takeover.side_effect = None
      self.submit(driver, 'the password', 'Success. data1 is now data0.')

  def test_a_browser_that_does_not_know_the_certificate_warns(self):
    with self.browser() as driver:
      # Some releases of the driver raise, others show the warning.
      with contextlib.suppress(WebDriverException):
        driver.get('https://%s/' % self.served.netloc)
        self.assertIn('ERR_CERT_AUTHORITY_INVALID', driver.page_source)
      self.assertNotIn('Takeover', driver.title)
