"""A service on loopback, in a process of its own, that reads requests and says when it had read each.

As a script it is that process: `sink.py DELAY`, with the port on its first line of output, and then for each request
the moment, as nanoseconds of the monotonic clock, in eight bytes.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_MOMENT = struct.Struct("<q")
_PATIENCE = 30.0


class Sink:
    """The process, as a context manager. It answers each request after `delay` seconds."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._delay)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.port = int(self._line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # which ends it
        self._process.stdout.close()
        self._process.wait(20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def moment(self) -> int:
        """When the next request that nobody asked about yet had been read. Raises TimeoutError if none comes."""
        return int(_MOMENT.unpack(self._read(_MOMENT.size))[0])

    def skip(self, count: int) -> None:
        """Wait for so many requests."""
        for _ in range(count):
            self.moment()

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._read(1)
        return line

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found, pipe = b"", self._process.stdout.fileno()
        while len(found) < size:
            if not select.select([pipe], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"no request came in {_PATIENCE:.0f} s")
            some = os.read(pipe, size - len(found))
            if not some:
                raise EOFError("the sink has ended")
            found += some
        return found


def _serve(connection: socket.socket, delay: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    with connection, suppress(ConnectionError):  # a client that is killed does not say goodbye
        while True:
            while b"\r\n\r\n" not in pending:
                some = connection.recv(65536)
                if not some:
                    return
                pending += some
            head, _, rest = pending.partition(b"\r\n\r\n")
            length = _length(head)
            while len(rest) < length:
                rest += connection.recv(65536)
            pending = rest[length:]
            os.write(1, _MOMENT.pack(time.monotonic_ns()))
            if delay:
                time.sleep(delay)
            connection.sendall(_ANSWER)


def _length(head: bytes) -> int:
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


def _accept(listener: socket.socket, delay: float) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, delay), daemon=True).start()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    os.write(1, f"{listener.getsockname()[1]}\n".encode())
    threading.Thread(target=_accept, args=(listener, float(sys.argv[1])), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
