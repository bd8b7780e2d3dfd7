"""A real browser, without a screen."""
import contextlib
import tempfile

from selenium import webdriver

_DEADLINE = 60
_ARGUMENTS = (
  '--headless=new', '--no-proxy-server', '--disable-background-networking',
  '--disable-component-update', '--disable-dev-shm-usage',
  # Of a container: the browser's own sandbox needs rights that it lacks.
  '--no-sandbox')


@contextlib.contextmanager
def browser():
  """Yield a selenium driver of chromium."""
  options = webdriver.ChromeOptions()
  options.binary_location = '/usr/bin/chromium'
  with tempfile.TemporaryDirectory() as profile:
    for argument in (*_ARGUMENTS, '--user-data-dir=' + profile):
      options.add_argument(argument)
    driver = webdriver.Chrome(
      options, webdriver.ChromeService('/usr/bin/chromedriver'))
    try:
      driver.set_page_load_timeout(_DEADLINE)
      yield driver
    finally:
      driver.quit()
