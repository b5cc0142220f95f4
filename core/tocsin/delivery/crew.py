"""How many threads send: one that hangs is replaced, as far as threads can be had."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tocsin.clock import Clock
from tocsin.threads import Threads

_LOST = 4  # times as many threads as there should be may hang before none takes the place of another
_AGAIN = 1.0  # seconds after which threads that could not be had are asked for again


def wanted(size: int, hanging: int) -> int:
    """How many threads there should be in all, when some hang.

    >>> wanted(8, 0), wanted(8, 3), wanted(8, 100)
    (8, 11, 40)
    """
    return size + min(hanging, _LOST * size)


class Crew:
    """The threads that send. Bookkeeping under the lock of whoever uses it; the threads themselves run `deliver`."""

    def __init__(self, size: int, deliver: Callable[[], None], threads: Threads, clock: Clock) -> None:
        self._size = size
        self._deliver = deliver
        self._threads = threads
        self._clock = clock
        self._there = 0
        self._hanging = 0
        self._asks_at: float | None = None
        self.members: list[threading.Thread] = []
        """All that may still run."""

    @property
    def working(self) -> int:
        """How many threads can be counted on; 1 while all hang, for that may end."""
        return max(1, min(self._size, self._there - self._hanging))

    def fill(self, most: int | None = None) -> bool:
        """Begin the threads that are missing, or only as many as make `most` in all; whether there is one at all.

        As far as they can be had: after one was refused it does not ask again for a second.
        """
        now = self._clock.monotonic()
        if self._asks_at is None or now >= self._asks_at:
            self._asks_at = None
            enough = wanted(self._size, self._hanging)
            while self._there < (enough if most is None else min(enough, most)):
                if (thread := self._threads.begin(self._deliver, "tocsin-send")) is None:
                    self._asks_at = now + _AGAIN
                    break
                self._there += 1
                self.members = [*(each for each in self.members if each.is_alive()), thread]
        return self._there > 0

    def hangs(self, *, replace: bool) -> bool:
        """One of them is waited for no more; whether another takes its place."""
        self._hanging += 1
        before = self._there
        if replace:
            self.fill()
        return self._there > before

    def is_back(self) -> bool:
        """One that hung has come back; whether it is needed."""
        self._hanging -= 1
        if self._there > wanted(self._size, self._hanging):
            self._there -= 1
            return False
        return True
