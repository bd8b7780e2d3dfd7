"""Atom feeds (RFC 4287) of the runs of a task."""
import datetime
import uuid

from lxml import etree

_ATOM = 'http://www.w3.org/2005/Atom'
_MAXIMUM = 50


def _element(parent, name, text=None, **attributes):
  element = etree.SubElement(parent, '{%s}%s' % (_ATOM, name), **attributes)
  element.text = text and _printable(text)
  return element


def _date(moment):
  # Years that have a date, whatever a clock says.
  moment = min(max(moment, 0), 1e11)
  return datetime.datetime.fromtimestamp(
    moment, datetime.timezone.utc).isoformat(timespec='seconds')


def _printable(text):
  # XML has no place for most control characters.
  return ''.join(
    character if character.isprintable() or character in '\n\t' else '\ufffd'
    for character in text)


def atom(url, instance, task, runs):
  """Return the feed of `task`, as bytes.

  url: where it is served.  instance: unique name of the partition.
  runs: task_store.Run, newest first; the first 50 become entries.
  """
  runs = runs[:_MAXIMUM]
  identity = uuid.uuid5(uuid.NAMESPACE_URL, '%s/%s' % (instance, task))
  feed = etree.Element('{%s}feed' % _ATOM, nsmap={None: _ATOM})
  _element(feed, 'id', identity.urn)
  _element(feed, 'title', '%s on %s' % (task, instance))
  _element(feed, 'updated', _date(
    runs[0].started + runs[0].duration if runs else 0))
  _element(_element(feed, 'author'), 'name', instance)
  _element(feed, 'link', rel='self', href=url)
  for run in runs:
    outcome = 'OK' if run.success else 'FAILURE'
    entry = _element(feed, 'entry')
    _element(entry, 'id', uuid.uuid5(identity, str(run.number)).urn)
    _element(entry, 'title', '%s: %s%s' % (
      outcome, task, run.generation and ' of generation ' + run.generation))
    _element(entry, 'updated', _date(run.started + run.duration))
    _element(entry, 'category', term=outcome)
    _element(entry, 'summary', _printable('%s (%.1f s)%s' % (
      outcome, run.duration, run.message and ': ' + run.message)))
  return etree.tostring(
    feed, xml_declaration=True, encoding='utf-8', pretty_print=True)
