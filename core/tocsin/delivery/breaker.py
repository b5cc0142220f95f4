"""Whether a channel that keeps failing is to be left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tocsin_hooks.messages import Reason, SendError

AFTER = 5
"""How many failures in a row open a breaker."""
FIRST = 10.0
"""Seconds that it is open for the first time; twice as long after each probe that fails."""
LONGEST = 300.0

_LONGEST_WISH = 3600.0  # seconds for which a service can ask to be left alone
_OF_THE_MESSAGE = (Reason.CLIENT, Reason.PAYLOAD)  # the service answers: only this message is wrong


class Standing(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    """All is well: messages are sent."""
    OPEN = "open"
    """Nothing is sent for a while; deliveries wait, and lose no try."""
    HALF_OPEN = "half-open"
    """One message is sent, to see."""
    OFF = "off"
    """The channel refused for good: nothing is sent until the config changes, or a delivery of it is revived."""


@dataclass(slots=True)
class Breaker:
    """Watches the attempts of one channel. Times are seconds of a clock that never goes back.

    >>> breaker = Breaker()
    >>> for _ in range(5):
    ...     breaker.failed(SendError(Reason.SERVER, "500"), now=0.0)
    >>> breaker.standing(9.9), breaker.standing(10.0)
    (<Standing.OPEN: 'open'>, <Standing.HALF_OPEN: 'half-open'>)
    >>> breaker.permits(10.0, under_way=0), breaker.permits(10.0, under_way=1)
    (True, False)
    >>> breaker.failed(SendError(Reason.SERVER, "500"), now=10.0)
    >>> breaker.until
    30.0
    >>> breaker.succeeded()
    >>> breaker.standing(10.0)
    <Standing.CLOSED: 'closed'>
    """

    failures: int = 0
    """In a row, up to now."""
    until: float | None = None
    """Until when it is open; None while it is closed."""
    detail: str = ""
    """The last failure in words."""
    off: bool = False
    pause: float = FIRST

    def standing(self, now: float) -> Standing:
        """How it stands."""
        if self.off:
            return Standing.OFF
        if self.until is None:
            return Standing.CLOSED
        return Standing.OPEN if now < self.until else Standing.HALF_OPEN

    def permits(self, now: float, *, under_way: int) -> bool:
        """Whether one more message may be sent, beside those under way."""
        standing = self.standing(now)
        return standing is Standing.CLOSED or (standing is Standing.HALF_OPEN and not under_way)

    def succeeded(self) -> None:
        """A message was accepted."""
        self.failures, self.until, self.detail, self.off, self.pause = 0, None, "", False, FIRST

    def failed(self, error: SendError, *, now: float) -> None:
        """A message was not accepted."""
        if error.reason in _OF_THE_MESSAGE and not error.disable:
            return
        before = self.standing(now)
        self.failures += 1
        self.detail = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
        self.off = self.off or error.disable
        if before is Standing.HALF_OPEN:
            self.pause = min(self.pause * 2, LONGEST)
            self.until = now + self.pause
        elif before is Standing.CLOSED and self.failures >= AFTER:
            self.until = now + self.pause
        if error.reason is Reason.RATE_LIMITED and error.retry_after:
            self.until = max(self.until or 0.0, now + min(error.retry_after, _LONGEST_WISH))
