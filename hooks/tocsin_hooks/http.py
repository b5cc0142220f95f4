"""How channels speak HTTP: one request within one deadline, and what its answer means for a delivery.

For plugins that depend on `requests`, which is loaded with the first request. Nothing is tried twice, no redirect is
followed, no setting is taken from the environment, and no error text or log line holds an address beyond its host.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo, field_validator

from tocsin_hooks.channels import ChannelConfig
from tocsin_hooks.durations import Duration, format_duration
from tocsin_hooks.errors import PluginError, SecretError
from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.secrets import MaybeSecret, Secret, redact
from tocsin_hooks.text import excerpt, one_line

if TYPE_CHECKING:
    from tocsin_hooks._dial import Resolve
    from tocsin_hooks._transport import Transport

ANSWER_LIMIT = 64 * 1024
"""How many bytes of an answer are read."""
CONNECT_TIMEOUT = timedelta(seconds=5)
_BASE = re.compile(r"https?://[^\s/?#@]+/?")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_WEEKDAY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*", re.IGNORECASE)
_TEMPORARY = {408: Reason.TIMEOUT, 425: Reason.CLIENT, 429: Reason.RATE_LIMITED}
_PERMANENT = {401: Reason.AUTH, 403: Reason.AUTH, 410: Reason.GONE, 413: Reason.PAYLOAD}


# ---------------------------------------------------------------- settings


def _existing(path: Path, info: ValidationInfo) -> Path:
    resolved = Path((info.context or {}).get("base") or "", path.expanduser())
    if not resolved.is_file():
        raise ValueError(f"there is no file '{path}'")
    return resolved


ExistingFile = Annotated[Path, AfterValidator(_existing)]
"""A setting that names a file, beside the config unless the path is absolute."""


class HttpConfig(ChannelConfig):
    """Settings of every channel that speaks HTTP: subclass it, and make requests with `sender()`.

    `base_url` puts another scheme and host before the path of the service's address: a gateway, or a test.
    """

    timeout: Duration = timedelta(seconds=30)
    """For one whole exchange, answer included."""
    proxy: MaybeSecret | None = None
    """The address of a proxy; none is taken from the environment."""
    verify: bool = True
    """Whether the service's certificate must be valid."""
    ca_file: ExistingFile | None = None
    """Certificates to trust in place of the usual ones."""
    client_cert: ExistingFile | None = None
    """Our own certificate and key, for services that ask for one."""
    base_url: str | None = None
    """Scheme and host to use in place of the service's own."""

    @field_validator("base_url")
    @classmethod
    def _is_base(cls, value: str | None) -> str | None:
        if value is not None and not _BASE.fullmatch(value):
            raise ValueError(f"expected scheme and host such as 'https://gateway.example.org', found '{redact(value)}'")
        return value

    @field_validator("proxy")
    @classmethod
    def _can_be_used(cls, value: Secret | None) -> Secret | None:
        if value is not None and value.at_hand and (fault := proxy_fault(value.get_secret_value())):
            raise ValueError(fault)
        return value

    def sender(self, user_agent: str, *, guard: Guard | None = None) -> HttpSender:
        """What makes requests with these settings, to the addresses to which `guard` has no objection."""
        return HttpSender(
            user_agent=user_agent,
            timeout=self.timeout,
            proxy=self.proxy,
            verify=self.verify,
            ca_file=self.ca_file,
            client_cert=self.client_cert,
            guard=guard,
        )

    def address(self, url: str) -> str:
        """`url` at the gateway, if there is one.

        >>> HttpConfig(base_url="http://127.0.0.1:8080").address("https://hooks.example.org/T0?x=1")
        'http://127.0.0.1:8080/T0?x=1'
        """
        if self.base_url is None:
            return url
        return self.base_url.rstrip("/") + urlsplit(url)._replace(scheme="", netloc="").geturl()


def reveal(secret: Secret) -> str:
    """The value of a secret at the time of sending.

    Raises SendError with CONFIG when there is none: not a permanent one, for the next process may be given it.
    """
    try:
        return secret.get_secret_value()
    except SecretError as error:
        raise SendError(Reason.CONFIG, str(error)) from None


def user_agent(distribution: str) -> str:
    """What a plugin's requests call themselves: its distribution and version.

    >>> user_agent("tocsin-of-nobody")
    'tocsin-of-nobody/0'
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{distribution}/{version(distribution)}"
    except PackageNotFoundError:
        return f"{distribution}/0"


# ---------------------------------------------------------------- sending


@dataclass(frozen=True)
class HttpAnswer:
    """What a service said. Names of `headers` are lower-case; `cut` says that `body` is not all of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether the service accepted: any status from 200 to 299."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after(self, now: float) -> float | None:
        """The seconds that the service asks to be left alone, from `now` (seconds since 1970)."""
        return retry_after(self.headers.get("retry-after"), now)


class Guard(Protocol):
    """Says which addresses a channel may connect to. Asked whenever a connection is made, about every address."""

    def objection(self, address: str, port: int, *, tls: bool) -> str:
        """Why there is to be no connection to the IP address `address`; empty where there may be one."""


