"""What lets others know that the runs of this process are still under way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from tocsin.clock import Clock
from tocsin.hub.heartbeats import HEARTBEAT, Beat, beat_in, cell_of, taken_over, too_late
from tocsin.hub.turn import join
from tocsin.identity import Process, this_process
from tocsin.masked import logger
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import StoreError
from tocsin.threads import Begin, Threads
from tocsin_hooks.events import Event

_log = logger("tocsin.hub")

_UNHEARD = "no thread can be had for heartbeats, so a hub on another host may take the runs of this process for dead"
_SOON = timedelta(seconds=3)  # until a store that refused is asked again: others count the beats that are missing


def _nothing(text: str) -> None:
    """Do nothing."""


@dataclass(slots=True)
class _Run:
    began: Event
    beat: Beat
    stored: bool = False
    ended: bool = False
    lost: bool = False
    """Whether it was declared dead, or taken over, by others."""


class Heart:
    """Writes a heartbeat for each run that is under way, on one daemon thread; it starts with the first run.

    Nothing that the store does can fail a run. Inside a process that was forked off it does nothing. Where no thread
    can be had, heartbeats are written when something of a run is stored, and a thread is asked for again.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        every: timedelta = timedelta(seconds=15),
        dead_after: timedelta = timedelta(seconds=60),
        kept: timedelta = timedelta(days=30),
        begin: Begin = threading.Thread.start,
    ) -> None:
        self.supervisor: Process | None = None
        """Who waits for this process and announces how it ended."""
        self.on_lost: Callable[[str], None] = _nothing
        """Called with what to say when a run of this process turns out to have been declared dead."""
        self._store = store
        self._clock = clock
        self._every = every
        self._dead_after = max(dead_after, 3 * every)
        self._kept = kept
        self._pid = os.getpid()
        self._runs: dict[str, _Run] = {}
        self._changed = threading.Condition(threading.RLock())
        self._threads = Threads(_UNHEARD, _log, begin)
        self._thread: threading.Thread | None = None
        self._due = 0.0
        """When heartbeats are written next."""
        self._stopping = False

    @property
    def _ours(self) -> bool:
        return os.getpid() == self._pid

    # ------------------------------------------------------------ runs

    def begin(self, event: Event) -> None:
        """Let a run be known that begins with this event."""
        if not event.run_id or not self._ours:
            return
        beat = Beat(
            event=event.to_json(),
            token=self._clock.new_id(),
            process=this_process(),
            at=self._clock.now(),
            dead_after=self._dead_after,
            kept=self._kept,
            supervisor=self.supervisor,
        )
        with self._changed:
            if self._stopping:
                return
            run = self._runs[event.run_id] = _Run(event, beat)
            run.stored = self._write(lambda tx: tx.put(cell_of(beat, event.run_id)))
            self._start()

    def end(self, event: Event) -> None:
        """Write no more for a run, for its end is about to be stored."""
        with self._changed:
            if (run := self._runs.get(event.run_id)) is not None and self._ours:
                run.ended = True

    def forget(self, event: Event) -> None:
        """Let go of a run whose end is in the store."""
        with self._changed:
            if (run := self._runs.get(event.run_id)) is not None and run.ended:
                del self._runs[event.run_id]

    def token(self, run_id: str) -> str | None:
        """The token of a run of this process. Asked for with every event that may be stored."""
        run = self._runs.get(run_id)
        if self._thread is None and run is not None and self._ours and self._clock.monotonic() >= self._due:
            self._start()
            self._beat_and_wait()
        return None if run is None else run.beat.token

    def is_known(self, run_id: str) -> bool:
        """Whether the store has heard that a run of this process began."""
        run = self._runs.get(run_id)
        return run is not None and run.stored

    def stop(self, within: timedelta = timedelta(seconds=5)) -> None:
        """Write nothing more. The runs that are left have no end, but their process leaves them in good order."""
        if not self._ours:
            return
        with self._changed:
            self._stopping = True
            left, self._runs = self._runs, {}
            if left:
                self._write(lambda tx: _leave(tx, left))
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(within.total_seconds())

    # ------------------------------------------------------------ beating

    def beat(self) -> bool:
        """Say that all runs are under way; False when the store would not have it."""
        if not self._ours:
            return True
        with self._changed:  # held throughout: a run that ends meanwhile must not be written once more
            runs = {} if self._stopping else {i: run for i, run in self._runs.items() if not (run.ended or run.lost)}
            if not runs:
                return True
            now = self._clock.now()
            fresh = {run_id: replace(run.beat, at=now) for run_id, run in runs.items()}
            lost: dict[str, Beat] = {}
            if not self._write(lambda tx: lost.update(_beat(tx, fresh))):
                return False
            for run_id, beat in lost.items():
                run = runs[run_id]
                run.lost = True
                say = too_late if beat.token == run.beat.token else taken_over
                self.on_lost(say(run.began, beat))
        return True

    def _write(self, work: Callable[[Transaction], None]) -> bool:
        try:
            self._store.transact(work)
        except StoreError as error:
            _log.debug("heartbeats wait: %s", error)  # an event that is refused is said at ERROR
            return False
        return True

    def _start(self) -> None:
        with self._changed:
            if self._thread is None and not self._stopping:
                self._due = self._clock.monotonic() + self._every.total_seconds()
                self._thread = self._threads.begin(self._keep, "tocsin-heartbeat")

    def _keep(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                if (wait := self._due - self._clock.monotonic()) > 0:
                    self._clock.wait(self._changed, wait)
                    continue
            self._beat_and_wait()

    def _beat_and_wait(self) -> None:
        try:
            written = self.beat()
        except Exception:
            _log.exception("heartbeats failed; they are tried again")
            written = False
        pause = self._every if written else min(_SOON, self._every)
        self._due = self._clock.monotonic() + pause.total_seconds()


def _beat(tx: Transaction, fresh: dict[str, Beat]) -> dict[str, Beat]:
    """Write the heartbeats; what stands in the place of those that were declared dead or taken over."""
    lost = {}
    for run_id, beat in fresh.items():
        known = beat_in(tx.cell(HEARTBEAT, join(run_id)))
        if known is not None and (known.declared_at is not None or known.token != beat.token):
            lost[run_id] = known
        else:
            tx.put(cell_of(beat, run_id))
    return lost


def _leave(tx: Transaction, runs: dict[str, _Run]) -> None:
    for run_id, run in runs.items():
        known = beat_in(tx.cell(HEARTBEAT, join(run_id)))
        if known is not None and known.declared_at is None and known.token == run.beat.token:
            tx.drop(HEARTBEAT, join(run_id))
