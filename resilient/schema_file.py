"""Files of JSON schemas, without their references."""
import json
import os


class _Reader:
  """Reads schemas, and puts what they refer to in the place of ``$ref``."""

  def __init__(self, folders):
    self._folders = folders
    self._documents = {}

  def document(self, path):
    """Return what schema file `path` holds."""
    if path not in self._documents:
      with open(path, encoding='utf-8') as source:
        self._documents[path] = json.load(source)
    return self._documents[path]

  def _path(self, path, file):
    """Return the path of `file`, as schema file `path` refers to it."""
    if not file:
      return path
    found = os.path.normpath(os.path.join(os.path.dirname(path), file))
    return next(filter(os.path.exists, (
      found, *(os.path.join(folder, os.path.basename(file))
               for folder in self._folders))), found)

  def _referred(self, path, reference, above):
    file, _, pointer = reference.partition('#')
    path = self._path(path, file)
    if (path, pointer) in above:
      raise ValueError('%s: %s refers to itself' % (path, reference))
    found = self.document(path)
    for key in pointer.split('/')[1:]:
      found = found[key.replace('~1', '/').replace('~0', '~')]
    return self.inline(path, found, (*above, (path, pointer)))

  def inline(self, path, schema, above=()):
    """Return `schema`, a part of file `path`, without references.

    Raises ValueError if it refers to itself, KeyError or OSError if to
    nothing.
    """
    if isinstance(schema, list):
      return [self.inline(path, item, above) for item in schema]
    if not isinstance(schema, dict):
      return schema
    result = {key: self.inline(path, item, above)
              for key, item in schema.items() if key not in ('$ref', '$defs')}
    if '$ref' in schema:
      referred = self._referred(path, schema['$ref'], above)
      if not result:
        return referred
      result['allOf'] = [referred, *result.get('allOf', ())]
    return result


def read(path, *more):
  """Return the schema in file `path`, without references.

  more: folders where a file that it refers to is looked for by its name, if it
  is not where the reference says: a software may fetch it to somewhere else.
  Raises OSError, ValueError, KeyError.
  """
  reader = _Reader(more)
  return reader.inline(path, reader.document(path))


def collect(schema, key, found=None):
  """Return {name: schema}: what `schema`, without references, says of each
  name under `key`.  What is said outside of what it refers to counts."""
  found = {} if found is None else found
  for name, item in schema.get(key, {}).items():
    found[name] = {**_flat(item), **found.get(name, {})}
  for part in schema.get('allOf', ()):
    collect(part, key, found)
  return found


def _flat(schema):
  if not isinstance(schema, dict):
    return {}
  result = {}
  for part in schema.get('allOf', ()):
    result.update(_flat(part))
  result.update(schema)
  return result
