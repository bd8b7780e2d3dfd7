"""The page of the takeover: one button, one password."""
import pathlib
import unittest.mock

import lxml.html

from resilient import takeover_page
from resilient.door import Strangers
from resilient.durable import write_json
from resilient.limits import Guesses, Rate
from resilient.master import MasterError
from resilient.takeover import TakeoverRefused

from .partition import ROOT
from .support import generation, TestCase

PASSWORD = 'sécret & "quoted"'


class PageCase(TestCase):
  """The page of a clone, whose takeover is a mock."""

  def setUp(self):
    super().setUp()
    self.clone = self.partition('import')
    pathlib.Path(self.clone.at('etc/password')).write_text(
      PASSWORD + '\n', encoding='utf-8')
    # Buckets that nothing fills again, however slow this machine is.
    self.enterContext(unittest.mock.patch.object(
      takeover_page, 'Strangers', lambda: Strangers(Rate(clock=lambda: 0.0))))
    self.enterContext(unittest.mock.patch.object(
      takeover_page, 'Guesses', lambda: Guesses(clock=lambda: 0.0)))
    self.page = takeover_page.application(
      lambda: self.clone.configuration,
      (ROOT / 'templates/takeover.html').read_text(encoding='utf-8'),
      lambda: 1_000_000_060.0).test_client()
    patch = unittest.mock.patch.object(
      takeover_page, 'takeover', return_value=('data1 is now data0.', ''))
    self.takeover = patch.start()
    self.addCleanup(patch.stop)

  def load(self):
    """Let the service hold generation 1.7 of 2001-09-09."""
    write_json(self.clone.configuration.state('imported.json'), {
      'generation': generation(7, sealed=1e9).to_json(), 'at': 1e9 + 10})

  def text(self):
    """Return what a person reads."""
    return ' '.join(' '.join(lxml.html.fromstring(
      self.page.get('/').get_data()).itertext()).split())

  def ask(self, password, address='::1'):
    """Return the status of the answer to `password` from `address`."""
    return self.page.post(
      '/', data={'password': password},
      environ_base={'REMOTE_ADDR': address}).status_code


