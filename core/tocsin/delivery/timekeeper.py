"""Who does what is due because time has passed: one thread of a process, asleep until then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from tocsin.clock import Clock
from tocsin.delivery.outage import Outage
from tocsin.masked import logger
from tocsin.store.records import StoreError
from tocsin.threads import Begin, Threads

_log = logger("tocsin.timers")

_STORE_PAUSE = 5.0  # seconds before a store that refused is asked again


class Timers(Protocol):
    """What has things to do at their times."""

    def next_due(self) -> datetime | None:
        """When there is next something to do; None when nothing waits. Raises StoreError."""

    def tick(self) -> object:
        """Do everything that is due now. Raises StoreError."""


class Timekeeper:
    """Calls `tick` whenever something is due, on a daemon thread of its own; starts when first woken.

    Where no thread can be had, timers wait, and whoever wakes it next asks for one again.

    With `look_every` it also looks for what other processes planned; without, it sleeps until its own process wakes it.
    """

    def __init__(
        self,
        timers: Timers,
        clock: Clock,
        *,
        look_every: timedelta | None = None,
        also: Callable[[], None] | None = None,
        begin: Begin = threading.Thread.start,
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._look_every = look_every
        self._also = also
        self._changed = threading.Condition()
        self._threads = Threads("timers wait for a thread that cannot be had", _log, begin)
        self._thread: threading.Thread | None = None
        self._woken = False
        self._stopping = False

    def wake(self) -> None:
        """Say that something may be due at another time than was known."""
        with self._changed:
            if self._stopping:
                return
            if self._thread is None:
                self._thread = self._threads.begin(self._keep, "tocsin-timers")
            self._woken = True
            self._changed.notify_all()

    def stop(self, within: timedelta = timedelta(seconds=5)) -> None:
        """Begin nothing more, and wait a bounded time for what is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(within.total_seconds())

    def _keep(self) -> None:
        outage = Outage("timers", _log, self._clock)
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._woken = False
            try:
                pause = self._do()
                outage.over()
            except StoreError as error:
                outage.refused(error)
                pause = _STORE_PAUSE
            except Exception:
                _log.exception("timers failed; they are tried again")
                pause = _STORE_PAUSE
            with self._changed:
                if not (self._woken or self._stopping) and (pause is None or pause > 0):
                    self._clock.wait(self._changed, pause)

    def _do(self) -> float | None:
        """Do what is due; how many seconds to wait then, None: until woken."""
        if self._also is not None:
            self._also()
        due = self._timers.next_due()
        if due is not None and due <= self._clock.now():
            self._timers.tick()
            due = self._timers.next_due()
        look = None if self._look_every is None else self._look_every.total_seconds()
        if due is None:
            return look
        wait = max(due.timestamp() - self._clock.now().timestamp(), 0.0)
        return wait if look is None else min(wait, look)
