"""The page of the takeover, and those who do not know the password."""
import unittest.mock

from resilient import takeover_page
from resilient.takeover import TakeoverRefused

from .test_takeover_page import PageCase, PASSWORD


class TestStrangers(PageCase):
  """Who guesses, and who asks too much."""

  def test_who_guesses_has_to_wait_and_nobody_else(self):
    with self.assertLogs('resilient.takeover_page', 'WARNING') as logs:
      statuses = [self.ask('guess %d' % n) for n in range(20)]
    self.assertEqual(statuses, [403] * 3 + [429] * 17)
    self.assertIn('::1 gave a wrong password, 1 by now', logs.output[0])
    self.assertNotIn('guess', ''.join(logs.output))
    # Not even the right one, or waiting would be no hindrance.
    self.assertEqual(self.ask(PASSWORD), 429)
    self.takeover.assert_not_called()
    self.assertEqual(self.ask(PASSWORD, '::2'), 200)
    self.takeover.assert_called_once()

  def test_an_operator_is_heard_while_many_guess(self):
    statuses = {self.ask('guess', '2001:db8::%x' % number)
                for number in range(1000)}
    self.assertEqual(statuses, {403, 429})
    self.assertEqual(self.ask(PASSWORD, '::1'), 200)

  def test_strangers_have_its_program_run_seldom_and_refusals_not_at_all(self):
    with unittest.mock.patch.object(
        takeover_page.information, 'facts', return_value=[]) as program:
      statuses = [self.page.get('/').status_code for _ in range(400)]
      self.assertEqual(set(statuses), {200, 429})
      self.assertEqual(program.call_count, 1)

  def test_who_knows_the_password_is_told_why_whatever_strangers_do(self):
    for number in range(1000):
      self.page.get('/', environ_base={'REMOTE_ADDR': '10.0.0.%d' % (
        number % 50)})
    self.takeover.side_effect = TakeoverRefused('2 generations behind', True)
    answer = self.page.post('/', data={'password': PASSWORD})
    self.assertEqual(answer.status_code, 409)
    self.assertIn('2 generations behind', answer.text)
    self.assertIn('name="force"', answer.text)