class TestPage(PageCase):
  """GET / and POST /"""

  def test_before_the_first_backup_it_says_so(self):
    self.assertIn(
      'Last valid backup: No backup downloaded yet, takeover should not happen'
      ' now.', self.text())

  def test_it_shows_the_last_valid_backup_and_its_age(self):
    self.load()
    for part in ('Last valid backup: 2001-09-09 01:46:40 UTC', 'Age: 60 s',
                 'Generation: 1.7', 'Loaded: 50 s ago',
                 'Import script(s) currently running: No'):
      self.assertIn(part, self.text())

  def test_a_state_file_that_is_damaged_is_named_and_the_button_stays(self):
    for name in ('imported', 'verified', 'staged'):
      path = pathlib.Path(self.clone.configuration.state(name + '.json'))
      path.write_text('{}', encoding='ascii')
      self.assertIn('%s.json is damaged' % name, self.text())
      self.assertIn('Take over', self.text())
      path.unlink()

  def test_a_journal_that_is_damaged_is_named_while_the_master_is_down(self):
    self.load()
    path = pathlib.Path(self.clone.configuration.state('takeover.json'))
    path.write_text('{', encoding='ascii')
    self.takeover.side_effect = MasterError('not reached')
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertEqual(answer.status_code, 409)
    self.assertIn('Error. not reached. %s' % path, answer.text)
    self.assertIn('move it away', answer.text)
    self.assertIn('Generation: 1.7', self.text())

  def test_an_age_that_a_wrong_clock_hides_is_not_called_0(self):
    write_json(self.clone.configuration.state('imported.json'), {
      'generation': generation(7, sealed=2e9).to_json(), 'at': 2e9})
    self.assertIn('Age: not known, it is dated 999999940 s ahead of the clock'
                  ' here', self.text())

  def test_looking_takes_nothing_over(self):
    self.page.get('/')
    self.page.post('/', data={})
    self.page.head('/')
    self.page.head('/', query_string={'password': PASSWORD})
    self.takeover.assert_not_called()

  def test_a_wrong_password_is_refused_and_changes_nothing(self):
    for number, wrong in enumerate((
        '', 'wrong', PASSWORD + ' ', '\ud83d\x00', 'x' * 10000)):
      # Each from another address, or it would have to wait.
      client = {'environ_base': {'REMOTE_ADDR': '::%d' % number}}
      data = {'password': wrong.encode('utf-8', 'surrogatepass')}
      for answer in (self.page.post('/', data=data, **client),
                     self.page.get('/', query_string=data, **client)):
        self.assertEqual(answer.status_code, 403)
        self.assertIn('Password is invalid.', answer.text)
    self.takeover.assert_not_called()

  def test_to_submit_twice_is_harmless(self):
    self.takeover.side_effect = [
      ('data1 is now data0.', ''),
      ('data0 leads already, nothing was done.', '')]
    for _ in range(2):
      answer = self.page.post('/', data={'password': PASSWORD})
      self.assertEqual(answer.status_code, 200)
      self.assertTrue(answer.text.startswith('Success.'))

  def test_no_browser_keeps_frames_or_passes_on_the_page(self):
    for answer in (self.page.get('/'), self.page.get('/x'), self.page.post(
        '/', data={'password': 'wrong'}), self.page.put('/')):
      for name, value in (
          ('Referrer-Policy', 'no-referrer'), ('Cache-Control', 'no-store'),
          ('X-Frame-Options', 'DENY'), ('X-Content-Type-Options', 'nosniff')):
        self.assertEqual(answer.headers[name], value)
      policy = answer.headers['Content-Security-Policy']
      self.assertIn("default-src 'none'", policy)
      self.assertIn("frame-ancestors 'none'", policy)

  def test_without_a_password_on_disk_none_is_right(self):
    pathlib.Path(self.clone.at('etc/password')).write_text('\n')
    self.assertEqual(
      self.page.post('/', data={'password': ''}).status_code, 403)

  def test_the_right_password_takes_over_by_post_and_by_get(self):
    for answer in (self.page.post('/', data={'password': PASSWORD}),
                   self.page.get('/', query_string={'password': PASSWORD})):
      self.assertEqual(answer.status_code, 200)
      self.assertTrue(answer.text.startswith('Success. data1 is now data0.'))
    self.assertEqual(self.takeover.call_args_list, [
      unittest.mock.call(self.clone.configuration, False)] * 2)

  def test_what_did_not_work_is_told_with_the_success(self):
    self.takeover.return_value = ('data1 is now data0.', 'The promoter failed.')
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertTrue(answer.text.startswith(
      'Success. data1 is now data0.\nThe promoter failed.\n'))

  def test_to_insist_takes_a_second_confirmation_by_post(self):
    self.assertNotIn('name="force"', self.page.get('/').text)
    self.takeover.side_effect = TakeoverRefused('2 generations', forcible=True)
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertEqual(answer.status_code, 409)
    form, = lxml.html.fromstring(answer.get_data()).forms
    self.assertEqual(form.fields['force'], 'yes')
    self.assertIn('2 generations', answer.text)
    self.assertIsNone(form.fields['password'] or None)
    # Not by a link.
    self.page.get('/', query_string={'password': PASSWORD, 'force': 'yes'})
    self.page.post('/?force=yes', data={'password': PASSWORD})
    self.takeover.side_effect = None
    answer = self.page.post('/', data=dict(form.fields, password=PASSWORD))
    self.assertTrue(answer.text.startswith('Success.'))
    self.assertEqual([call.args[1] for call in self.takeover.call_args_list],
                     [False, False, False, True])

  def test_what_cannot_be_forced_offers_nothing(self):
    self.takeover.side_effect = TakeoverRefused('no backup')
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertNotIn('name="force"', answer.text)

  def test_the_release_adds_facts_which_are_text(self):
    path = pathlib.Path(self.clone.at('etc/information.py'))
    self.clone.configure(information=str(path))
    self.enterContext(unittest.mock.patch.object(
      takeover_page._OfRelease, '_SECONDS', -1))
    for code, expected in (
        ('def main():\n  return {"Disk": "<b>full</b>", "Count": 3}\n',
         'Disk: <b>full</b> Count: 3'),
        ('def main():\n  return {"Newest": "\\udce9.sql"}\n',
         'Newest: \\udce9.sql'),
        ('def main():\n  return [1]\n', 'main() returned no dictionary'),
        ('raise SystemExit("no")\n', 'information is not to be had')):
      path.write_text(code, encoding='utf-8')
      self.assertIn(expected, self.text())
      self.assertNotIn('<b>', self.page.get('/').text)

  def test_of_a_clone_that_leads_by_now_it_says_so(self):
    self.clone.configure(role='export')
    for answer in (self.page.get('/'),
                   self.page.post('/', data={'password': PASSWORD})):
      self.assertEqual(answer.status_code, 410)
      self.assertIn('no clone any more', answer.text)
    self.takeover.assert_not_called()

  def test_a_refusal_is_told_and_is_no_success(self):
    for error in (TakeoverRefused('not now'), MasterError('not reached')):
      self.takeover.side_effect = error
      answer = self.page.post('/', data={'password': PASSWORD})
      self.assertEqual(answer.status_code, 409)
      self.assertIn('Error. %s' % error, answer.text)
      self.assertNotIn('Success', answer.text)

  def test_hostile_values_are_text(self):
    hostile = '<script>alert("1")</script>'
    self.takeover.side_effect = TakeoverRefused(hostile)
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertNotIn('<script', answer.text)
    self.assertIn(hostile, lxml.html.fromstring(
      answer.get_data()).text_content())

  def test_the_form_posts_and_is_labelled(self):
    form, = lxml.html.fromstring(self.page.get('/').get_data()).forms
    self.assertEqual(form.method, 'POST')
    field = form.inputs['password']
    self.assertEqual(field.get('type'), 'password')
    self.assertEqual(field.label.text_content(), 'Password:')

  def test_no_other_page_and_no_other_method(self):
    self.assertEqual(self.page.get('/../etc/passwd').status_code, 404)
    self.assertEqual(
      self.page.put('/', data={'password': PASSWORD}).status_code, 405)
    self.takeover.assert_not_called()

  def test_a_huge_request_is_refused(self):
    answer = self.page.post('/', data={'password': 'x' * 100000})
    self.assertEqual(answer.status_code, 413)
