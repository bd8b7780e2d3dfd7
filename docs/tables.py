#!/usr/bin/env python3
"""Write the table of the parameters into README.rst, from their schema.

With --check it changes nothing, and exits 1 if the table is not up to date.
"""
import argparse
import json
import os
import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
_BEGIN = '.. The table is made by make tables, from parameter-schema.json.\n\n'
_END = '\n.. The table ends here.\n'
_WIDTHS = (36, 11, 29)
_SPACE = '\0'


def _meaning(schema):
  text = schema['description']
  allowed = [json.dumps(value).strip('"') for value in (
    schema.get('enum') or schema.get('examples') or ())]
  if allowed and schema['type'] == 'string':
    text += ' %s ``%s``.' % (
      'One of' if 'enum' in schema else 'Like', '``, ``'.join(
        # Not to be broken into lines.
        value.replace(' ', _SPACE) for value in allowed))
  if 'maximum' in schema:
    text += ' From %d to %d.' % (schema['minimum'], schema['maximum'])
  return text


def table(schema):
  """Return the table of the properties of `schema`, as reStructuredText."""
  rule = '  '.join('=' * width for width in _WIDTHS)
  lines = [rule, _row(('Parameter', 'Default', 'Meaning')), rule]
  for name, item in schema['properties'].items():
    default = item.get('default', '')
    if isinstance(default, bool):
      default = str(default).lower()
    default = default and '``%s``' % default
    cells = [cell.replace(_SPACE, ' ') for cell in textwrap.wrap(
      _meaning(item), _WIDTHS[2], break_long_words=False,
      break_on_hyphens=False, fix_sentence_endings=True)]
    lines.append(_row(('``%s``' % name, default, cells[0])))
    lines += [_row(('', '', cell)) for cell in cells[1:]]
  return '\n'.join([*lines, rule]) + '\n'


def _row(cells):
  for cell, width in zip(cells[:2], _WIDTHS):
    if len(cell) > width:
      raise ValueError('%s does not fit into a column of %d' % (cell, width))
  return '  '.join(
    cell.ljust(width) for cell, width in zip(cells, _WIDTHS)).rstrip()


def main(argv=None):
  """Run the command.  Returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--check', action='store_true', help='change nothing')
  arguments = parser.parse_args(argv)
  schema = json.loads((ROOT / 'parameter-schema.json').read_text('utf-8'))
  readme = ROOT / 'README.rst'
  text = readme.read_text('utf-8')
  before, _, rest = text.partition(_BEGIN)
  _, _, after = rest.partition(_END)
  new = ''.join((
    before, _BEGIN, table(schema['$defs']['resiliency-parameters']), _END,
    after))
  if new == text:
    return 0
  if arguments.check:
    sys.stderr.write('the table in README.rst is old: run make tables\n')
    return 1
  temporary = readme.with_name('README.rst.new')
  temporary.write_text(new, 'utf-8')
  os.replace(temporary, readme)
  return 0


if __name__ == '__main__':
  sys.exit(main())
