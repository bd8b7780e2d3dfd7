"""Parameters that nobody thought of."""
import string

import croniter
from hypothesis import example, given, HealthCheck, settings, strategies as st

from resilient import parameter, retention, schema

from .partition import ROOT
from .support import TestCase

_RESILIENT = schema.Schema(str(ROOT / 'instance-resilient-input-schema.json'))
_JSON = st.recursive(
  st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(max_size=5), inner, max_size=3), max_leaves=6)
_NAMES = st.sampled_from(sorted(_RESILIENT.properties)) | st.text() | st.text(
  '-sla12_\n').map('-sla-'.__add__)
_CALENDAR = st.text(
  string.ascii_letters + string.digits + ' */,-:@#\n\u0660', max_size=20)
_CRON = st.lists(
  st.sampled_from(('*', '0', '1-5', '*/7', '59', '31', '1,2', 'mon', 'feb',
                   '7', '5-1', '*/0', 'L', '?', '100', '0-59/61')),
  min_size=4, max_size=6).map(' '.join)
_MANY = settings(
  max_examples=1000, deadline=None, derandomize=True,
  suppress_health_check=list(HealthCheck))


class TestAnything(TestCase):
  """Whatever is given: no crash, and an error that names what is wrong."""

  @_MANY
  @given(st.dictionaries(_NAMES, _JSON | _CALENDAR, max_size=5))
  @example({'resilient-clone-number': '9' * 5000})
  @example({'resiliency-export-deadline': float('nan')})
  @example({'resiliency-export-deadline': 1e400})
  @example({'\ud800\n': 1})
  def test_parameters(self, values):
    wrong = []
    for name, value in values.items():
      try:
        _RESILIENT.check({name: value})
      except schema.InvalidParameters:
        wrong.append(name)
    try:
      given_back, complete = _RESILIENT.check(values)
    except schema.InvalidParameters as error:
      self.assertTrue(wrong)
      message = str(error)
      self.assertTrue(message.isprintable(), repr(message))
      for name in wrong:
        shown = name if name.isprintable() else repr(name)
        self.assertIn('parameter %s' % shown[:100], message)
    else:
      self.assertEqual(wrong, [])
      # What was right is right again, and does not change.
      again = _RESILIENT.check(given_back)
      self.assertEqual(again, (given_back, complete))

  @_MANY
  @given(_JSON)
  def test_what_is_no_dictionary(self, values):
    try:
      _RESILIENT.check(values)
    except schema.InvalidParameters as error:
      self.assertTrue(str(error).isprintable())

  @_MANY
  @given(_CALENDAR | _CRON | st.text())
  @example('* * 31 2 *')
  @example('0 0 31 4,6,9,11 *')
  def test_a_periodicity(self, value):
    try:
      expression = parameter.periodicity(value)
    except ValueError:
      return
    # It is one line, of five fields, for the entry of cron...
    self.assertEqual(expression, ' '.join(expression.split()))
    self.assertEqual(len(expression.split()), 5)
    # ... that comes again and again, and means the same when it is read again.
    times = croniter.croniter(expression, 1.7e9)
    self.assertLess(times.get_next(float), times.get_next(float))
    self.assertEqual(parameter.periodicity(expression), expression)

  @_MANY
  @given(st.text('0123456789smhDWMYB\n ') | st.from_regex(
    parameter.RETENTION, fullmatch=True))
  def test_a_retention(self, value):
    try:
      parameter.retention(value)
    except ValueError:
      return
    age = retention.seconds(value)
    self.assertTrue(age is None and value.endswith('B') or age > 0, value)
