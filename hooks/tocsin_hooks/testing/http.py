"""What an HTTP channel meets in its tests: a real server on loopback that answers as told, or not at all."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Received:
    """One request, as it came in. `headers` are found whatever their case; `target` is the request line's middle."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters after the question mark; of a repeated one, the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the server says to one request. A `body` of dict or list goes as JSON.

    `part` sends only that many bytes of the body and then hangs up; `byte_every` lets that many seconds pass
    between any two bytes.
    """

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    part: int | None = None
    byte_every: float = 0.0

    def content(self) -> bytes:
        """The body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def head(self) -> dict[str, str]:
        """The headers, with length and type where they were not given."""
        given = {name.lower() for name in self.headers}
        head = dict(self.headers)
        if "content-length" not in given and "transfer-encoding" not in given:
            head["Content-Length"] = str(len(self.content()))
        if "content-type" not in given and self.body:
            head["Content-Type"] = (
                "text/plain; charset=utf-8" if isinstance(self.body, bytes | str) else "application/json"
            )
        return head


class _Hang:
    """Never answers."""


class _Reset:
    """Breaks the connection off."""


Behaviour = Answer | _Hang | _Reset | Callable[[Received], Answer]


@dataclass
class _Turn:
    behaviour: Behaviour
    path: str | None
    left: int | None


class Receiver:
    """A local HTTP server, HTTPS with an `ssl_context`, as a context manager; it accepts all until told otherwise.

    Each of `answer`, `respond`, `hang`, `reset` and `drip` says what happens from now on: to every request or those
    with `path`; always, or `times` times and then again as before. Connections stay open between requests.

    >>> import urllib.request
    >>> with Receiver() as receiver:
    ...     receiver.answer(202, {"ok": True})
    ...     answer = urllib.request.urlopen(receiver.url + "/hook?x=1", b"bell").read()
    ...     answer, receiver.requests[0].body, receiver.requests[0].query
    (b'{"ok": true}', b'bell', {'x': '1'})
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._requests: list[Received] = []
        self._turns: list[_Turn] = []
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._accepted = 0
        self._changed = threading.Condition()
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self._accept_all, name="receiver", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Received]:
        """What came in so far, answered or not."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        with self._changed:
            return self._accepted

    def answer(
        self,
        status: int = 200,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        times: int | None = None,
        path: str | None = None,
    ) -> None:
        """Answer with this."""
        self._from_now_on(Answer(status, body, headers or {}), times, path)

    def respond(
        self, answer: Answer | Callable[[Received], Answer], *, times: int | None = None, path: str | None = None
    ) -> None:
        """Answer with `answer`, or with what it makes of the request."""
        self._from_now_on(answer, times, path)

    def hang(self, *, times: int | None = None, path: str | None = None) -> None:
        """Take the request and say nothing until the server is closed."""
        self._from_now_on(_Hang(), times, path)

    def reset(self, *, times: int | None = None, path: str | None = None) -> None:
        """Take the request and break the connection off."""
        self._from_now_on(_Reset(), times, path)

    def drip(
        self, body: bytes = b"." * 100_000, *, every: float = 0.02, times: int | None = None, path: str | None = None
    ) -> None:
        """Answer 200 at once, and then one byte of `body` every so many seconds."""
        self._from_now_on(Answer(200, body, byte_every=every), times, path)

    def wait(self, n: int = 1, timeout: float = 5.0) -> list[Received]:
        """The requests, once `n` of them came in. Raises TimeoutError if that takes too long."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= n, timeout):
                raise TimeoutError(f"{len(self._requests)} requests came in, not {n}")
            return list(self._requests)

    def close(self) -> None:
        """Stop listening and hang up; the port refuses connections from then on."""
        if self.closing.is_set():
            return
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept()
        self._thread.join()
        self._listener.close()
        with self._changed:
            connections = dict(self._connections)
        for connection in connections.values():
            _shut(connection)
        for thread in connections:
            thread.join()

    def _from_now_on(self, behaviour: Behaviour, times: int | None, path: str | None) -> None:
        with self._changed:
            if times is None:
                self._turns = [turn for turn in self._turns if turn.path != path]
                self._turns.append(_Turn(behaviour, path, None))
            else:
                first_standing = next((i for i, turn in enumerate(self._turns) if turn.left is None), len(self._turns))
                self._turns.insert(first_standing, _Turn(behaviour, path, times))

    def take(self, request: Received) -> Behaviour:
        """Keep `request` and return what happens to it."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            fitting = [turn for turn in self._turns if turn.path in (None, request.path)]
            fitting.sort(key=lambda turn: (turn.left is None, turn.path is None))  # stable: else in the order given
            if not fitting:
                return Answer()
            turn = fitting[0]
            if turn.left is not None:
                turn.left -= 1
                if not turn.left:
                    self._turns.remove(turn)
            return turn.behaviour

    def _accept_all(self) -> None:
        while True:
            connection, address = self._listener.accept()
            if self.closing.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), name="receiver", daemon=True)
            with self._changed:
                self._accepted += 1
                self._connections[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            if self._ssl:
                connection = self._ssl.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with self._changed:  # before anything that waits for the client, so that close() can end it
                    self._connections[threading.current_thread()] = connection
                connection.do_handshake()
            if not self.closing.is_set():
                _Handler(connection, address, self)
        except OSError:
            pass  # the client hung up, or would have none of our certificate: its own affair
        finally:
            connection.close()
            with self._changed:
                self._connections.pop(threading.current_thread(), None)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already shut
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "receiver"

    def __init__(self, connection: socket.socket, address: Any, receiver: Receiver) -> None:
        self._receiver = receiver
        super().__init__(connection, address, receiver)  # type: ignore[arg-type]  # uses no part of a server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # the base class looks for a method named after the request's
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        request = Received(self.command, self.path, self.headers, self._body())
        behaviour = self._receiver.take(request)
        if callable(behaviour):
            behaviour = behaviour(request)
        if isinstance(behaviour, Answer):
            self._say(behaviour)
            return
        self.close_connection = True
        if isinstance(behaviour, _Hang):
            self._receiver.closing.wait()
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _body(self) -> bytes:
        if "chunked" not in (self.headers["Transfer-Encoding"] or ""):
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _say(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.head().items():
            self.send_header(name, value)
        self.end_headers()
        content = answer.content()[: answer.part]
        self.close_connection = self.close_connection or answer.part is not None
        if not answer.byte_every:
            self.wfile.write(content)
            return
        for byte in content:
            if self._receiver.closing.wait(answer.byte_every):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
        """Say nothing: the requests are kept."""
