"""The worker: claims what is due, lets the sender try, records how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.clock import Clock
from tocsin.delivery.bank import Bank
from tocsin.delivery.board import Board, Flight
from tocsin.delivery.breaker import Breaker, Standing
from tocsin.delivery.crew import Crew
from tocsin.delivery.outage import Outage
from tocsin.delivery.owner import is_alive, this_process
from tocsin.delivery.sender import Attempt, Sender
from tocsin.masked import logger
from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin.threads import Begin, Threads

_log = logger("tocsin.delivery")

_STORE_PAUSE = 1.0  # seconds before a store that refused is asked again
_BREATH = 0.003  # seconds between two transactions while there is something to do, so that each does more
_SHARE = 4  # times as long as a transaction took the store is left to those who publish
_GATHER = 0.02  # seconds more while the threads need nothing of the next
_ENOUGH = 64  # ended attempts that are recorded without waiting for more
_TELLING = 60.0  # seconds after which an observer that was told of a delivery is waited for no more
_NO_HOPE = 10.0  # seconds; a store that has not answered for so long is not waited for at an end
_RECORDED = 1.0  # seconds for what was cut off at the end to be recorded


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How many threads send, how long a claim lasts, and how often to look for what other processes planned."""

    threads: int = 8
    lease: timedelta = timedelta(seconds=60)
    """At least: it is longer where a channel has a long deadline."""
    look_every: timedelta = timedelta(seconds=1)


