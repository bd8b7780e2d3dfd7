"""The macros of a root instance, as a root's template calls them."""
import configparser
import functools
import pathlib

import jinja2

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# As instances of the public tree call them.
WITH_CONTEXT = '''
{%- import 'parts' as parts %}
{%- import 'replicated' as replicated with context -%}
'''
WITHOUT_CONTEXT = '''
{%- import 'parts' as parts %}
{%- import 'replicated' as replicated -%}
'''


@functools.cache
def _environment():
  return jinja2.Environment(
    undefined=jinja2.StrictUndefined, loader=jinja2.DictLoader({
      name: (ROOT / ('template-%s.cfg.in' % name)).read_text('utf-8')
      for name in ('parts', 'replicated')}))


def render(template, imports=WITHOUT_CONTEXT, **context):
  """Return a root's template, rendered as slapos.recipe.template does it."""
  return _environment().from_string(imports + template).render(**context)


def replicate(call, **context):
  """Return {section: {option: text}} of ``replicated.replicate(<call>)``."""
  parser = configparser.ConfigParser(
    interpolation=None, delimiters=('=',), comment_prefixes=('#',), strict=True)
  parser.optionxform = str
  parser.read_string(
    render('{{ replicated.replicate(%s) }}' % call, **context))
  return {name: dict(parser[name]) for name in parser.sections()}


def parts(call):
  """Return the list of ``parts.replicate(<call>)``."""
  return render('{{ parts.replicate(%s) }}' % call).split()
