"""Values in buildout's options, as the dialect gives them.

One test a property.  Run with

  .node/venv/bin/python -m unittest discover -s environment
"""
import unittest

from dialect_case import VALUE, BuildoutTestCase
from hypothesis import given, settings, strategies
from zc.buildout.buildout import dumps, loads
from zc.buildout.resilient_values import decoded, encoded, saved

values = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats(allow_nan=False, allow_infinity=False)
  | strategies.text() | strategies.binary(),
  lambda inner: strategies.lists(inner)
  | strategies.dictionaries(strategies.text(), inner)
  | strategies.lists(inner).map(tuple)
  | strategies.sets(strategies.text()))


class TestValues(unittest.TestCase):
  """The text form of a value."""

  @settings(deadline=None, database=None)
  @given(values)
  def test_any_value_comes_back_with_its_type(self, value):
    for there, back in (
        (dumps, loads), (encoded, decoded), (saved, decoded)):
      text = there(value)
      self.assertEqual(back(text), value)
      self.assertEqual(dumps(back(text)), dumps(value))

  @settings(deadline=None, database=None)
  @given(values)
  def test_dumped_text_is_inert(self, value):
    self.assertNotRegex(dumps(value), r'[$;%\n]')
    self.assertTrue(dumps(value).isascii() and dumps(value).isprintable())

  def test_equal_values_give_equal_text(self):
    self.assertEqual(dumps({'b': {3, 1}, 'a': 1}), dumps({'a': 1, 'b': {1, 3}}))

  def test_other_types_are_refused(self):
    for value in (object(), [dumps], {'a': open}, range(3)):
      with self.assertRaises(TypeError):
        dumps(value)
    with self.assertRaises(ValueError):
      dumps(float('nan'))

  def test_code_is_not_run(self):
    with self.assertRaises(ValueError):
      loads('!py!__import__("os").getpid()')
    with self.assertRaises(ValueError):
      loads('!py![')


class TestOptions(BuildoutTestCase):
  """Options in profiles and in recipes."""

  def test_profile_holds_values_that_are_no_strings(self):
    self.part('value = !py!%s' % dumps(VALUE)[4:])
    self.assertEqual(self.seen(), VALUE)

  def test_dumps_of_jinja2_round_trips_through_a_rendered_profile(self):
    self.write('template.cfg.in', '''
      [buildout]
      parts = p
      [p]
      recipe = recorder
      output = ${buildout:directory}/p
      value = {{ dumps(value) }}
      ''')
    self.write('render.cfg', '''
      [buildout]
      parts = render
      installed = .render.cfg
      [source]
      value = %s
      [render]
      recipe = slapos.recipe.template:jinja2
      url = ${buildout:directory}/template.cfg.in
      output = ${buildout:directory}/buildout.cfg
      context = key value source:value
      ''' % dumps(VALUE))
    self.buildout(None, '-c', 'render.cfg')
    self.buildout()
    self.assertEqual(self.seen(), VALUE)

  def test_reference_as_whole_value_keeps_the_type(self):
    self.part('value = ${other:list}', '''
      [other]
      list = !py![1, None]
      ''')
    self.assertEqual(self.seen(), [1, None])

  def test_reference_keeps_the_type_over_several_steps(self):
    self.part('value = ${a:x}', '''
      [a]
      x = ${b:x}
      [b]
      x = !py!{'k': None}
      ''')
    self.assertEqual(self.seen(), {'k': None})

  def test_reference_within_a_longer_value_gives_text(self):
    self.part('value = <${other:x}> <${other:y}>', '''
      [other]
      x = !py![1]
      y = text
      ''')
    self.assertEqual(self.seen(), '<!py![1]> <text>')

  def test_none_is_a_value(self):
    self.part('value = ${other:x}', '''
      [other]
      x = !py!None
      ''')
    self.assertIsNone(self.seen())

  def test_missing_option_is_still_an_error(self):
    self.write('buildout.cfg', '''
      [buildout]
      parts = p
      [p]
      recipe = recorder
      value = ${p:absent}
      ''')
    self.assertIn('Referenced option does not exist',
                  self.buildout(status=1))

  def test_recipe_sets_values_that_others_refer_to(self):
    self.buildout('''
      [buildout]
      parts = p
      [maker]
      recipe = recorder
      output = ${buildout:directory}/maker
      code = options['made'] = {'a': [None, '$$$$', '$${b:c}']}
      [p]
      recipe = recorder
      output = ${buildout:directory}/p
      value = ${maker:made}
      ''')
    self.assertEqual(self.seen(), {'a': [None, '$$', '${b:c}']})

  def test_string_that_looks_like_a_value_stays_a_string(self):
    self.part("code = options['value'] = '!py![1]'")
    self.assertEqual(self.seen(), '!py![1]')

  def test_section_that_a_recipe_adds_may_hold_values(self):
    self.part('''
      code =
        buildout['new'] = {'x': [1]}
        options['value'] = buildout['new']['x']
      ''')
    self.assertEqual(self.seen(), [1])

  def test_section_can_be_dumped_as_switch_softwaretype_does(self):
    self.part('''
      x = !py![1]
      code =
        from zc.buildout.buildout import dumps, loads
        options['value'] = loads(dumps(buildout['s']))
      ''', '''
      [s]
      x = !py![1]
      y = $$
      ''')
    self.assertEqual(self.seen(), {'x': [1], 'y': '$'})

  def test_two_dollars_stand_for_one(self):
    self.part('value = $${x:y} a$b $$(c) ${p:other}\nother = $$d')
    self.assertEqual(self.seen(), '${x:y} a$b $(c) $d')

  def test_bad_literal_is_named(self):
    self.write('buildout.cfg', '''
      [buildout]
      parts = p
      [p]
      recipe = recorder
      value = !py![
      output = ${buildout:directory}/p
      ''')
    self.assertIn('[p] value:', self.buildout(status=1))

  def test_sub_without_seen_gives_final_text(self):
    self.write('template', 'x=${s:x} $${kept} $ ${s:y} ${s:list}')
    self.buildout('''
      [buildout]
      parts = t
      [s]
      x = 1$$2
      y = $${a:b}
      list = !py![1]
      [t]
      recipe = slapos.recipe.template
      url = ${buildout:directory}/template
      output = ${buildout:directory}/rendered
      ''')
    self.assertEqual((self.folder / 'rendered').read_text(),
                     'x=1$2 ${kept} $ ${a:b} !py![1]')
