"""Where the instances of a service go: the parameters ``-sla-...``."""
import unittest

from .macros import replicate

# The example of the interface.
_SLA = {
  '-sla-1-computer_guid': 'COMP-GRP1', '-sla-pbs1-computer_guid': 'COMP-PBS1',
  '-sla-2-computer_guid': 'COMP-GRP2', '-sla-2-network_guid': 'NET-2',
  '-sla-runner0-computer_guid': 'COMP-RUN0',
  '-sla-runner2-computer_guid': 'COMP-RUN2',
}


class TestPlaces(unittest.TestCase):
  """The -sla- parameters."""

  def places(self, name, parameters):
    """Return where instance `name` of service ``runner`` has to be."""
    section, = (
      section for section in replicate(
        '"runner", "3", "export", "import", slapparameter_dict=given',
        given=parameters).values() if section.get('name') == name)
    return {key[4:]: value for key, value in section.items()
            if key.startswith('sla-')}

  def assertPlaces(self, expected, parameters):
    """Each instance has to be there: {name: {criterion: value}}; the others go
    anywhere."""
    for name in ('runner0', 'runner1', 'runner2', 'PBS (runner / 1)',
                 'PBS (runner / 2)'):
      wanted = expected.get(name, {'mode': 'unique_by_network'})
      with self.subTest(parameters, name=name):
        self.assertEqual(wanted, self.places(name, parameters))

  def test_the_example_of_the_interface(self):
    self.assertPlaces({
      'runner0': {'computer_guid': 'COMP-RUN0'},
      'runner1': {'computer_guid': 'COMP-GRP1'},
      'runner2': {'computer_guid': 'COMP-RUN2', 'network_guid': 'NET-2'},
      'PBS (runner / 1)': {'computer_guid': 'COMP-PBS1'},
      'PBS (runner / 2)': {
        'computer_guid': 'COMP-GRP2', 'network_guid': 'NET-2'}}, _SLA)

  def test_precedence(self):
    a, b = {'c': 'A'}, {'c': 'B'}
    for parameters, expected in (
        # Nothing given: anywhere, in networks that differ.
        ({}, {}),
        ({'colour': 'blue'}, {}),
        # By number: the leader alone for 0, clone and PBS for others.
        ({'-sla-0-c': 'A'}, {'runner0': a}),
        ({'-sla-1-c': 'A'}, {'runner1': a, 'PBS (runner / 1)': a}),
        # By name: one instance.
        ({'-sla-runner0-c': 'A'}, {'runner0': a}),
        ({'-sla-runner1-c': 'A'}, {'runner1': a}),
        ({'-sla-pbs1-c': 'A'}, {'PBS (runner / 1)': a}),
        # The name is more precise, whatever comes first.
        ({'-sla-1-c': 'A', '-sla-runner1-c': 'B'},
         {'runner1': b, 'PBS (runner / 1)': a}),
        ({'-sla-runner1-c': 'B', '-sla-1-c': 'A'},
         {'runner1': b, 'PBS (runner / 1)': a}),
        ({'-sla-1-c': 'A', '-sla-pbs1-c': 'B'},
         {'runner1': a, 'PBS (runner / 1)': b}),
        ({'-sla-0-c': 'A', '-sla-runner0-c': 'B'}, {'runner0': b}),
        # For each criterion alone: others by number stay.
        ({'-sla-1-c': 'A', '-sla-1-d': 'D', '-sla-runner1-c': 'B'},
         {'runner1': {'c': 'B', 'd': 'D'},
          'PBS (runner / 1)': {'c': 'A', 'd': 'D'}}),
        ({'-sla-1-c': 'A', '-sla-runner1-d': 'D'},
         {'runner1': {'c': 'A', 'd': 'D'}, 'PBS (runner / 1)': a}),
        # A criterion may have dashes; no number is the beginning of another.
        ({'-sla-1-c-d': 'A'}, dict.fromkeys(
          ('runner1', 'PBS (runner / 1)'), {'c-d': 'A'})),
        ({'-sla-10-c': 'A', '-sla-runner11-c': 'A', '-sla-pbs12-c': 'A'}, {}),
        # A mode of the user replaces the default one.
        ({'-sla-1-mode': 'A'}, dict.fromkeys(
          ('runner1', 'PBS (runner / 1)'), {'mode': 'A'}))):
      self.assertPlaces(expected, parameters)


if __name__ == '__main__':
  unittest.main()
