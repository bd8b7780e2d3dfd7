"""What happens to a connection between two nodes: a TCP proxy between them.

    with Proxy(port) as proxy, redirected(pbs, port, proxy.port):
      proxy.mode = 'silent'

From then on `pbs` reaches the other side through the proxy.
"""
import contextlib
import json
import socket
import struct
import threading
import time

from .node import configured

_ADDRESS = '::1'
_BLOCK = 1 << 14
# Closing with this on sends a reset, as a firewall or a dying computer does.
_RESET = struct.pack('ii', 1, 0)


class Proxy:
  """A TCP proxy to `port` of this computer, at a port of its own.

  mode: what happens to new connections: ``open``; ``refused``: nobody listens
    behind it, they are reset; ``silent``: they are accepted and nothing comes.
  limit: bytes from the other side after which a connection is reset, or None.
  held: bytes from the other side after which a connection hangs, or None.
  rate: bytes per second and connection, or None.
  flipped: which byte from the other side is changed, or None; in every
    connection that comes so far.
  connections: how many were opened.  hanging: how many of them hang.
  most: bytes from the other side in one of them.
  """

  def __init__(self, port):
    self._target = (_ADDRESS, port)
    self._forget()
    self.connections = self.hanging = self.most = 0
    self._open = []
    self._lock = threading.Lock()
    self._listener = socket.create_server(
      (_ADDRESS, 0), family=socket.AF_INET6)
    self.port = self._listener.getsockname()[1]

  def __enter__(self):
    threading.Thread(target=self._accept, daemon=True).start()
    return self

  def __exit__(self, *_):
    # A thread that waits in accept() is woken by shutdown alone.
    self._listener.shutdown(socket.SHUT_RDWR)
    self._listener.close()
    self.reset()

  def _forget(self):
    self.mode = 'open'
    self.limit = self.held = self.rate = self.flipped = None

  def heal(self):
    """Be no obstacle from now on; what hangs is cut."""
    self._forget()
    self.reset()

  def reset(self):
    """Reset all connections there are."""
    with self._lock:
      for connection in self._open:
        _cut(connection)
      self._open.clear()
    self.hanging = 0

  def _accept(self):
    while True:
      try:
        client, _ = self._listener.accept()
      except OSError:
        return
      self.connections += 1
      if self.mode == 'refused':
        _cut(client)
        continue
      with self._lock:
        self._open.append(client)
      if self.mode == 'silent':
        continue
      try:
        server = socket.create_connection(self._target)
      except OSError:
        _cut(client)
        continue
      with self._lock:
        self._open.append(server)
      for source, target, whole in ((client, server, True),
                                    (server, client, False)):
        threading.Thread(target=self._forward, args=(source, target, whole),
                         daemon=True).start()

  def _forward(self, source, target, whole):
    count = 0
    with contextlib.suppress(OSError):
      while data := source.recv(_BLOCK):
        if not whole:
          data = self._spoiled(data, count)
          count += len(data)
          self.most = max(self.most, count)
          if self.held is not None and count >= self.held:
            self.hanging += 1
            return
        target.sendall(data)
        if not whole and self.limit is not None and count >= self.limit:
          _cut(source)
          _cut(target)
          return
        if self.rate:
          time.sleep(len(data) / self.rate)
    with contextlib.suppress(OSError):
      target.shutdown(socket.SHUT_WR)

  def _spoiled(self, data, offset):
    position = (self.flipped if self.flipped is not None else -1) - offset
    if not 0 <= position < len(data):
      return data
    changed = bytearray(data)
    changed[position] ^= 0x10
    return bytes(changed)


def _cut(connection):
  with contextlib.suppress(OSError):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.shutdown(socket.SHUT_RDWR)
  with contextlib.suppress(OSError):
    connection.close()


def redirected(node, port, proxy_port):
  """While inside, `node` takes `proxy_port` for `port`, wherever its
  configuration names that of a peer."""
  values = json.loads((node.path / 'etc/resilient.json').read_text())

  def changed(value):
    if isinstance(value, list):
      return [changed(item) for item in value]
    if isinstance(value, dict):
      return {key: changed(item) for key, item in value.items()}
    return str(value).replace(']:%d/' % port, ']:%d/' % proxy_port)

  options = {name: changed(value) for name, value in values.items()
             if name in ('notify', 'shared-instances')}
  assert any(options[name] != values[name] for name in options), (
    '%r does not know port %d' % (node, port))
  return configured(node, **options)
