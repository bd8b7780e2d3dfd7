"""Atom feeds (RFC 4287) of the runs of tasks, for feed readers and monitors.

Each run is one entry.  What a program wants to know of it is in categories:
their schemes are ``urn:x-resilient:`` and ``outcome``, ``task``,
``generation`` or ``duration`` (seconds).
"""
import datetime
import uuid

from lxml import etree

_ATOM = 'http://www.w3.org/2005/Atom'
_SCHEME = 'urn:x-resilient:'
_MAXIMUM = 50
_MAXIMUM_BYTES = 256 << 10
# The log has it whole.
_MAXIMUM_MESSAGE = 1000
CONTENT_TYPE = 'application/atom+xml; charset=utf-8'


def _printable(text):
  # XML has no place for most control characters.
  return ''.join(
    character if character.isprintable() or character in '\n\t' else '\ufffd'
    for character in text)


def _element(parent, name, text=None, **attributes):
  element = etree.SubElement(parent, '{%s}%s' % (_ATOM, name), {
    key: _printable(value) for key, value in attributes.items()})
  element.text = None if text is None else _printable(text)
  return element


def _date(moment):
  # Years that have a date, whatever a clock said.
  moment = min(max(moment, 0), 1e11)
  return datetime.datetime.fromtimestamp(
    moment, datetime.timezone.utc).isoformat(timespec='seconds')


def _identity(instance, task):
  return uuid.uuid5(uuid.NAMESPACE_URL, '%s/%s' % (instance, task))


def _text(run, outcome):
  message = run.message
  if len(message) > _MAXIMUM_MESSAGE:
    message = message[:_MAXIMUM_MESSAGE] + ' … (the log has all of it)'
  return '%s (%.1f s)%s' % (
    outcome, run.duration, message and ': ' + message)


def _entry(feed, instance, run, url):
  outcome = 'OK' if run.success else 'FAILURE'
  # The same in every feed that has this run; the time tells it from one of the
  # same number in a queue that was lost.
  identity = uuid.uuid5(
    _identity(instance, run.task), '%d %r' % (run.number, run.started))
  entry = _element(feed, 'entry')
  _element(entry, 'id', identity.urn)
  _element(entry, 'title', '%s: %s%s' % (
    outcome, run.task, run.generation and ' of generation ' + run.generation))
  ended = _date(run.started + run.duration)
  _element(entry, 'published', ended)
  _element(entry, 'updated', ended)
  for name, value in (
      ('outcome', outcome), ('task', run.task),
      ('generation', run.generation), ('duration', '%.3f' % run.duration)):
    if value:
      _element(entry, 'category', scheme=_SCHEME + name, term=value)
  _element(entry, 'link', rel='alternate', href=url)
  _element(entry, 'content', _text(run, outcome), type='text')
  return entry


def atom(url, instance, runs, since, task=None, feeds=()):
  """Return a feed, as bytes: at most 50 entries and 256 KiB.

  url: where it is served.  instance: unique name of the partition.
  runs: task_store.Run, newest first.
  since: when there could have been runs, in seconds since 1970-01-01 UTC.
  task: the one that `runs` are of; None for all of the partition.
  feeds: {task: URL of its feed}.
  """
  feed = etree.Element('{%s}feed' % _ATOM, nsmap={None: _ATOM})
  _element(feed, 'id', _identity(instance, task or '').urn)
  _element(feed, 'title', '%s on %s' % (task or 'all tasks', instance))
  _element(feed, 'updated', _date(
    runs[0].started + runs[0].duration if runs else since))
  _element(_element(feed, 'author'), 'name', instance)
  _element(feed, 'link', rel='self', type='application/atom+xml', href=url)
  for name, address in dict(feeds).items():
    _element(feed, 'link', rel='related', type='application/atom+xml',
             href=address, title=name)
  size = 0
  for run in runs[:_MAXIMUM]:
    entry = _entry(feed, instance, run, dict(feeds).get(run.task, url))
    size += len(etree.tostring(entry, encoding='utf-8'))
    if size > _MAXIMUM_BYTES - 8192:
      feed.remove(entry)
      break
  return etree.tostring(feed, xml_declaration=True, encoding='utf-8')
