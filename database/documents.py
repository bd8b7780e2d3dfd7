"""The application's files: the document root of a content.

They are the sample page at first, and then what a user's archive has.  An
archive is unpacked once: what the application changes in its files afterwards
is kept, travels with each dump, and is replaced by another archive alone.
"""
import hashlib
import os
import shutil
import tarfile
import time

import requests

from resilient.durable import exchange, fsync_directory, read_json, write_json

from .contents import DOCUMENTS, DOCUMENTS_ORIGIN, remove_tree

_DEADLINE = 300        # seconds, for the whole download
_ANSWER = 30           # seconds, for each part of it
_LARGEST = 1 << 30     # bytes
_LARGEST_UNPACKED = 4 << 30
_CHUNK = 1 << 20


class DocumentsError(Exception):
  """The archive cannot be had, or used; the message names the parameter."""


def make_sample(content, sample):
  """Let the new document root of `content` be the one page in file `sample`."""
  documents = os.path.join(content, DOCUMENTS)
  os.mkdir(documents, 0o700)
  shutil.copyfile(sample, os.path.join(documents, 'index.php'))
  write_json(os.path.join(content, DOCUMENTS_ORIGIN), {'sha256': ''})


def replace(content, url, sha256):
  """Let the document root of `content` be the archive at `url`, unless it was
  made from one with this `sha256` already.

  Raises DocumentsError, OSError; the document root is then as it was.
  """
  origin = os.path.join(content, DOCUMENTS_ORIGIN)
  if not url or (read_json(origin) or {}).get('sha256') == sha256:
    return
  documents = os.path.join(content, DOCUMENTS)
  new, archive = documents + '.new', documents + '.archive'
  remove_tree(new)
  try:
    _download(url, sha256, archive)
    os.mkdir(new, 0o700)
    _unpack(url, archive, new)
    exchange(new, documents)
    write_json(origin, {'sha256': sha256})
    fsync_directory(content)
  finally:
    remove_tree(new)
    if os.path.exists(archive):
      os.unlink(archive)


def _download(url, sha256, target):
  end = time.monotonic() + _DEADLINE
  digest, size = hashlib.sha256(), 0
  try:
    with requests.get(url, stream=True, timeout=_ANSWER) as answer, open(
        target, 'wb') as output:
      answer.raise_for_status()
      for data in answer.iter_content(_CHUNK):
        size += len(data)
        if size > _LARGEST:
          raise DocumentsError(
            'parameter document-root-url is %r, which has more than %d MiB:'
            ' make it smaller' % (url, _LARGEST >> 20))
        if time.monotonic() > end:
          raise DocumentsError(
            'parameter document-root-url is %r, which was not there after %d s:'
            ' put it on a faster server' % (url, _DEADLINE))
        digest.update(data)
        output.write(data)
  except requests.RequestException as error:
    raise DocumentsError(
      'parameter document-root-url is %r, which cannot be fetched: %s' % (
        url, error)) from error
  if digest.hexdigest() != sha256:
    raise DocumentsError(
      'parameter document-root-sha256 is %r, and what document-root-url has is'
      ' %s; the document root stays as it was' % (sha256, digest.hexdigest()))


def _stays_inside(name):
  return not name.startswith('/') and '..' not in name.split('/')


def _check(member):
  """Raise tarfile.TarError if `member` is no plain thing in the folder; let it
  be the partition's user's alone, whatever the archive says."""
  links = (member.linkname,) if member.issym() or member.islnk() else ()
  if not (member.isfile() or member.isdir() or links):
    raise tarfile.TarError('%s is no file, folder or link' % member.name)
  if not all(map(_stays_inside, (member.name, *links))):
    raise tarfile.TarError(
      '%s leads out of the folder' % ' -> '.join((member.name, *links)))
  member.mode = 0o700 if member.isdir() else 0o600


def _unpack(url, archive, target):
  try:
    with tarfile.open(archive) as source:
      # Python's own filter is not in each version of Debian.
      if hasattr(tarfile, 'data_filter'):
        source.extraction_filter = tarfile.data_filter
      members, size = [], 0
      for member in source:
        _check(member)
        size += member.size
        if size > _LARGEST_UNPACKED:
          raise DocumentsError(
            'parameter document-root-url is %r, which has more than %d MiB when'
            ' it is unpacked: make it smaller' % (url, _LARGEST_UNPACKED >> 20))
        members.append(member)
      source.extractall(target, members)
  except (tarfile.TarError, EOFError, OSError) as error:
    raise DocumentsError(
      'parameter document-root-url is %r, and must be a tar archive with'
      ' relative names: %s' % (url, error)) from error
