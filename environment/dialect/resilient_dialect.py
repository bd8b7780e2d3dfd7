"""What SlapOS's profiles and recipes expect of buildout beyond zc.buildout.

``repack.py`` adds this module to a stock zc.buildout and lets the end of
``zc/buildout/buildout.py`` call ``install``.  A real SlapOS node's buildout
has all this already, so there nothing of this file is present or needed.

Sections hold profile text (see ``resilient_values``); recipes see values.
"""
import collections.abc
import io
import os
import urllib.parse

from zc.buildout import UserError, easy_install
from zc.buildout.resilient_values import (
  PREFIX,
  decoded,
  dumps,
  encoded,
  loads,
  saved,
)

BASE_LOCATION = '_profile_base_location_'
MISSING = object()


class OptionsDialect:
  """Mixed into Options, one section: values at its border, text inside."""

  def get(self, option, default=None, seen=None):
    """Return an option's value.

    With ``seen``, given by substitution only, return its profile text.
    """
    text = super().get(option, MISSING, seen)
    if text is MISSING:
      return default
    return text if seen is not None else self._decoded(option, text)

  def __getitem__(self, option):
    value = self.get(option, MISSING)
    if value is MISSING:
      # Let the stock code say what lacks, in its words.
      return super().__getitem__(option)
    return value

  def __setitem__(self, option, value):
    super().__setitem__(option, encoded(value))

  def __eq__(self, other):
    """Tell whether both would be saved alike; True is not 1 then.

    By copy, because recipes replace it to keep secrets out of what is saved.
    """
    if not isinstance(other, collections.abc.Mapping):
      return NotImplemented
    theirs = other.copy() if isinstance(other, OptionsDialect) else other
    return ({option: encoded(value) for option, value in self.copy().items()}
            == {option: encoded(value) for option, value in theirs.items()})

  __hash__ = None

  def copy(self):
    """Return a dict of the values."""
    return {option: self._decoded(option, text)
            for option, text in super().copy().items()}

  def _sub(self, template, seen):
    """Return a template with its references replaced.

    With ``seen`` None the result is final, as slapos.recipe.template wants
    it; else it is profile text.
    """
    if seen is not None:
      return super()._sub(template, seen)
    pieces = self._template_split(template)
    pieces[1::2] = map(self._final, pieces[1::2])
    return ''.join(pieces)

  def _final(self, reference):
    text = super()._sub(reference, [])
    return text if text.startswith(PREFIX) else decoded(text)

  def _decoded(self, option, text):
    try:
      return decoded(text)
    except ValueError as error:
      raise UserError('[%s] %s: %s' % (self.name, option, error)) from error


class BuildoutDialect:
  """Mixed into Buildout, one run; ``_stock`` is the module it comes from."""

  def __init__(self, *args, **kw):
    super().__init__(*args, **kw)
    self._forget_local_version()

  def __setitem__(self, name, section):
    super().__setitem__(name, {
      option: value if isinstance(value, str) else dumps(value)
      for option, value in section.items()})

  def install(self, *args):
    try:
      return super().install(*args)
    finally:
      self._flush_installed()

  def _forget_local_version(self):
    """Require at least this zc.buildout without naming its local version.

    Stock buildout writes a minimum of its own version, but a local version
    ("+…") must not stand in such a comparison.
    """
    minimum = self.versions.get('zc.buildout', '')
    if minimum.startswith('>=') and '+' in minimum:
      self.versions['zc.buildout'] = minimum.partition('+')[0]
      easy_install.default_versions(self.versions)

  # .installed.cfg: one [buildout] section, never half-written.

  _installed_parts = None      # what install() holds: section name → options
  _installed_on_disk = {}      # the [buildout] section as the file has it
  _installed_is_stale = False  # only the order of parts differs in the file

  def _read_installed_part_options(self):
    parts, exists = super()._read_installed_part_options()
    self._installed_parts = parts
    self._installed_on_disk = parts['buildout'].copy() if exists else {}
    return parts, exists

  def _update_installed(self, **options):
    """Save options of the [buildout] section, in the one such section.

    A mere change of the order of parts, one for each part that is updated,
    can wait for the end of the run.
    """
    self._installed_parts['buildout'].update(options)
    if all(sorted(value.split())
           == sorted(self._installed_on_disk.get(option, '').split())
           for option, value in options.items()):
      self._installed_is_stale = True
    else:
      self._save_installed_options(self._installed_parts)

  def _save_installed_options(self, parts):
    """Replace .installed.cfg at once.  Raise OSError as any writing does."""
    path = self['buildout']['installed']
    if not path:
      return
    content = io.StringIO()
    save = self._stock._save_options
    save('buildout', parts['buildout'], content)
    for part in parts['buildout']['parts'].split():
      content.write('\n')
      save(part, parts[part], content)
    with open(path + '.new', 'w') as new:
      new.write(content.getvalue())
      new.flush()
      os.fsync(new.fileno())
    os.rename(path + '.new', path)
    self._installed_on_disk = parts['buildout'].copy()
    self._installed_is_stale = False

  def _flush_installed(self):
    if (self._installed_is_stale
        and self._installed_parts['buildout'].copy() != self._installed_on_disk
        and os.path.exists(self['buildout']['installed'])):
      self._save_installed_options(self._installed_parts)


