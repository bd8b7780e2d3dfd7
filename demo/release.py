"""The release as a node sees it: files behind a URL.

Each content has a folder, thus a URL, of its own: buildout keeps profiles that
it fetched, and a changed file at an old URL would not be seen.
"""
import configparser
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

from .processes import environment
from .show import Failure

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PINS = 'buildout.hash.cfg'
_PATIENCE = 15


def pins(folder=PROJECT):
  """Return {path: md5} of what the folder's buildout.hash.cfg pins."""
  parser = configparser.ConfigParser(interpolation=None)
  parser.read_string((folder / PINS).read_text())
  return {
    section.get('_update_hash_filename_') or section['filename']:
    section['md5sum'] for name, section in parser.items()
    if name != parser.default_section}


def content(project=PROJECT, folders=()):
  """Return {path: bytes} of the files that a release is made of.

  folders: names of folders of the project with releases that extend it.
  Raises Failure if one is missing, or is not what is pinned.
  """
  paths = {str(path.relative_to(project))
           for path in project.glob('component/**/*')
           if path.is_file() and '__pycache__' not in path.parts}
  pinned = {}
  for folder in (project, *map(project.joinpath, folders)):
    paths |= {str(path.relative_to(project)) for path in (
      *folder.glob('*.cfg'), *folder.glob('*.json'))}
    pinned.update({
      str((folder / path).relative_to(project)): md5
      for path, md5 in pins(folder).items()})
  files = {}
  for path in sorted(paths | pinned.keys()):
    try:
      files[path] = (project / path).read_bytes()
    except OSError as error:
      raise Failure('%s is pinned in %s and cannot be read (%s): run make hash'
                    % (path, PINS, error.strerror)) from error
    if path in pinned and hashlib.md5(files[path]).hexdigest() != pinned[path]:
      raise Failure('%s is not what %s pins: run make hash' % (path, PINS))
  return files


def revision(files):
  """Return the name of a content, {path: bytes}: equal for equal content."""
  digest = hashlib.sha256()
  for path, data in sorted(files.items()):
    digest.update(b'%s\0%d\0' % (os.fsencode(path), len(data)))
    digest.update(data)
  return digest.hexdigest()[:12]


def write(files, directory):
  """Write a content, {path: bytes}, to a folder of its own in `directory`.

  Returns the folder's name.  One that is there already is complete.
  """
  name = revision(files)
  target = directory / name
  if not target.exists():
    temporary = directory / (name + '.new')
    shutil.rmtree(temporary, ignore_errors=True)
    for path, data in files.items():
      (temporary / path).parent.mkdir(parents=True, exist_ok=True)
      (temporary / path).write_bytes(data)
    temporary.rename(target)
  return name


def _fetch(url):
  # No proxy: this is the loopback, whatever the environment says.
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  with opener.open(url, timeout=5) as answer:
    return answer.read()


def _serves(url, expected):
  try:
    return _fetch(url) == expected
  except urllib.error.HTTPError as error:
    raise Failure('%s: %s; something else uses the port: use others,'
                  ' RESILIENT_PORT=N make demo' % (url, error)) from error
  except OSError:
    return False


def serve(directory, name, ip, port, node, log):
  """See to it that `directory` is served at [ip]:port, read-only, for ever.

  Returns the URL of the software of revision `name`.

  node: folder of the node that the server belongs to.  log: its log.
  Raises Failure if it does not answer.
  """
  url = 'http://[%s]:%d/%s/software.cfg' % (ip, port, name)
  expected = (directory / name / 'software.cfg').read_bytes()
  if _serves(url, expected):
    return url
  with open(log, 'ab') as output:
    process = subprocess.Popen(
      [sys.executable, '-m', 'http.server', '--bind', ip, '--directory',
       str(directory), str(port)], stdin=subprocess.DEVNULL, stdout=output,
      stderr=subprocess.STDOUT, env=environment(node), start_new_session=True)
  end = time.monotonic() + _PATIENCE
  while not _serves(url, expected):
    if process.poll() is not None or time.monotonic() > end:
      raise Failure('the server of the release does not answer at ' + url, log)
    time.sleep(0.1)
  process.returncode = 0  # It outlives us: nobody is to wait for it.
  return url
