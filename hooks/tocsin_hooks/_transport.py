"""How a request is kept within its deadline, and which failures of the library mean what.

`requests` limits the time of each read, so that an answer of one byte a second never ends. Here the connections
themselves know the deadline. The adapter of `requests` is used without its Session, which would read the whole of a
redirect's body, keep cookies and look for credentials in `~/.netrc`; and for the settings of connections only, which
are the same for every request to an address, while making requests of it costs as much as sending them.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import check_header_validity
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProxyError, SSLError, TimeoutError as LateError
from urllib3.poolmanager import PoolManager
from urllib3.util import Timeout

from tocsin_hooks._dial import Exchange, Lookups, Resolve, dial, system_resolve
from tocsin_hooks.http import ANSWER_LIMIT, Guard, HttpAnswer, host_of, no_answer
from tocsin_hooks.messages import Reason, SendError

_exchange: ContextVar[Exchange] = ContextVar("tocsin_http_exchange")
_POOLED = 64  # connections kept open per host: more than a worker has threads
_PIECE = 64 * 1024


class _TimedReader(io.RawIOBase):
    """The reading side of a socket, each read of which ends with the deadline."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _exchange.get().left()
        with contextlib.suppress(OSError):  # closed meanwhile: what has been read ahead can still be had
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _TimedConnection(HTTPConnection):
    """A connection made by `dial`, whose every step ends with the deadline."""

    response_class = _TimedResponse
    _connecting = False
    _held: list[Any] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, head and body in one piece: two would cost two packets."""
        held: list[Any] = []
        self._held = held
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        self.send(b"".join(held))

    def connect(self) -> None:
        self._connecting = True  # what is sent meanwhile asks a proxy for a tunnel
        try:
            super().connect()
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:
        return dial(
            _exchange.get(),
            self._dns_host,
            self.port,
            tls=isinstance(self, HTTPSConnection),
            proxy=self.proxy is not None,
            options=self.socket_options,
        )

    def send(self, data: Any) -> None:
        """Send `data`, which is bytes. In pieces, since over TLS each has a time limit of its own."""
        if self.sock is None:
            self.connect()
        if self._held is not None and not self._connecting:
            self._held.append(data)
            return
        exchange = _exchange.get()
        exchange.sent = exchange.sent or not self._connecting
        rest = memoryview(data)
        while rest:
            self.sock.settimeout(exchange.left())
            rest = rest[self.sock.send(rest[:_PIECE]) :]


class _TimedTLSConnection(_TimedConnection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.version() is None:  # reset meanwhile: ssl lets it pass
            raise ConnectionResetError("the connection ended before the TLS handshake")


class _Pool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTLSConnection


class _Adapter(HTTPAdapter):
    """The adapter of `requests`, over connections that know the deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _time(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        return _time(super().proxy_manager_for(proxy, **kwargs))


def _time(pools: PoolManager) -> PoolManager:
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return pools


def _silent_while_sending(_: logging.LogRecord) -> bool:
    return _exchange.get(None) is None


logging.getLogger("urllib3.connectionpool").addFilter(_silent_while_sending)  # it logs paths, which may be secrets


class Transport:
    """Makes requests, each within `timeout`, from any number of threads: urllib3's pools are made for that."""

    def __init__(
        self, timeout: timedelta, verify: bool | str, cert: str | None, *, guard: Guard | None, resolve: Resolve | None
    ) -> None:
        self._timeout = timeout
        self._verify = verify
        self._cert = cert
        self._guard = guard
        self._lookups = Lookups(resolve or system_resolve)
        self._adapter = _Adapter(pool_connections=_POOLED, pool_maxsize=_POOLED, max_retries=0)
        self._time_limits = Timeout(connect=timeout.total_seconds(), read=timeout.total_seconds())
        self._ways: dict[tuple[str, str | None], _Way] = {}

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str], proxy: str | None) -> HttpAnswer:
        """The answer to one request; see `HttpSender.send`."""
        with self._exchange_with(host_of(url)):
            way = self._way(url, proxy)
            response = way.pool.urlopen(
                method,
                way.target,
                body=body or None,
                headers=_distinct({**headers, **way.headers}),
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._time_limits,
                preload_content=False,
                decode_content=False,
            )
            try:
                content, cut = _read(response)
            finally:
                response.close()
                response.release_conn()
            answered = {name.lower(): response.headers[name] for name in response.headers}
            return HttpAnswer(response.status, answered, content, cut)

    def _way(self, url: str, proxy: str | None) -> _Way:
        """How to get to `url`; found out once, since it takes as long as a request."""
        way = self._ways.get((url, proxy))
        if way is None or way.pool.pool is None:  # one that was not used for long is closed
            if len(self._ways) >= _POOLED:
                self._ways.clear()
            way = self._ways[url, proxy] = self._found_way(url, proxy)
        return way

    def _found_way(self, url: str, proxy: str | None) -> _Way:
        prepared = requests.Request("POST", url).prepare()
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        pool = self._adapter.get_connection_with_tls_context(prepared, self._verify, proxies=proxies, cert=self._cert)
        self._adapter.cert_verify(pool, prepared.url, self._verify, self._cert)  # type: ignore[no-untyped-call]
        own = {name: value for name, value in prepared.headers.items() if name.lower() == "authorization"}
        return _Way(pool, self._adapter.request_url(prepared, proxies), own)

    @contextlib.contextmanager
    def _exchange_with(self, host: str) -> Iterator[None]:
        """Sets the deadline, and tells what the library's exceptions mean without their text: it holds addresses."""
        ends = time.monotonic() + self._timeout.total_seconds()
        exchange = Exchange(host, ends, self._lookups, self._guard)
        token = _exchange.set(exchange)
        try:
            yield
        except (OSError, HTTPError, ValueError) as error:
            failure = _failure_after(error, exchange, self._timeout) if exchange.sent else _failure(error, exchange)
            raise failure from None
        finally:
            _exchange.reset(token)


