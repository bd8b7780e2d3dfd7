"""The services of the stories: how to write and read what is replicated."""
import json
import re
import urllib.parse

from .node import fetch


class Records:
  """The payload: records over HTTP."""

  @staticmethod
  def _url(node, key):
    return node.parameters['url'] + 'records/' + urllib.parse.quote(key)

  @classmethod
  def write(cls, node, key, value):
    """Write a record; return the status of the answer."""
    return fetch(cls._url(node, key), 'PUT', value)[0]

  @classmethod
  def delete(cls, node, key):
    """Delete a record; return the status of the answer."""
    return fetch(cls._url(node, key), 'DELETE')[0]

  @classmethod
  def records(cls, node):
    """Return {key: value}."""
    status, text = fetch(node.parameters['url'] + 'records')
    assert status == 200, (status, text)
    return {record['key']: record['value'] for record in json.loads(text)}


class Files:
  """The service of test/foreign: files that a web server shows."""

  @staticmethod
  def write(node, key, value):
    """Write file `key`, as a user of the folder does."""
    folder, = node.path.glob('*/mysoftware')
    (folder / key).write_text(value, encoding='utf-8')

  @staticmethod
  def delete(node, key):
    """Delete file `key`."""
    folder, = node.path.glob('*/mysoftware')
    (folder / key).unlink()

  @staticmethod
  def records(node):
    """Return {name: text} of what the web server shows."""
    url = node.parameters['url']
    status, page = fetch(url)
    assert status == 200, (status, page)
    return {urllib.parse.unquote(name): fetch(url + name)[1]
            for name in re.findall('href="([^"]+)"', page)}
