"""A real browser, without a screen, and the sample page of lapp and lamp."""
import contextlib
import tempfile

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

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


def _notes(driver):
  return [item.text
          for item in driver.find_elements(By.CSS_SELECTOR, '#notes li')]


def read_notes(url):
  """Return the notes on the page of a leader at `url`, the newest first.

  Raises AssertionError if it is not the page of a leader.
  """
  with browser() as driver:
    driver.get(url)
    role = driver.find_element(By.ID, 'role').text
    if 'This is the leader' not in role:
      raise AssertionError(role)
    return _notes(driver)


def write_note(url, text):
  """Write a note on the page at `url`; return the notes that it shows then.

  Raises AssertionError if the page complains.
  """
  with browser() as driver:
    driver.get(url)
    # What is no key of a keyboard cannot be typed.
    driver.execute_script(
      "document.getElementById('text').value = arguments[0]", text)
    button = driver.find_element(By.TAG_NAME, 'button')
    button.click()
    # To click may end before the next page is there; while it comes the driver
    # may fail to say that the button is gone.
    WebDriverWait(
      driver, _DEADLINE, ignored_exceptions=(WebDriverException,)).until(
        staleness_of(button))
    alerts = driver.find_elements(By.CSS_SELECTOR, '[role=alert]')
    if alerts:
      raise AssertionError(alerts[0].text)
    return _notes(driver)
