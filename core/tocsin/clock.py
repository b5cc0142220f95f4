"""Where time, ids and chance come from: the one place that reads them.

Everything that depends on them takes a `Clock`, so that a test, or a simulation, moves time by hand.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pendulum


class Waitable(Protocol):
    """What `Clock.wait` can wait for: a `threading.Event`, or a `threading.Condition` that the caller holds."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return True once it happened, False when the time is over."""
        ...


class Clock(Protocol):
    """Time, ids and chance. All of it may be asked from any thread."""

    def now(self) -> pendulum.DateTime:
        """The time of day, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once when there are none left."""
        ...

    def wait(self, waitable: Waitable, timeout: float | None = None) -> bool:
        """Return True when `waitable` happens, or False once `timeout` seconds of this clock have passed.

        As with any condition, True may come without cause: look again at what was waited for.
        """
        ...

    def new_id(self) -> str:
        """An id that nothing else has, in the form of a UUID."""
        ...

    def random(self) -> float:
        """A number drawn from 0 to below 1."""
        ...


class SystemClock:
    """The real thing. Holds nothing, so it may be copied, pickled and shared."""

    def now(self) -> pendulum.DateTime:
        """The time of day, in UTC."""
        import pendulum  # heavy: loaded by the first who asks for the time

        at = dt.datetime.now(dt.UTC)  # half of what pendulum takes, and every event has a time
        return pendulum.DateTime(
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=pendulum.UTC
        )

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once when there are none left."""
        if seconds > 0:
            time.sleep(seconds)

    def wait(self, waitable: Waitable, timeout: float | None = None) -> bool:
        """Return True when `waitable` happens, or False once `timeout` seconds have passed."""
        return waitable.wait(timeout)

    def new_id(self) -> str:
        """A random UUID."""
        import uuid

        return str(uuid.uuid4())

    def random(self) -> float:
        """A number drawn from 0 to below 1."""
        import random

        return random.random()  # noqa: S311  (spreads waits, keeps no secret)


_GLANCE = 0.001  # real seconds between two looks at a hand-moved clock
_GLANCES = 20  # looks, after which whoever waits for a condition looks for himself


class ManualClock:
    """A clock that stands still until it is moved: by `advance`, or by the one who sleeps.

    Ids are counted and `random` gives what it was told, so that a run can be repeated exactly.

    >>> clock = ManualClock()
    >>> clock.sleep(90)
    >>> clock.now().to_iso8601_string(), clock.monotonic(), clock.new_id()
    ('2024-01-01T12:01:30Z', 90.0, '00000000-0000-4000-8000-000000000001')
    """

    def __init__(self, start: dt.datetime | None = None, *, chance: float = 0.5) -> None:
        import pendulum

        self._start = pendulum.datetime(2024, 1, 1, 12) if start is None else pendulum.instance(start, tz="UTC")
        self._elapsed = 0.0
        self._ids = 0
        self._lock = threading.Lock()
        self.chance = chance
        self.slept: list[float] = []
        """How long each sleep was, in order."""

    def advance(self, seconds: float | dt.timedelta) -> None:
        """Move the clock on; whoever waits for that moment wakes up."""
        with self._lock:
            self._elapsed += seconds.total_seconds() if isinstance(seconds, dt.timedelta) else seconds

    def now(self) -> pendulum.DateTime:
        """The time of day, in UTC."""
        return self._start.add(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds by which the clock was moved."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Move the clock on by `seconds` and return at once."""
        if seconds > 0:
            self.slept.append(seconds)
            self.advance(seconds)

    def wait(self, waitable: Waitable, timeout: float | None = None) -> bool:
        """Return True when `waitable` happens, or False once the clock was moved on by `timeout` seconds."""
        deadline = None if timeout is None else self._elapsed + timeout
        for _ in itertools.count() if isinstance(waitable, threading.Event) else range(_GLANCES):
            if waitable.wait(_GLANCE):
                return True
            if deadline is not None and self._elapsed >= deadline:
                return False
        return True  # a condition may have been notified between two looks, when nobody was listening

    def new_id(self) -> str:
        """The next id: UUIDs that count up."""
        with self._lock:
            self._ids += 1
            return f"00000000-0000-4000-8000-{self._ids:012d}"

    def random(self) -> float:
        """The `chance` that was set."""
        return self.chance