@dataclass(frozen=True, slots=True)
class _Way:
    """How to get to an address: over which connections, what to ask for there, and what of it goes into headers."""

    pool: Any
    target: str
    headers: Mapping[str, str]


def _distinct(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that can be sent, each once, however its name is written: the last counts."""
    kept: dict[str, tuple[str, str]] = {}
    for header in headers.items():
        check_header_validity(header)
        kept[header[0].lower()] = header
    return dict(kept.values())


def _read(raw: Any) -> tuple[bytes, bool]:
    """The body as sent, never unpacked, up to the limit, and whether there was more."""
    body = b""
    try:
        while len(body) <= ANSWER_LIMIT:
            chunk = raw.read(min(8192, ANSWER_LIMIT + 1 - len(body)), decode_content=False)
            if not chunk:
                return body, False
            body += chunk
    except (OSError, HTTPError, ValueError):  # the status has been said, and counts
        pass
    return body[:ANSWER_LIMIT], True


def _failure(error: Exception, exchange: Exchange) -> SendError:
    """What went wrong before any of the request was sent."""
    host = exchange.host
    match error:
        case ProxyError():
            return SendError(Reason.NETWORK, f"the proxy gives no connection to '{host}'")
        case SSLError():
            return SendError(Reason.NETWORK, f"no secure connection to '{host}': {_tls_fault(error)}")
        case HTTPError() if exchange.late or isinstance(error, LateError):
            return SendError(Reason.NETWORK, f"no connection to '{host}' in time")
        case ValueError():  # among them requests' errors about the address and the headers
            return SendError(Reason.CONFIG, f"no request to '{host}' can be made of the settings", permanent=True)
        case requests.RequestException() | HTTPError():
            return SendError(Reason.NETWORK, f"no connection to '{host}'")
        case _:  # an OSError that is not requests' own: a file of certificates
            return SendError(Reason.CONFIG, "the certificates configured cannot be read", permanent=True)


def _failure_after(error: Exception, exchange: Exchange, timeout: timedelta) -> SendError:
    """What went wrong once the request may have got through, in part or whole."""
    host = exchange.host
    if isinstance(error, SSLError) and "_ALERT_" in (fault := _tls_fault(error)):
        return SendError(Reason.NETWORK, f"no secure connection to '{host}': {fault}")  # it would not listen
    if exchange.late or isinstance(error, LateError):
        return SendError(Reason.TIMEOUT, no_answer(host, timeout), unknown=True)
    return SendError(Reason.NETWORK, f"'{host}' broke the connection off, or its answer is no HTTP", unknown=True)


def _tls_fault(error: BaseException) -> str:
    """Why a TLS handshake failed, in the words of the TLS library: they hold no address.

    >>> _tls_fault(SSLError("at https://h/secret"))
    'the handshake failed'
    """
    inner: Any = error
    for _ in range(5):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {inner.verify_message}"
        if isinstance(inner, ssl.SSLError):
            return inner.reason or "the handshake failed"
        inner = inner.args[0] if isinstance(inner, BaseException) and inner.args else None
    return "the handshake failed"
