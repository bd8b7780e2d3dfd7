"""What the tables of README.rst say of the macros and profiles is so."""
import re
import unittest

from .macros import replicate, ROOT

_README = (ROOT / 'README.rst').read_text('utf-8')


def table(title):
  """Return the rows of the last table below `title`, each a list of the texts
  of its columns."""
  text = _README.split('\n%s\n%s\n' % (title, '=' * len(title)))[1]
  text = re.split(r'\n[^\n]+\n=+\n(?=\n)', text)[0]
  text = text.split('\nMore clones')[0]
  ruler = re.findall(r'(?m)^=+(?:  +=+)+$', text)[-1]
  body = text.split(ruler)[-2]
  columns = [match.span() for match in re.finditer('=+', ruler)]
  rows = []
  for line in filter(None, body.splitlines()):
    cells = [line[start:end if end < columns[-1][1] else None].strip()
             for start, end in columns]
    if cells[0]:
      rows.append(cells)
    else:
      rows[-1] = [' '.join(filter(None, pair)) for pair in zip(rows[-1], cells)]
  return rows


def names(cell):
  """Return the set of what is marked as literal in a cell."""
  return set(re.findall('``(.*?)``', cell))


def published_by(profile):
  """Return the names that a profile publishes, without those that it
  extends."""
  text = (ROOT / profile).read_text('utf-8')
  section, = re.findall(
    r'(?ms)^\[resilient-publish-connection-parameter\]\n(.*?)(?=^\[|\Z)', text)
  return set(re.findall(r'(?m)^([a-z-]+) =', section)) - {'recipe'}


class TestTables(unittest.TestCase):
  """Tables of README.rst."""

  def test_the_example_of_the_places(self):
    given = dict(re.findall(r'(?m)^  (-sla-\S+) = (\S+)$', _README))
    self.assertEqual(6, len(given))
    sections = replicate(
      '"runner", 3, "export", "import", slapparameter_dict=given',
      given=given)
    found = {section['name']: section for section in sections.values()
             if 'name' in section}
    rows = table('Places of the instances')
    self.assertEqual(5, len(rows))
    for instance, computer, network in rows:
      section = found[instance.strip('`')]
      self.assertEqual(computer, section['sla-computer_guid'])
      self.assertEqual(network, section.get('sla-network_guid', ''))

  def test_the_values_that_are_published(self):
    rows = dict(table('Published values'))
    root = replicate('"name", 2, "export", "import"')[
      'publish-connection-information']
    self.assertEqual(
      {name.replace('-name-1-', '-<name>-<number>-') for name in root}
      - {'recipe'}, names(rows['root']))
    common = published_by('pbsready.cfg.in')
    for role, profile in (('leader', 'pbsready-export.cfg.in'),
                          ('clone', 'pbsready-import.cfg.in')):
      self.assertEqual(common | published_by(profile), names(rows[role]), role)
    self.assertEqual(
      published_by('instance-pull-backup.cfg.in'), names(rows['PBS']))


if __name__ == '__main__':
  unittest.main()
