"""The worker: claims what is due, lets the sender try, records how it ended."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from datetime import timedelta

from tocsin.clock import Clock
from tocsin.delivery.owner import is_alive, this_process
from tocsin.delivery.sender import Sender
from tocsin.store.protocol import Store
from tocsin.store.records import Leased, StoreError

_log = logging.getLogger("tocsin.delivery")

_STORE_PAUSE = 1.0  # seconds before a store that refused is asked again


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How many threads send, how long a claim lasts, and how often to look for what other processes planned."""

    threads: int = 8
    lease: timedelta = timedelta(seconds=60)
    look_every: timedelta = timedelta(seconds=1)


class Worker:
    """Delivers what the store holds, on daemon threads of its own: a channel that hangs stops no pipeline from ending.

    Claims are short transactions, sending is outside any, and an attempt is recorded only by the holder of the
    lease. Starts when first woken.
    """

    def __init__(self, store: Store, sender: Sender, clock: Clock, settings: WorkerSettings | None = None) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._settings = settings or WorkerSettings()
        self._owner = this_process()
        self._changed = threading.Condition()
        self._claimed: queue.SimpleQueue[Leased | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ended = 0  # attempts that ended, for whoever waits for one
        self._woken = False
        self._stopping = False

    def start(self) -> None:
        """Begin to deliver; does nothing when it has begun."""
        with self._changed:
            if self._threads or self._stopping:
                return
            self._idle = self._settings.threads
            self._threads = [threading.Thread(target=self._dispatch, name="tocsin-dispatch", daemon=True)]
            self._threads += [
                threading.Thread(target=self._deliver, name=f"tocsin-send-{n}", daemon=True)
                for n in range(self._settings.threads)
            ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Say that something may be due; starts the worker if need be."""
        if not self._threads:
            self.start()
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def drain(self, within: timedelta) -> int:
        """Wait until nothing is left that is due within a time; how many deliveries are left then.

        What is due later is not waited for; what a dead process had claimed is due now.
        """
        deadline, released = self._clock.now() + within, False
        self.wake()
        while True:
            with self._changed:
                seen = self._ended
            try:
                if not released:
                    self._store.release(is_alive, now=self._clock.now())
                    released = True
                left = self._store.waiting(before=deadline, owner=self._owner, now=self._clock.now())
            except StoreError as error:
                _log.error("cannot tell what is left to deliver: %s", error)
                return 0
            remaining = (deadline - self._clock.now()).total_seconds()
            if not left or remaining <= 0:
                return left
            with self._changed:
                if self._ended == seen:  # else an attempt ended after the store was asked
                    self._clock.wait(self._changed, min(remaining, self._settings.look_every.total_seconds()))

    def stop(self, within: timedelta = timedelta(seconds=5)) -> None:
        """Claim nothing more, and wait a bounded time for the attempts under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            threads, self._threads = self._threads, []
        for _ in threads:
            self._claimed.put(None)
        deadline = self._clock.monotonic() + within.total_seconds()
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    # ------------------------------------------------------------ claiming

    def _dispatch(self) -> None:
        refused = False
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._woken, free = False, self._idle
            try:
                pause = self._claim(free)
                refused = False
            except StoreError as error:
                _log.log(logging.DEBUG if refused else logging.ERROR, "deliveries wait: %s", error)
                pause, refused = _STORE_PAUSE, True
            with self._changed:
                if not (self._woken or self._stopping) and pause > 0:
                    self._clock.wait(self._changed, pause)

    def _claim(self, free: int) -> float:
        """Claim for the threads that are free; how long to wait, in seconds, before there can be more to do."""
        look = self._settings.look_every.total_seconds()
        if not free:
            return look
        now = self._clock.now()
        claimed = self._store.lease(now=now, ttl=self._settings.lease, limit=free, owner=self._owner)
        with self._changed:
            self._idle -= len(claimed)
        for delivery in claimed:
            self._claimed.put(delivery)
        if claimed:
            return 0.0
        if self._store.release(is_alive, now=now):
            return 0.0
        due = self._store.next_due(now=now)
        return look if due is None else min(max((due - now).total_seconds(), 0.0), look)

    # ------------------------------------------------------------ sending

    def _deliver(self) -> None:
        while (delivery := self._claimed.get()) is not None:
            try:
                self._attempt(delivery)
            except Exception:
                _log.exception("delivery '%s' is left until its lease runs out", delivery.id[:8])
            with self._changed:
                self._idle += 1
                self._ended += 1
                self._woken = True
                self._changed.notify_all()

    def _attempt(self, delivery: Leased) -> None:
        outcome, tell = self._sender.attempt(delivery)
        [held] = self._store.record([outcome])
        if held:
            tell()
        else:
            _log.warning("delivery '%s' took longer than its lease; another worker has it", delivery.id[:8])
