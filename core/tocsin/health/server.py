"""A small HTTP server for those who ask how the hub is: few at a time, not for long, and nothing but reading."""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from tocsin.clock import Clock
from tocsin.errors import TocsinError
from tocsin.masked import logger
from tocsin.settings.listening import Address, address_of
from tocsin.threads import REMEDY, Begin

_log = logger("tocsin.health")

AT_ONCE = 8
"""How many are answered at the same time; who comes beyond that is turned away."""
PATIENCE = 10.0
"""Seconds in all for one who asks, from connecting to the last byte."""

_SILENCE = 5.0  # seconds without a byte
_LOOK_EVERY = 0.1
_PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody who asks is told."""

    status: int
    body: bytes
    type: str = _PLAIN

    @classmethod
    def text(cls, status: int, text: str) -> Answer:
        """A line of text."""
        return cls(status, f"{text}\n".encode())


Pages = Mapping[str, Callable[[str], Answer]]
"""What is answered on each path, given the types of content that are accepted."""


class Server:
    """Answers GET requests at one address, on threads of its own."""

    def __init__(
        self,
        address: Address,
        pages: Pages,
        clock: Clock,
        *,
        remote: bool = False,
        begin: Begin = threading.Thread.start,
    ) -> None:
        self._wanted = address
        self._begin = begin
        self._pages = pages
        self._clock = clock
        self._remote = remote
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> Address:
        """Where it listens: with the real port, once it was started."""
        if self._server is None:
            return self._wanted
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def start(self) -> None:
        """Begin to answer. Raises TocsinError where the address, or a thread, cannot be had."""
        try:
            family, place = _resolved(self._wanted, remote=self._remote)
            self._server = _Server(family, place, self._pages, self._clock, remote=self._remote)
        except OSError as error:
            raise TocsinError(
                f"[hub] listen = '{self._wanted}' cannot be had: {error.strerror or error}; "
                "is another hub there? Write another port, or leave it out"
            ) from error
        serve = self._server.serve_forever
        thread = threading.Thread(target=serve, args=(_LOOK_EVERY,), name="tocsin-health", daemon=True)
        try:
            self._begin(thread)
        except RuntimeError as error:
            self._server.server_close()
            self._server = None
            raise TocsinError(f"[hub] listen = '{self._wanted}' cannot be answered: {error}; {REMEDY}") from error
        self._thread = thread

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


def _resolved(address: Address, *, remote: bool) -> tuple[socket.AddressFamily, Any]:
    """Where to listen. Raises OSError where the name of the address is none, or one that others can reach."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, place in found:
        if remote or Address(str(place[0]), address.port).is_loopback:
            return family, place
    raise OSError(None, "it can be reached from other machines")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, family: socket.AddressFamily, place: Any, pages: Pages, clock: Clock, *, remote: bool) -> None:
        self.address_family = family
        self.pages = pages
        self.remote = remote
        self._clock = clock
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._asking: dict[socket.socket, float] = {}
        super().__init__(place, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, if there is one."""
        if not self._places.acquire(blocking=False):
            _turn_away(request)
            self.shutdown_request(request)
            return
        self._asking[request] = self._clock.monotonic() + PATIENCE
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._done(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._done(request)

    def _done(self, request: Any) -> None:
        self._asking.pop(request, None)
        self._places.release()

    def service_actions(self) -> None:
        """Hang up on those who take too long: a byte now and then would keep a thread for ever."""
        now = self._clock.monotonic()
        for request, until in [*self._asking.items()]:
            if now >= until:
                self._asking.pop(request, None)
                _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say nothing on stderr of somebody who went away."""
        _log.debug("a request for the state of the hub failed", exc_info=True)


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone by itself


def _turn_away(request: socket.socket) -> None:
    try:
        request.setblocking(False)
        request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE

    def parse_request(self) -> bool:
        """Read the head of a request; only GET, and of this machine only what names it, is gone on with."""
        if not super().parse_request():
            return False
        if self.command != "GET":
            self._send(Answer.text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET"), {"Allow": "GET"})
            return False
        if not self.server.remote and not _names_this_machine(self.headers.get("Host", "")):
            self._send(Answer.text(HTTPStatus.MISDIRECTED_REQUEST, "ask for 127.0.0.1 or localhost"))
            return False
        return True

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0].partition("#")[0]
        page = self.server.pages.get(path)
        if page is None:
            there = " and ".join(self.server.pages)
            self._send(Answer.text(HTTPStatus.NOT_FOUND, f"there is nothing here; see {there}"))
            return
        try:
            answer = page(self.headers.get("Accept", ""))
        except Exception:
            _log.exception("'%s' could not be answered", path)
            answer = Answer.text(HTTPStatus.INTERNAL_SERVER_ERROR, "it cannot be told; the log of the hub says why")
        self._send(answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse a request without repeating any of it."""
        try:
            phrase = HTTPStatus(code).phrase
        except ValueError:
            phrase = "refused"
        self._send(Answer.text(code, phrase))

    def _send(self, answer: Answer, headers: Mapping[str, str] | None = None) -> None:
        self.close_connection = True
        if self.request_version == "HTTP/0.9":  # which has no heads
            self.wfile.write(answer.body)
            return
        self.send_response(answer.status)
        told = {
            "Content-Type": answer.type,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
        }
        for name, value in {**told, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def version_string(self) -> str:
        """Who answers; which version is nobody's business."""
        return "tocsin"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (as of BaseHTTPRequestHandler)
        """Keep requests to those who want to see everything."""
        _log.debug(format, *args)


def _names_this_machine(host: str) -> bool:
    """Whether a request is meant for this machine: a page in a browser may have been led here by another name.

    >>> [_names_this_machine(host) for host in ("localhost:9464", "127.0.0.1", "[::1]:80", "", "evil.example:9464")]
    [True, True, True, True, False]
    """
    if not host:
        return True
    bare = host.strip("[]")
    try:
        return bool(ipaddress.ip_address(bare).is_loopback)
    except ValueError:
        pass
    try:
        return address_of(host if ":" in host else f"{host}:0").is_loopback
    except ValueError:
        return False