def expose_base_location(sections, filename):
  """Add ``_profile_base_location_`` to each section of a file that uses it.

  ``sections`` are those of one file, before any merge, so that the option is
  merged and inherited like any other; ``filename`` is its path or URL.
  """
  for section in sections.values():
    if any('${:%s}' % BASE_LOCATION in text for text in section.values()):
      section[BASE_LOCATION] = filename.rpartition('/')[0]


def absolute_url(base, filename):
  """Return a profile's name, without ``..`` if it is relative to an URL.

  Without this each way that leads to a file would be another URL.
  """
  if filename.startswith('../') and '://' in base and '?' not in base:
    return urllib.parse.urljoin(base + '/', filename)
  return filename


def is_installed_copy(distribution):
  """Tell whether a distribution was installed by pip, and not for editing.

  An installer writes the version into the name of the metadata folder; a
  source tree in development has none there.
  """
  folder = getattr(distribution, 'egg_info', None) or ''
  stem, suffix = os.path.splitext(os.path.basename(folder))
  if suffix not in ('.dist-info', '.egg-info') or '-' not in stem:
    return False
  return not (distribution.has_metadata('direct_url.json') and
              '"editable"' in distribution.get_metadata('direct_url.json'))


def install(stock):
  """Put the dialect into the module zc.buildout.buildout.

  Raise AttributeError if that is not the version this was written for.
  """
  stock_annotate = stock._annotate
  stock_dists_sig = stock._dists_sig
  stock_open = stock._open
  stock_save_option = stock._save_option

  class Options(OptionsDialect, stock.Options):
    pass

  class Buildout(BuildoutDialect, stock.Buildout):
    _stock = stock

  def annotate(sections, filename):
    expose_base_location(sections, filename)
    return stock_annotate(sections, filename)

  def open_profile(base, filename, *args):
    return stock_open(base, absolute_url(base, filename), *args)

  def save_option(option, value, file):
    stock_save_option(option, saved(value), file)

  def dists_sig(distributions):
    # Stock buildout takes all that lives in a site-packages for source trees
    # in development and hashes every file there, 0.7 s in each process.
    signatures = []
    for distribution in dict.fromkeys(sorted(distributions)):
      if is_installed_copy(distribution):
        signatures.append('%s-%s' % (
          distribution.project_name, distribution.version))
      else:
        signatures += stock_dists_sig([distribution])
    return signatures

  Buildout.Options = Options
  stock.Options = Options
  stock.Buildout = Buildout
  stock._annotate = annotate
  stock._dists_sig = dists_sig
  stock._open = open_profile
  stock._save_option = save_option
  stock.dumps = dumps
  stock.loads = loads
