"""How a service behind an HTTP channel can misbehave, and what a channel that uses `tocsin_hooks.http` makes of it.

`FAULTS` is a table for tests: play a fault with `HostileServer(fault.play)`, send one message there, and compare.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate

from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.testing.hostile import Peer, Play

NOW = 1_790_000_000.0
"""The seconds since 1970 by which the dates in `FAULTS` are set: what the channel's clock is to say."""
READ_AT_MOST = 16 * 1024 * 1024
"""More than a sender's limit, its buffers and the system's: who takes that much of an answer reads without bound."""
_GIGABYTE = 1 << 30
_FRAMING = (b"content-length", b"transfer-encoding")


@dataclass(frozen=True)
class Fault:
    """What the service does, and what sending one message to it comes to: delivery, or a SendError such as this."""

    play: Play
    reason: Reason | None = None
    """None where the message is delivered."""
    retry_after: float | None = None
    permanent: bool = False
    disable: bool = False
    unknown: bool = False
    endless: bool = False
    """Whether only the channel's patience ends it: give it little, and plenty in the other cases."""

    @property
    def expected(self) -> tuple[object, ...]:
        """What `outcome` should be."""
        if self.reason is None:
            return ("delivered",)
        return (self.reason, self.retry_after, self.permanent, self.disable, self.unknown)


def outcome(error: SendError | None) -> tuple[object, ...]:
    """What has come of sending, for comparison with `Fault.expected`.

    >>> outcome(None), outcome(SendError(Reason.GONE, disable=True))
    (('delivered',), (<Reason.GONE: 'gone'>, None, True, True, False))
    """
    if error is None:
        return ("delivered",)
    return (error.reason, error.retry_after, error.permanent, error.disable, error.unknown)


# ---------------------------------------------------------------- what a service does


def saying(data: bytes) -> Play:
    """Sends `data`."""
    return lambda peer: peer.say(data)


def dripping(data: bytes, every: float = 0.02) -> Play:
    """Sends `data`, a byte at a time, for ever."""
    return lambda peer: peer.drip(data, every)


def after_request(*plays: Play) -> Play:
    """Reads the request, and does the rest in turn."""

    def play(peer: Peer) -> None:
        peer.request()
        for each in plays:
            each(peer)

    return play


def answering(status: int, *headers: bytes, body: bytes | Callable[[], Iterable[bytes]] = b"") -> Play:
    """Reads the request and answers, headers as they are. The length of `body` is added where nothing tells it."""

    def play(peer: Peer) -> None:
        peer.request()
        framed = any(header.lower().startswith(_FRAMING) for header in headers)
        length = (b"Content-Length: %d" % len(body),) if isinstance(body, bytes) and not framed else ()
        peer.say(b"\r\n".join([b"HTTP/1.1 %d Whatever" % status, *headers, *length, b"", b""]))
        for part in [body] if isinstance(body, bytes) else body():
            peer.say(part)

    return play


