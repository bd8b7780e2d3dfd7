"""HTTP requests to the other members of a tree, each within a time limit."""
import asyncio

from tornado import httpclient, iostream, simple_httpclient

_LARGEST_ANSWER = 4 << 20
# tornado's code for: there was no answer.
_NO_ANSWER = 599


class Refused(OSError):
  """The answer has the HTTP status `code`, which is no success."""

  def __init__(self, code, reason):
    super().__init__('HTTP status %d: %s' % (code, reason))
    self.code = code


def ask(url, timeout, method='GET', body=None, headers=(), trusted=True):
  """Return (headers, body) of the answer of `url`.

  timeout: seconds for all of it: who sends a byte from time to time must not
    hold up a takeover.
  trusted: whether the certificate of an HTTPS server has to be good.

  Raises OSError, also if what answers there is no HTTP server; Refused;
  ValueError.
  """
  request = httpclient.HTTPRequest(
    url, method, dict(headers), body, connect_timeout=timeout,
    request_timeout=timeout, follow_redirects=False, decompress_response=False,
    validate_cert=trusted)

  async def fetch():
    # No proxy: the peers are addressed directly, whatever the environment says.
    client = simple_httpclient.SimpleAsyncHTTPClient(
      force_instance=True, max_body_size=_LARGEST_ANSWER)
    try:
      return await client.fetch(request)
    finally:
      client.close()

  try:
    answer = asyncio.run(fetch())
  except httpclient.HTTPError as error:
    if error.code != _NO_ANSWER:
      raise Refused(error.code, error.message) from error
    raise OSError('no answer: %s' % error.message) from error
  except iostream.UnsatisfiableReadError as error:
    raise OSError('no answer: no HTTP server sends such') from error
  return answer.headers, answer.body