class Worker:
    """Delivers what the store holds, on daemon threads of its own: a channel that hangs stops no pipeline from ending.

    Claims are short transactions, sending is outside any, and an attempt is recorded only by the holder of the
    lease. An attempt that is not back at its deadline is recorded as unknown, and another thread takes the place of
    its own. Starts when first woken; where no threads can be had, what is due waits, in the store, and whoever wakes
    it next asks for them again.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        clock: Clock,
        settings: WorkerSettings | None = None,
        *,
        begin: Begin = threading.Thread.start,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._settings = settings or WorkerSettings()
        self._owner = this_process()
        lock = threading.RLock()
        self._changed = threading.Condition(lock)  # something may be due, or has ended
        self._work = threading.Condition(lock)  # a thread may have something to do
        self._full = threading.Condition(lock)  # what has ended need wait for no more
        self._board = Board(self._settings.threads)
        self._bank = Bank(store, sender, clock, self._board, self._owner, self._settings.lease, lock)
        self._store = store
        self._threads = Threads("deliveries wait for threads that cannot be had", _log, begin)
        self._crew = Crew(self._settings.threads, self._deliver, self._threads, clock)
        self._outage = Outage("deliveries", _log, clock)
        self._dispatcher: threading.Thread | None = None
        self._news = 0  # how often something ended, for whoever waits for it
        self._nothing_due = False
        self._gathering = False
        self._took = 0.0  # seconds, for the last transaction
        self._woken = False
        self._stopping = False

    def start(self) -> None:
        """Begin to deliver; does nothing when it has begun, or where no threads can be had."""
        with self._changed:
            # of two threads that can be had, one must claim: it begins the others
            if self._dispatcher is None and not self._stopping and self._crew.fill(most=1):
                self._board.threads = self._crew.working
                self._dispatcher = self._threads.begin(self._dispatch, "tocsin-dispatch")

    def wake(self) -> None:
        """Say that something may be due; starts the worker if need be."""
        if self._dispatcher is None:
            self.start()
        with self._changed:
            self._woken, self._nothing_due = True, False
            self._changed.notify_all()
            if self._gathering and self._board.idle:  # what is ready waits for its channel: this need not
                self._full.notify_all()

    def breakers(self) -> Mapping[str, Breaker]:
        """How the channels fare to which this process has sent something."""
        with self._changed:
            return {channel: line.breaker for channel, line in self._board.lines.items()}

    def standings(self) -> Mapping[str, Standing]:
        """Whether those channels are sent to at present."""
        now = self._clock.monotonic()
        return {channel: breaker.standing(now) for channel, breaker in self.breakers().items()}

    def drain(self, within: timedelta) -> int:
        """Wait until nothing is left that is due within a time; how many deliveries are left then.

        What is due later is not waited for, nor are channels that are left alone, or held back by their rate, for
        longer, nor anything where no threads can be had; what a dead process had claimed is due now. Raises StoreError
        where nobody can tell what is left, as soon as the store has not answered for ten seconds.
        """
        begun = self._clock.monotonic()
        ends = begun + within.total_seconds()
        self._store.release(is_alive, now=self._clock.now())
        self.wake()
        while True:
            remaining = ends - self._clock.monotonic()
            deadline = self._clock.now() + timedelta(seconds=max(0.0, remaining))  # the clock may be set meanwhile
            with self._changed:
                seen, quiet = self._news, self._is_quiet(deadline)
            waited = self._clock.monotonic() - begun
            if waited >= _NO_HOPE and (refusal := self._outage.refusal(_NO_HOPE)):
                raise StoreError(str(refusal)) from refusal
            if quiet or remaining <= 0:
                left, hopeless = self._bank.left(deadline, ends)
                if left <= hopeless or remaining <= 0 or self._dispatcher is None:
                    return left
            with self._changed:
                if self._news == seen and quiet == self._is_quiet(deadline):
                    self._clock.wait(self._changed, min(remaining, self._settings.look_every.total_seconds()))

    def _is_quiet(self, deadline: datetime) -> bool:
        held_back = self._bank.gate.held_back(deadline)
        nothing_held = self._board.is_empty_but_for(held_back) and not self._bank.ended
        return self._dispatcher is None or (self._nothing_due and nothing_held)

    def stop(self, within: timedelta = timedelta(seconds=5)) -> None:
        """Claim nothing more, and wait a bounded time for the attempts under way.

        What a process of its own is still at then is cut off, and recorded as such.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._work.notify_all()
            self._full.notify_all()
            threads = [*self._crew.members, *([] if self._dispatcher is None else [self._dispatcher])]
        ends = self._clock.monotonic() + within.total_seconds()
        for thread in threads:
            thread.join(max(0.0, ends - self._clock.monotonic()))
        if self._sender.close() and self._dispatcher is not None:
            self._dispatcher.join(_RECORDED)

    # ------------------------------------------------------------ dispatching

    def _dispatch(self) -> None:
        moving, outage = False, self._outage
        while True:
            with self._changed:
                if moving and not self._stopping:
                    self._gather()
                self._woken = False
                if self._stopping and self._board.is_empty and not self._bank.ended:
                    return
            answers = self._bank.answers
            try:
                moving, pause = self._cycle()
                if self._bank.answers > answers:
                    outage.over()
            except StoreError as error:
                outage.refused(error)
                moving, pause = False, _STORE_PAUSE
                if self._stopping:
                    return
            except Exception:
                _log.exception("deliveries are looked at again in a moment")
                moving, pause = False, _STORE_PAUSE
            with self._changed:
                if not self._woken and pause > 0 and not (self._stopping and self._board.is_empty):
                    self._clock.wait(self._changed, pause)

    def _gather(self) -> None:
        """Let results come together, for one transaction: longer while the threads have enough to do without it."""
        if len(self._bank.ended) < _ENOUGH:
            self._clock.wait(self._full, min(_GATHER, max(_BREATH, self._took * _SHARE)))
        if len(self._bank.ended) < _ENOUGH and self._board.has_ready:
            self._gathering = True
            self._clock.wait(self._full, _GATHER)
            self._gathering = False

    def _cycle(self) -> tuple[bool, float]:
        """Record what has ended, claim what is due. Whether there was any, and how long there can be no more."""
        with self._changed:
            late = self._board.overdue(self._clock.monotonic())
            for flight in late:
                self._abandon(flight)
            if not self._stopping:
                self._crew.fill()
                self._board.threads = self._crew.working
        for flight in late:
            if flight.delivery is not None:
                self._end(self._sender.overdue(flight.delivery, timedelta(seconds=flight.deadline - flight.started)))
        begun = self._clock.monotonic()
        busy = self._bank.exchange(stopping=self._stopping)
        self._took = self._clock.monotonic() - begun
        while self._stopping and (tell := self._errand()) is not None:
            self._tell(tell)
        with self._changed:
            self._work.notify(self._board.begins)
            self._news += 1
            self._nothing_due = not busy and not self._woken
            self._changed.notify_all()
            waits = bool(self._bank.ended)
        return busy or waits, 0.0 if busy or waits else min(
            self._bank.pause(), self._settings.look_every.total_seconds()
        )

    def _abandon(self, flight: Flight) -> None:
        """Let another thread take the place of one that hangs, unless too many do."""
        what = "observers" if flight.delivery is None else f"channel '{flight.delivery.channel}'"
        if self._crew.hangs(replace=not self._stopping):
            _log.error("%s: no answer in %.0f s; another thread goes on", what, flight.deadline - flight.started)
        elif not self._stopping:
            _log.critical("%s hang(s); no thread takes the place of the one that waits", what)
        self._board.threads = self._crew.working

    def _end(self, attempt: Attempt) -> None:
        with self._changed:
            self._bank.landed(attempt)

    # ------------------------------------------------------------ sending

    def _deliver(self) -> None:
        while True:
            with self._changed:
                while (flight := self._next()) is None:
                    if self._stopping:
                        return
                    self._work.wait()
            attempt = self._carry_out(flight)
            with self._changed:
                if not flight.abandoned:
                    self._board.land(flight, self._clock.monotonic())
                    self._landed(attempt)
            if flight.abandoned and not self._is_back(attempt):
                return

    def _next(self) -> Flight | None:
        if self._stopping:
            return None
        return self._board.pick(self._clock.monotonic(), self._deadline)

    def _deadline(self, channel: str) -> float:
        destination = self._sender.destination(channel) if channel else None
        return _TELLING if destination is None else destination.thread_deadline.total_seconds()

    def _carry_out(self, flight: Flight) -> Attempt | None:
        if flight.delivery is not None:
            try:
                return self._sender.attempt(flight.delivery)
            except Exception:
                _log.exception("delivery '%s' is left until its lease runs out", flight.delivery.id[:8])
        elif flight.tell is not None:
            self._tell(flight.tell)
        return None

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            _log.exception("observers could not be told of a delivery")

    def _errand(self) -> Callable[[], None] | None:
        """What observers are still to be told, when no thread is there to do it."""
        with self._changed:
            return self._board.errands.popleft() if self._board.errands else None

    def _landed(self, attempt: Attempt | None) -> None:
        if attempt is not None:
            self._bank.landed(attempt)
        ended = len(self._bank.ended)
        if ended >= _ENOUGH or (self._gathering and not self._board.has_ready):
            self._full.notify_all()
        if ended == 1 or self._board.is_empty:
            self._woken = self._woken or ended > 0
            self._changed.notify_all()

    def _is_back(self, attempt: Attempt | None) -> bool:
        """Count a late answer, if it is one; whether this thread is needed."""
        if attempt is not None and attempt.error is None:
            self._bank.came_late(attempt)
        with self._changed:
            needed = self._crew.is_back() and not self._stopping
            self._board.threads = self._crew.working
            return needed
