"""Files of JSON schemas, without their references."""
import json
import os


class _Reader:
  """Reads schemas, and puts what they refer to in the place of ``$ref``."""

  def __init__(self, folders):
    self._folders = folders
    self._documents = {}

  def document(self, name):
    """Return the schema file `name`, of the first folder that has it."""
    if name not in self._documents:
      paths = [os.path.join(folder, name) for folder in self._folders]
      path = next(filter(os.path.exists, paths), paths[0])
      with open(path, encoding='utf-8') as source:
        self._documents[name] = json.load(source)
    return self._documents[name]

  def _referred(self, name, reference, above):
    file, _, pointer = reference.partition('#')
    # Whatever the path: the schemas that a software fetched are in one folder.
    name = os.path.basename(file) or name
    if (name, pointer) in above:
      raise ValueError('%s: %s refers to itself' % (name, reference))
    found = self.document(name)
    for key in pointer.split('/')[1:]:
      found = found[key.replace('~1', '/').replace('~0', '~')]
    return self.inline(name, found, (*above, (name, pointer)))

  def inline(self, name, schema, above=()):
    """Return `schema`, a part of file `name`, without references.

    Raises ValueError if it refers to itself, KeyError or OSError if to
    nothing.
    """
    if isinstance(schema, list):
      return [self.inline(name, item, above) for item in schema]
    if not isinstance(schema, dict):
      return schema
    result = {key: self.inline(name, item, above)
              for key, item in schema.items() if key not in ('$ref', '$defs')}
    if '$ref' in schema:
      referred = self._referred(name, schema['$ref'], above)
      if not result:
        return referred
      result['allOf'] = [referred, *result.get('allOf', ())]
    return result


def read(path, *more):
  """Return the schema in file `path`, without references.

  more: folders of schemas that it refers to and that are not beside it.
  Raises OSError, ValueError, KeyError.
  """
  folder, name = os.path.split(path)
  reader = _Reader((folder, *more))
  return reader.inline(name, reader.document(name))


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
