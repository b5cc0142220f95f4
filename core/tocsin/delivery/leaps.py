"""Whether the clock of the host was set, and what that must not change: whose a claim is, and how old a delivery."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from tocsin.clock import Clock

LEAP = 5.0
"""Seconds by which the time of day can move more, or less, than time has passed before it counts as set."""

_GLANCE = 1.0  # seconds within which both clocks are read
_MOST = 16  # leaps that are remembered


@dataclass(frozen=True, slots=True)
class Leap:
    """One time that the clock was set: by how many seconds, when that was noticed, and which time it was then."""

    by: float
    noticed: float
    time: float


class Leaps:
    """Compares the time of day with the time that has passed. Asked from any thread.

    >>> noon, second, day = datetime(2024, 5, 6, 12), timedelta(seconds=1), timedelta(days=1)
    >>> leaps = Leaps()
    >>> leaps.look(noon, 0.0)
    >>> leaps.look(noon + 9 * second, 9.0)
    >>> leaps.count
    0
    >>> leaps.look(noon + day, 0.0)
    >>> leaps.count, leaps.expired(noon + day, 0.0, lease=30.0) == noon, leaps.expired(noon + day, 30.0, lease=30.0)
    (1, True, None)
    >>> leaps.age(noon - second, noon + day + second), leaps.age(noon + day, noon + day + second)
    (datetime.timedelta(seconds=2), datetime.timedelta(seconds=1))
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._leaps: tuple[Leap, ...] = ()
        self.count = 0
        """How often the clock was set."""

    def look_at(self, clock: Clock) -> None:
        """Note how things stand, unless this process was stopped between two glances at the clock."""
        before, now, after = clock.monotonic(), clock.now(), clock.monotonic()
        if after - before < _GLANCE:
            self.look(now, after)

    def look(self, now: datetime, monotonic: float) -> None:
        """Note how things stand."""
        offset = now.timestamp() - monotonic
        with self._lock:
            if self._offset is None:
                self._offset = offset
            by = offset - self._offset
            if abs(by) >= LEAP:
                self._offset = offset
                self._leaps = (*self._leaps, Leap(by, monotonic, now.timestamp()))[-_MOST:]
                self.count += 1

    def expired(self, now: datetime, monotonic: float, *, lease: float) -> datetime | None:
        """By when a lease must have ended to be over; None: by now.

        After a leap forward the leases of others seem to be over, whose owners have had no time to prolong them: for
        as long as a lease lasts they are theirs.
        """
        lately = [leap.by for leap in reversed(self._leaps) if monotonic < leap.noticed + lease]
        ahead = max(accumulate(lately), default=0.0)  # a lease may have been written before any of them
        return now - timedelta(seconds=ahead) if ahead > 0 else None

    def age(self, created: datetime, now: datetime) -> timedelta:
        """How much time has passed since something was planned, as far as this process knows."""
        at, latest = created.timestamp(), now.timestamp()
        age = latest - at
        for leap in reversed(self._leaps):  # back from now to the clock by which it was planned
            if leap.time - LEAP <= at <= latest + LEAP:
                break
            age -= leap.by
            latest = leap.time - leap.by
        return timedelta(seconds=age)