class HttpSender:
    """Makes requests for one channel, from any number of threads, over connections that are kept open.

    `timeout` bounds a request as a whole: looking up the name, connecting, the handshake, sending, and an answer that
    comes byte by byte. `proxy` is used when given, the environment's never. Where `guard` objects to any of the
    addresses that a name leads to, no connection is made; a proxy is not guarded, and looks names up by itself.
    `resolve` takes the place of the system's look-up, `socket.getaddrinfo`.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        timeout: timedelta = timedelta(seconds=30),
        proxy: Secret | str | None = None,
        verify: bool = True,
        ca_file: Path | None = None,
        client_cert: Path | None = None,
        guard: Guard | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._timeout = timeout
        self._proxy = proxy
        self._verify: bool | str = str(ca_file) if verify and ca_file else verify
        self._client_cert = None if client_cert is None else str(client_cert)
        self._guard = guard
        self._resolve = resolve
        self._lock = threading.Lock()
        self._transport: tuple[int, Transport] | None = None

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """The answer to one request, whatever its status. An answer cut off after its status still counts.

        Raises SendError when there is no answer: TIMEOUT and NETWORK, `unknown` once the request may have got through;
        CONFIG for an address or a header that cannot be used, and for an address that the guard objects to.
        """
        proxy = reveal(self._proxy) if isinstance(self._proxy, Secret) else self._proxy
        if proxy and (fault := proxy_fault(proxy)):
            raise SendError(Reason.CONFIG, f"proxy: {fault}", permanent=True)
        all_headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **(headers or {})}
        return self._open().send(method, url, body, all_headers, proxy)

    def _open(self) -> Transport:
        with self._lock:
            if self._transport is None or self._transport[0] != os.getpid():  # no connection crosses a fork
                self._transport = (os.getpid(), self._make())
            return self._transport[1]

    def _make(self) -> Transport:
        try:
            from tocsin_hooks._transport import Transport
        except ImportError as error:
            raise PluginError(f"sending over HTTP needs the package 'requests': {error}") from None
        return Transport(self._timeout, self._verify, self._client_cert, guard=self._guard, resolve=self._resolve)


# ---------------------------------------------------------------- what an answer means


def refusal(answer: HttpAnswer, url: str, now: float) -> SendError:
    """What an answer other than 2xx means, for services that use the usual statuses.

    >>> error = refusal(HttpAnswer(429, {"retry-after": "17"}), "https://hooks.example.org/T0", now=0)
    >>> str(error), error.retry_after, error.permanent
    ("'hooks.example.org' answered 429", 17.0, False)
    >>> [refusal(HttpAnswer(status), "http://h", now=0).permanent for status in (302, 404, 408, 503)]
    [True, True, False, False]
    """
    detail = said(answer, url)
    if answer.status in _TEMPORARY or not 300 <= answer.status < 500:
        reason = _TEMPORARY.get(answer.status, Reason.SERVER)
        return SendError(reason, detail, retry_after=answer.retry_after(now))
    if answer.status < 400:
        detail = f"'{host_of(url)}' answered {answer.status}, a redirect, which is never followed"
    reason = _PERMANENT.get(answer.status, Reason.CLIENT)
    return SendError(reason, detail, permanent=True, disable=reason is Reason.GONE)


def said(answer: HttpAnswer, url: str) -> str:
    """Who answered what, for people.

    >>> said(HttpAnswer(400, body=b"no such room"), "https://chat.example.org/r/1")
    "'chat.example.org' answered 400: no such room"
    """
    text = excerpt(answer.body)
    return f"'{host_of(url)}' answered {answer.status}" + (f": {text}" if text else "")


def retry_after(value: str | None, now: float) -> float | None:
    """The wait in seconds that a `Retry-After` header asks for: a number, or an HTTP date. None for anything else.

    Of several headers, which come joined by commas, the longest wait is meant.

    >>> [retry_after(text, now=0) for text in ("17", "Thu, 01 Jan 1970 00:01:00 GMT", "-5", "nan", "soon", None)]
    [17.0, 60.0, None, None, None, None]
    >>> retry_after("17, 1.5, Thu, 01 Jan 1970 00:01:00 GMT", now=0)
    60.0
    """
    parts: list[str] = []
    for part in (value or "").split(","):
        if parts and _WEEKDAY.fullmatch(parts[-1]):  # the comma was one of a date
            parts[-1] += f", {part.strip()}"
        else:
            parts.append(part.strip())
    return max((wait for part in parts if (wait := _wait(part, now)) is not None), default=None)


def _wait(text: str, now: float) -> float | None:
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return seconds if seconds >= 0 and math.isfinite(seconds) else None


def proxy_fault(address: str) -> str:
    """Why a proxy cannot be used; empty where it can.

    >>> proxy_fault("http://me:pw@proxy:3128"), proxy_fault("proxy:3128"), proxy_fault("socks5://proxy")
    ('', '', "expects an http or https proxy, found the scheme 'socks5'")
    """
    scheme, separator, _ = address.partition("://")
    if not separator or scheme.lower() in ("http", "https"):
        return ""
    return f"expects an http or https proxy, found the scheme '{one_line(scheme)}'"


def host_of(url: str) -> str:
    """The host of `url`, which can always be shown.

    >>> host_of("https://me:pw@hooks.example.org:8443/T0/B0")
    'hooks.example.org'
    """
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def no_answer(host: str, timeout: timedelta) -> str:
    """That the time was up, for people."""
    return f"no answer from '{host}' in {format_duration(timeout.total_seconds())}"
