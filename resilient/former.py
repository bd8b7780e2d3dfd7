"""The stack that this one replaces, as a peer during an upgrade, and what it
left in a partition.

Its leaders and clones run ``rdiff-backup server`` for every ssh connection,
whatever is asked.  Its PBS asks for nothing, and speaks to that.  It notifies
by POST of a feed to ``<url>/<number>``; the feed's id is the URL that the
receiver was given as ``on-notification``.
"""
import html
import logging
import os
import re
import time

from .durable import fsync_directory, read_note, remove, write_json

log = logging.getLogger('resilient.former')

NO_SUCH_PAGE = 404
# All that its PBS asks a leader or a clone for.
REQUEST = ''
# What its rdiff-backup says when it is spoken to in another way.
_ANSWER = re.compile('Truncated header')
_HINT = '''\
<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><id>{id}</id>\
<title>Export {label}</title><author><name>{leader}</name></author>\
<updated>{updated}</updated></feed>
'''
# In each archive of rdiff-backup.
_ARCHIVE_DATA = 'rdiff-backup-data'
_ROLES = {'pull': 'leader', 'push': 'clone'}


def describes(text):
  """Whether `text` is how a leader or a clone of the former stack answers what
  we ask."""
  return bool(_ANSWER.search(text))


def problem(peer):
  """Return the sentence on `peer`, a configuration.Peer, that `describes`."""
  role = _ROLES[peer.kind]
  return (
    'the %s [%s]:%d is of the former stack, which cannot say what it holds:'
    ' nothing is transferred until you upgrade the %s' % (
      role, peer.host, peer.port, role))


def hint(url, source, generation):
  """Return (URL, body, content type) of the hint that `generation` exists, for
  a PBS of the former stack.

  url: its notification URL.  source: what it knows the sender by.
  """
  # Its queue takes what is not later than what it ran last for done.
  body = _HINT.format(
    id=html.escape(source), label=generation.label,
    leader=html.escape(generation.leader),
    updated=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
  return ('%s/%d' % (url.rstrip('/'), time.time() * 1e6), body.encode(),
          'application/atom+xml')


def feed_names(configuration, known):
  """Return {name: task} of the names that the former stack's root instance
  gives to the feeds of a PBS.

  known: the names of the tasks that there are.
  """
  found = {}
  for shared in getattr(configuration, 'shared_instances', ()):
    task = '%s-%s' % (shared.get('type'), shared.get('name'))
    name = str(shared.get('notification-id') or '').rpartition('/')[2]
    if name and task in known:
      found[name] = task
  return found


def note_pbs(configuration, address):
  """Keep for the promise that a PBS of the former stack, at `address`, wanted
  to push; None: a present one asked since."""
  path = configuration.state('former-pbs.json')
  if address is None:
    remove(path)
  else:
    write_json(path, {'at': time.time(), 'address': address})


def pbs_problem(configuration):
  """Return a sentence on the PBS of the former stack that wanted to push, or
  ''."""
  address = read_note(configuration.state('former-pbs.json'),
                      lambda note: str(note['address']))
  return address and (
    'the PBS at %s is of the former stack, and would write over our only copy:'
    ' nothing is received until you upgrade the PBS' % address) or ''


def _is_archive(path):
  return os.path.isdir(os.path.join(path, _ARCHIVE_DATA))


def inherit_archive(configuration, name):
  """Let archive `name` go on with the one that the former stack's PBS made for
  the same service, if there is exactly one.  It was named
  ``<computer>-<partition>-<name>-<number>``.

  May be killed and run again at any point.  Raises OSError.
  """
  folder = configuration.archive_directory
  target = os.path.join(folder, name)
  if _is_archive(target) or not os.path.isdir(folder):
    return
  in_use = {shared.get('name') for shared in configuration.shared_instances}
  pattern = re.compile(r'.+-%s-\d+' % re.escape(name))
  found = [other for other in sorted(os.listdir(folder))
           if pattern.fullmatch(other) and other not in in_use
           and _is_archive(os.path.join(folder, other))]
  if len(found) != 1:
    if found:
      log.warning('%s: several archives of the former stack could be its'
                  ' history, so it begins anew beside them: %s', name,
                  ', '.join(found))
    return
  former, = found
  # The index first: run again, the archive is still to be found.
  index = configuration.state('archive-%s.json' % former)
  if os.path.exists(index):
    os.rename(index, configuration.state('archive-%s.json' % name))
  # An empty folder may be there already.
  os.rename(os.path.join(folder, former), target)
  fsync_directory(folder)
  log.info('%s: goes on with the archive that was %s', name, former)
