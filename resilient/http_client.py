"""HTTP requests to the other members of a tree."""
import http.client
import urllib.request


def ask(request, timeout, limit):
  """Return (headers, at most `limit` bytes) of the answer to `request`, an URL
  or a urllib.request.Request.

  timeout: seconds for each step of the exchange.

  Raises OSError, also if what answers there is no HTTP server; ValueError.
  """
  # No proxy: the peers are addressed directly, whatever the environment says.
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  try:
    with opener.open(request, timeout=timeout) as answer:
      return answer.headers, answer.read(limit)
  except http.client.HTTPException as error:
    raise OSError('what answers there is no HTTP server: %r' % error) from error
