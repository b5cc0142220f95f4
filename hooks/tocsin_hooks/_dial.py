"""How a connection comes about within the deadline: a name looked up, its addresses approved, one of them reached."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tocsin_hooks.http import CONNECT_TIMEOUT, Guard
from tocsin_hooks.messages import Reason, SendError

Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
Resolve = Callable[[str, int], Sequence[Found]]
_AT_ONCE = 8  # look-ups that may hang at a time, for one channel


def system_resolve(host: str, port: int) -> Sequence[Found]:
    """The addresses of `host` as the system knows them."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Lookups:
    """Looks names up on threads of their own: the system has its own idea of how long that may take.

    Who asks for a name that is being looked up already waits for the same answer, so that a name server that says
    nothing holds one thread for each name and no more than `at_once` in all.
    """

    def __init__(self, resolve: Resolve = system_resolve, at_once: int = _AT_ONCE) -> None:
        self._resolve = resolve
        self._at_once = at_once
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Future[Sequence[Found]]] = {}

    def find(self, host: str, port: int, seconds: float) -> Sequence[Found]:
        """What `host` resolves to. Raises TimeoutError after `seconds`, or when too many look-ups hang already."""
        return self._begun(host, port).result(seconds)

    def _begun(self, host: str, port: int) -> Future[Sequence[Found]]:
        with self._lock:
            if (pending := self._pending.get((host, port))) is not None:
                return pending
            if len(self._pending) >= self._at_once:
                raise TimeoutError(f"{self._at_once} look-ups are not over")
            future: Future[Sequence[Found]] = Future()
            threading.Thread(target=self._run, args=(host, port, future), name="tocsin-lookup", daemon=True).start()
            self._pending[host, port] = future
            return future

    def _run(self, host: str, port: int, future: Future[Sequence[Found]]) -> None:
        found: Sequence[Found] = ()
        failure: Exception | None = None
        try:
            found = self._resolve(host, port)
        except Exception as error:  # raised again on the threads that wait
            failure = error
        with self._lock:
            del self._pending[host, port]
        if failure is None:
            future.set_result(found)
        else:
            future.set_exception(failure)


@dataclass
class Exchange:
    """One request and its answer: until when, and what it may do. `sent`: some of the request may have gone out."""

    host: str
    ends: float
    lookups: Lookups
    guard: Guard | None = None
    sent: bool = False

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.ends

    def left(self) -> float:
        """The seconds until the deadline. Raises TimeoutError after it."""
        if (left := self.ends - time.monotonic()) <= 0:
            raise TimeoutError("the deadline of the request has passed")
        return left


def dial(
    exchange: Exchange, host: str, port: int, *, tls: bool, proxy: bool, options: Iterable[Any] | None
) -> socket.socket:
    """A socket connected to `host`, or to one of its addresses in their order; `proxy` says that it is the proxy's.

    The guard is asked about every address before any is connected to, and those very addresses are: a name that
    leads elsewhere a moment later leads nowhere. A proxy is not guarded, for the operator names it. Raises SendError.
    """
    found, literal = _found(exchange, host, port, proxy=proxy)
    if exchange.guard is not None and not proxy:
        for *_, address in found:
            if objection := exchange.guard.objection(str(address[0]), int(address[1]), tls=tls):
                text = f"no connection to '{exchange.host}': {objection}"
                raise SendError(Reason.CONFIG, text, permanent=literal)  # what a name leads to may change
    why = "it has no address"
    for family, kind, protocol, _, address in found:
        try:
            return _connected(exchange, (family, kind, protocol), address, options)
        except TimeoutError:
            why = "no answer in time"
        except OSError as error:
            why = error.strerror or type(error).__name__
        if exchange.late:
            break
    raise _unreached(exchange, why, proxy=proxy)


def _found(exchange: Exchange, host: str, port: int, *, proxy: bool) -> tuple[Sequence[Found], bool]:
    """The addresses of `host`, and whether it is one itself, in whatever spelling the system takes."""
    host = host.strip("[]")
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST), True
    except socket.gaierror:
        pass
    try:
        return exchange.lookups.find(host, port, exchange.left()), False
    except TimeoutError:
        raise _unreached(exchange, "its name is still being looked up", proxy=proxy) from None
    except OSError as error:  # gaierror among them
        raise _unreached(exchange, error.strerror or "its name cannot be looked up", proxy=proxy) from None


def _connected(exchange: Exchange, sort: tuple[Any, Any, int], address: Any, options: Any) -> socket.socket:
    sock = socket.socket(*sort)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        sock.settimeout(min(CONNECT_TIMEOUT.total_seconds(), exchange.left()))
        sock.connect(address)
        sock.settimeout(exchange.left())  # for a TLS handshake, which takes it as the limit of the whole
    except BaseException:
        sock.close()
        raise
    return sock


def _unreached(exchange: Exchange, why: str, *, proxy: bool) -> SendError:
    whom = f"the proxy on the way to '{exchange.host}'" if proxy else f"'{exchange.host}'"
    return SendError(Reason.NETWORK, f"cannot connect to {whom}: {why}")