def flood(total: int, piece: bytes = b"x" * 65_536) -> Callable[[], Iterator[bytes]]:
    """A body of `total` bytes, made as it is sent."""
    return lambda: (piece for _ in range(total // len(piece)))


def chunked(parts: Callable[[], Iterable[bytes]]) -> Callable[[], Iterator[bytes]]:
    """The same body in chunks."""
    return lambda: (b"%x\r\n%b\r\n" % (len(part), part) for part in parts())


# ---------------------------------------------------------------- the table


def _asking(*values: str, wait: float | None, status: int = 429) -> Fault:
    headers = [b"Retry-After: " + value.encode("latin-1") for value in values]
    reason = Reason.RATE_LIMITED if status == 429 else Reason.SERVER
    return Fault(answering(status, *headers), reason, wait)


def _refusing(status: int, reason: Reason, *, permanent: bool = True, disable: bool = False) -> Fault:
    return Fault(answering(status, body=b"no"), reason, permanent=permanent, disable=disable)


def _unanswered(*plays: Play) -> Fault:
    return Fault(after_request(*plays), Reason.TIMEOUT, unknown=True)


def _broken(*plays: Play) -> Fault:
    return Fault(after_request(*plays), Reason.NETWORK, unknown=True)


_OK = saying(b"HTTP/1.1 200 OK\r\n")
_IN_90_SECONDS = formatdate(NOW + 90, usegmt=True)
_LONG = b"Content-Length: 99999"
_BOMB = gzip.compress(b"0" * 20_000_000)

_WAITS: dict[str, Fault] = {
    "429": _asking(wait=None),
    "429 for seconds": _asking("17", wait=17.0),
    "429 for no time": _asking("0", wait=0.0),
    "429 for a fraction": _asking("1.5", wait=1.5),
    "429 with blanks": _asking("  17\t", wait=17.0),
    "429 until a date": _asking(_IN_90_SECONDS, wait=90.0),
    "429 until a date of RFC 850": _asking("Monday, 21-Sep-26 14:14:50 GMT", wait=90.0),
    "429 until a date of asctime": _asking("Mon Sep 21 14:14:50 2026", wait=90.0),
    "429 until a date gone by": _asking(formatdate(NOW - 90, usegmt=True), wait=None),
    "429 for less than nothing": _asking("-5", wait=None),
    "429 for ages": _asking("99999999999", wait=99999999999.0),
    "429 for a number past all bounds": _asking("9" * 400, wait=None),
    "429 for junk": _asking("soon", wait=None),
    "429 for nothing": _asking("", wait=None),
    "429 for a number of Python's": _asking("1_000", wait=None),
    "429 for infinity": _asking("inf", wait=None),
    "429 for a digit that is none": _asking("\xb2", wait=None),
    "429 for two waits": _asking("17", "120", wait=120.0),
    "429 for seconds and until a date": _asking(_IN_90_SECONDS, "17", wait=90.0),
    "503 for seconds": _asking("17", wait=17.0, status=503),
}
_STATUSES: dict[str, Fault] = {
    "101": _refusing(101, Reason.SERVER, permanent=False),
    "400": _refusing(400, Reason.CLIENT),
    "401": _refusing(401, Reason.AUTH),
    "403": _refusing(403, Reason.AUTH),
    "404": _refusing(404, Reason.CLIENT),
    "405": _refusing(405, Reason.CLIENT),
    "408": _refusing(408, Reason.TIMEOUT, permanent=False),
    "410": _refusing(410, Reason.GONE, disable=True),
    "413": _refusing(413, Reason.PAYLOAD),
    "425": _refusing(425, Reason.CLIENT, permanent=False),
    "500": _refusing(500, Reason.SERVER, permanent=False),
    "502": _refusing(502, Reason.SERVER, permanent=False),
    "503": _refusing(503, Reason.SERVER, permanent=False),
    "504": _refusing(504, Reason.SERVER, permanent=False),
    "599": _refusing(599, Reason.SERVER, permanent=False),
    "a redirect to itself": Fault(answering(302, b"Location: /"), Reason.CLIENT, permanent=True),
    "a redirect that keeps the method": Fault(answering(308, b"Location: /"), Reason.CLIENT, permanent=True),
    "a redirect to nowhere": Fault(answering(301, b"Location: http://[bad"), Reason.CLIENT, permanent=True),
}
_SILENCES: dict[str, Fault] = {
    "silence": _unanswered(Peer.hang),
    "silence in the head": _unanswered(_OK, Peer.hang),
    "a status line that drips": _unanswered(dripping(b"H")),
    "headers that drip": _unanswered(_OK, dripping(b"X-A: b\r\n")),
    "100 Continue for ever": _unanswered(dripping(b"HTTP/1.1 100 Continue\r\n\r\n", every=0.001)),
    "silence in the body": Fault(after_request(_OK, saying(_LONG + b"\r\n\r\n"), Peer.hang)),
    "a body that drips": Fault(after_request(_OK, saying(_LONG + b"\r\n\r\n"), dripping(b"."))),
    "a refusal that drips": Fault(
        after_request(saying(b"HTTP/1.1 503 Busy\r\n" + _LONG + b"\r\n\r\n"), dripping(b".")), Reason.SERVER
    ),
}
_BREAKS: dict[str, Fault] = {
    "reset": _broken(Peer.reset),
    "hung up": _broken(),
    "hung up in the status line": _broken(saying(b"HTTP/1.1 20")),
    "another protocol": _broken(saying(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "a header without end": _broken(_OK, saying(b"X-A: " + b"x" * 100_000 + b"\r\n\r\n")),
    "headers without end": _broken(_OK, saying(b"X-A: b\r\n" * 1000 + b"\r\n")),
    "two lengths": _broken(_OK, saying(b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
    "hung up in the head": Fault(after_request(saying(b"HTTP/1.1 503 Busy\r\nContent-Le")), Reason.SERVER),
    "half a body": Fault(answering(202, _LONG, body=b'{"a')),
    "reset in the body": Fault(after_request(_OK, saying(_LONG + b'\r\n\r\n{"a'), Peer.reset)),
    "bad chunks": Fault(answering(202, b"Transfer-Encoding: chunked", body=b"zz\r\nab\r\n")),
    "bad chunks of a refusal": Fault(
        answering(503, b"Transfer-Encoding: chunked", body=b"-1\r\nab\r\n"), Reason.SERVER
    ),
}
_SIZES: dict[str, Fault] = {
    "a gigabyte": Fault(answering(200, b"Content-Length: %d" % _GIGABYTE, body=flood(_GIGABYTE))),
    "a gigabyte in chunks": Fault(answering(200, b"Transfer-Encoding: chunked", body=chunked(flood(_GIGABYTE)))),
    "a gigabyte of refusal": Fault(answering(500, b"Connection: close", body=flood(_GIGABYTE)), Reason.SERVER),
    "a gigabyte of redirect": Fault(
        answering(302, b"Location: /", b"Content-Length: %d" % _GIGABYTE, body=flood(_GIGABYTE)),
        Reason.CLIENT,
        permanent=True,
    ),
    "a gzip bomb": Fault(answering(200, b"Content-Encoding: gzip", body=_BOMB)),
    "a gzip bomb of refusal": Fault(answering(503, b"Content-Encoding: gzip", body=_BOMB), Reason.SERVER),
    "packed junk": Fault(answering(200, b"Content-Encoding: gzip", body=b"no gzip")),
}
_SILENCES = {name: replace(fault, endless=True) for name, fault in _SILENCES.items()}
FAULTS: dict[str, Fault] = _WAITS | _STATUSES | _SILENCES | _BREAKS | _SIZES
