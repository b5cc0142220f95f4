"""A server on loopback that does to its clients whatever a test has it do, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, sock: socket.socket, server: HostileServer) -> None:
        self._sock = sock
        self._server = server

    def request(self) -> bytes:
        """One request read whole, by its `Content-Length`."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.read()
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.partition(b":")[::2] for line in head.lower().split(b"\r\n"))
        while len(body) < int(fields.get(b"content-length", 0)):
            body += self.read()
        self._server.count_request(head + b"\r\n\r\n" + body)
        return body

    def read(self) -> bytes:
        """Some of what comes. Raises ConnectionError when the client has hung up."""
        if not (data := self._sock.recv(65_536)):
            raise ConnectionError("the client hung up")
        return data

    def say(self, data: bytes) -> None:
        """Send `data` as it is."""
        self._sock.sendall(data)
        self._server.count_sent(len(data))

    def drip(self, data: bytes, every: float = 0.02) -> None:
        """Send `data`, again and again, a byte at a time."""
        while True:
            for byte in data:
                if self._server.closing.wait(every):
                    return
                self.say(bytes([byte]))

    def sip(self, size: int = 1000, every: float = 0.02) -> None:
        """Read what comes, `size` bytes at a time."""
        while not self._server.closing.wait(every):
            if not self._sock.recv(size):
                return

    def hang(self) -> None:
        """Say nothing until the server is closed."""
        self._server.closing.wait()

    def reset(self) -> None:
        """Break the connection off once this ends."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


Play = Callable[[Peer], None]


class HostileServer:
    """A server on loopback that plays `play` on each connection and then hangs up; over TLS with an `ssl_context`.

    >>> with HostileServer(lambda peer: peer.say(b"220 mail ready")) as server:
    ...     with socket.create_connection(("127.0.0.1", server.port)) as client:
    ...         client.recv(100)
    b'220 mail ready'
    """

    def __init__(self, play: Play, ssl_context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._ssl = ssl_context
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.closing = threading.Event()
        self.connections = 0
        self.requests: list[bytes] = []
        """Every request read whole, head and body."""
        self.sent = 0
        """How many bytes have been said."""
        self._open: dict[threading.Thread, socket.socket] = {}
        self._thread = threading.Thread(target=self._accept_all, name="hostile", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, hang up, and wait until nothing is counted any more."""
        if self.closing.is_set():
            return
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept()
        self._thread.join()
        self._listener.close()
        with self._lock:
            left = dict(self._open)
        for sock in left.values():
            with contextlib.suppress(OSError):  # shut already
                sock.shutdown(socket.SHUT_RDWR)
        for thread in left:
            thread.join()

    def count_request(self, request: bytes) -> None:
        """Keep `request`."""
        with self._lock:
            self.requests.append(request)

    def count_sent(self, size: int) -> None:
        """Add to what has been said."""
        with self._lock:
            self.sent += size

    def _accept_all(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._serve, args=(sock,), name="hostile", daemon=True)
            with self._lock:
                self.connections += 1
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._ssl:
                sock = self._ssl.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._open[threading.current_thread()] = sock
                sock.do_handshake()
            if not self.closing.is_set():
                self._play(Peer(sock, self))
        except OSError:
            pass  # the client hung up: its own affair
        finally:
            sock.close()
            with self._lock:
                self._open.pop(threading.current_thread(), None)
