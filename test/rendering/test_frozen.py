"""A frozen leader, made by the real buildout."""
import unittest

from . import test_profiles
from .macros import ROOT


class FrozenTest(test_profiles.ProfileCase):
  """Its log and its bin/takeover."""

  def test_they_are_there_although_its_seal_is_damaged(self):
    profile = '[buildout]\nextends = %s\n' % (ROOT / 'switchsoftware.cfg')
    state = self.partition / 'srv/resilient'
    state.mkdir(parents=True)
    for seal, name, said in (
        ('{', 'unknown', 'none'), ('{"epoch": 3}', 'unknown', 'none'),
        ('[1]', 'unknown', 'none'), ('7', 'unknown', 'none'),
        ('{"epoch": 3, "sequence": 7, "name": "it"}', 'it',
         'generation 3.7')):
      with self.subTest(seal):
        (state / 'sealed.json').write_text(seal)
        self.install(profile)
        self.assertIn('Last backup of this instance: ' + said, (
          self.partition / 'var/log/frozen.log').read_text())
        self.assertTrue((self.partition / 'bin/takeover').exists())
        self.assertEqual(str(self.partition / 'srv/backup' / name),
                         self.configuration()['dump-directory'])


if __name__ == '__main__':
  unittest.main()
