"""How a request travels: once, by the one way that the settings name, and with an end to its patience.

slack_sdk's own way follows redirects and hands them the token, takes proxies from the environment, and reads answers
without bound in size or time; so its clients are given this one.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.secrets import redact
from tocsin_slack.answers import QUOTED, Answer
from tocsin_slack.text import cut, one_line

CONNECT_TIMEOUT = 5.0
READ_AT_MOST = 1 << 20  # Slack repeats the whole message in its answer, and escapes it: 64 kB would cut that off


@dataclass(frozen=True, slots=True)
class Wire:
    """Sends requests until `deadline`, a point of `clock`. `tls` makes the trust in servers, for https only."""

    deadline: float
    clock: Callable[[], float]
    tls: Callable[[], ssl.SSLContext]
    proxy: str = ""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one request, whatever its status.

        Raises SendError; its `unknown` says that the request had gone out when things went wrong.
        """
        target = urlsplit(url)
        try:
            connection, path, sent_along = self._connection(target)
        except (ValueError, http.client.InvalidURL):
            raise SendError(Reason.CONFIG, "the address holds what no request can carry") from None
        connected = False
        try:
            connection.connect()
            connected = True
            connection.sock.settimeout(self._left())
            connection.request("POST", path, body, {**headers, **sent_along, "Connection": "close"})
            response = connection.getresponse()
            content = response.read(READ_AT_MOST)
            if response.length and len(content) < READ_AT_MOST:
                raise http.client.IncompleteRead(content)
        except TimeoutError:
            doing = "no answer in time from" if connected else "no connection in time to"
            raise SendError(Reason.TIMEOUT, f"{doing} '{target.hostname}'", unknown=connected) from None
        except http.client.InvalidURL:  # quotes the path, which may be the secret
            raise SendError(Reason.CONFIG, "the address holds what no request can carry") from None
        except (OSError, http.client.HTTPException) as error:
            raise _broken(target, error, connected=connected) from None
        except ValueError:  # of http.client, which quotes the header that it will not send
            raise SendError(Reason.CONFIG, "token or address holds what no request can carry") from None
        finally:
            connection.close()
        found: dict[str, str] = {}
        for name, value in response.getheaders():  # what comes twice counts twice, as if it had come in one
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return Answer(response.status, content.decode("utf-8", "replace"), found)

    def _connection(self, target: SplitResult) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """A connection not yet made, the path to ask it for, and the headers that the proxy wants."""
        path = target._replace(scheme="", netloc="", fragment="").geturl() or "/"
        host = target.hostname or ""
        if not self.proxy:
            return self._open(host, target.port, tls=target.scheme == "https"), path, {}
        proxy = urlsplit(self.proxy)
        if target.scheme == "https":
            connection = self._open(proxy.hostname or "", proxy.port or 80, tls=True)
            connection.set_tunnel(host, target.port or 443, headers=_proxy_login(proxy))
            return connection, path, {}
        whole = target._replace(netloc=target.netloc.rpartition("@")[2], fragment="").geturl()
        return self._open(proxy.hostname or "", proxy.port or 80, tls=False), whole, _proxy_login(proxy)

    def _open(self, host: str, port: int | None, *, tls: bool) -> http.client.HTTPConnection:
        patience = min(CONNECT_TIMEOUT, self._left())
        connection = (
            http.client.HTTPSConnection(host, port, timeout=patience, context=self.tls())
            if tls
            else http.client.HTTPConnection(host, port, timeout=patience)
        )
        connection.response_class = partial(_Response, wire=self)  # type: ignore[assignment]  # a class by its use
        return connection

    def _left(self) -> float:
        return max(self.deadline - self.clock(), 0.001)


class _Response(http.client.HTTPResponse):
    """An answer whose every byte has to come before the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Paced(sock, wire))


class _Paced(io.RawIOBase):
    """The bytes of a socket, each waited for no longer than until the deadline."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._wire.deadline - self._wire.clock()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _broken(target: SplitResult, error: Exception, *, connected: bool) -> SendError:
    doing = "lost the connection to" if connected else "cannot connect to"
    told = getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else type(error).__name__)
    why = cut(redact(one_line(told)), QUOTED)
    return SendError(Reason.NETWORK, f"{doing} '{target.hostname}': {why}", unknown=connected)


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
