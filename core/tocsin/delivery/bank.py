"""What passes between a worker and the store: claims, results, and the time that claims last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from tocsin.clock import Clock
from tocsin.crashpoints import Point, reached
from tocsin.delivery.admission import Gate
from tocsin.delivery.board import Board
from tocsin.delivery.breaker import Standing
from tocsin.delivery.dead_letters import DeadLetters
from tocsin.delivery.owner import is_alive
from tocsin.delivery.sender import Attempt, Sender
from tocsin.masked import logger
from tocsin.store.protocol import Store
from tocsin.store.records import Leased, StoreError
from tocsin.store.summary import DISABLED
from tocsin_hooks.messages import Reason, SendError

_log = logger("tocsin.delivery")

_NEVER = 3600.0
_MOMENT = timedelta(seconds=1)
_TOLD_AT_ONCE = 8  # deliveries of which observers are told in one go


class Bank:
    """Moves deliveries between the store and a board. The board is only touched under its lock, the store never."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        clock: Clock,
        board: Board,
        owner: str,
        lease: timedelta,
        lock: threading.RLock,
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._board = board
        self._owner = owner
        self._least_lease = lease
        self._lock = lock
        self.gate = Gate(store, sender, clock, board, lock)
        """Lets go what waits for the rate of its channel."""
        self._dead = DeadLetters(store, sender)
        self._known: object = None
        self._renew_at: float | None = None
        self._due: datetime | None = None
        self._shut: list[str] = []
        self._leaps = 0  # how often the clock was set, as far as was acted upon
        self._off: set[str] = set()  # channels that are written down as switched off
        self.answers = 0
        """How often the store took results and gave claims."""
        self.ended: list[Attempt] = []
        """What was tried, and is not recorded yet."""

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts: more than twice as long as any send."""
        longest = max((each.thread_deadline for each in self._sender.destinations.values()), default=timedelta(0))
        return max(self._least_lease, longest * 2 + timedelta(seconds=5))

    # ------------------------------------------------------------ results and claims

    def exchange(self, *, stopping: bool) -> bool:
        """Record what has ended and claim what is due; whether there may be more to do at once. Raises StoreError."""
        self._notice_config()
        self._notice_revived()
        mono, now = self._clock.monotonic(), self._clock.now()
        self._notice_leap(mono, now)
        with self._lock:
            attempts, self.ended = self.ended, []
            room = 0 if stopping else self._board.room()
            self._shut = self._board.shut(mono)
        try:
            claimed = self._settle(attempts, room, now, self._expired(mono, now))
        except BaseException:
            with self._lock:
                self.ended[:0] = attempts
            raise
        with self._lock:
            self._board.put(claimed, rated=self.gate.is_there)
            self._turn_away()
            given = self._board.give_up() if stopping else self._board.surrender(self._clock.monotonic())
        self._hand_back(given, now)
        self.gate.let_through(now)
        self._renew(mono)
        if room and not claimed:
            if self._store.release(is_alive, now=now):
                return True
            self._due = self._next_due(mono, now)
        elif claimed:
            self._due = None
        return bool(claimed or attempts)

    def _next_due(self, mono: float, now: datetime) -> datetime | None:
        due = self._store.next_due(now=now, but=self._shut)
        spared = self._expired(mono, now) is not None  # what is due may be a lease that is respected
        return max(due, now + _MOMENT) if due is not None and spared else due

    def _settle(self, attempts: list[Attempt], room: int, now: datetime, expired: datetime | None) -> list[Leased]:
        """Record, claim, and tell what became of it."""
        if not attempts and not room:
            return []
        self._off |= self._dead.announce(attempts, now)
        outcomes = [attempt.outcome for attempt in attempts]
        if outcomes:
            reached(Point.RECORD_BEGUN)
        held, claimed = self._store.exchange(
            outcomes, now=now, ttl=self.lease, limit=room, owner=self._owner, but=self._shut, expired=expired
        )
        self.answers += 1
        self._dead.recorded(attempts)
        if outcomes:
            reached(Point.RECORD_DONE)
        if claimed:
            reached(Point.CLAIMED)
        tells = [each.tell for each, own in zip(attempts, held, strict=True) if own and each.tell is not None]
        for attempt, own in zip(attempts, held, strict=True):
            if not own:
                number = attempt.outcome.delivery.id[:8]
                _log.warning("delivery '%s' took longer than its lease; another worker has it", number)
        with self._lock:
            for start in range(0, len(tells), _TOLD_AT_ONCE):
                self._board.errands.append(partial(_tell, tells[start : start + _TOLD_AT_ONCE]))
        return claimed

    def landed(self, attempt: Attempt) -> None:
        """Keep what came of an attempt until it is recorded, and learn from it at once. The lock is held."""
        self.ended.append(attempt)
        breaker, now = self._board.line(attempt.outcome.delivery.channel).breaker, self._clock.monotonic()
        if attempt.error is None:
            if attempt.outcome.receipt is not None and attempt.outcome.receipt.sent:
                breaker.succeeded()
            return
        if attempt.cut_off:  # by this process: it says nothing of the channel
            return
        channel, before = attempt.outcome.delivery.channel, breaker.standing(now)
        breaker.failed(attempt.error, now=now)
        if (after := breaker.standing(now)) is before or before is Standing.OFF:
            return
        if after is Standing.OFF:
            _log.critical(
                "channel '%s' is switched off: %s; nothing more is sent there until the config is changed, or one of "
                "its deliveries is revived with 'tocsin deliveries retry'", channel, breaker.detail,
            )  # fmt: skip
        elif after is Standing.OPEN and before is Standing.CLOSED:
            _log.error(
                "channel '%s' has failed %d time(s) in a row and is left alone for %.0f s; its deliveries wait: %s",
                channel, breaker.failures, (breaker.until or now) - now, breaker.detail,
            )  # fmt: skip

    def came_late(self, attempt: Attempt) -> None:
        """Record an answer that came after its deadline: it counts if nobody has taken the delivery over."""
        delivery = attempt.outcome.delivery
        try:
            [held] = self._store.record([attempt.outcome])
        except StoreError as error:
            _log.error("a late answer for delivery '%s' could not be recorded: %s", delivery.id[:8], error)
            return
        if held:
            _log.warning("delivery '%s' was accepted after its deadline, and counts", delivery.id[:8])
            with self._lock:
                if attempt.tell is not None:
                    self._board.errands.append(attempt.tell)
                self._board.line(delivery.channel).breaker.succeeded()
        else:
            _log.warning("delivery '%s' was accepted after its deadline; it may arrive twice", delivery.id[:8])

    def _turn_away(self) -> None:
        """End what was claimed for channels that are switched off: it is not tried."""
        now = self._clock.monotonic()
        for line in self._board.lines.values():
            if line.breaker.standing(now) is not Standing.OFF:
                continue
            text = f"not tried, since the channel is switched off: {line.breaker.detail}"
            for delivery in (*line.ready, *line.rated):
                self.ended.append(self._sender.refused(delivery, SendError(Reason.GONE, text, permanent=True)))
            line.ready.clear()
            line.rated.clear()

    # ------------------------------------------------------------ what changes the standing of channels

    def _notice_config(self) -> None:
        destinations = self._sender.destinations
        if destinations is self._known:
            return
        with self._lock:
            if self._known is not None:
                for line in self._board.lines.values():
                    line.breaker.succeeded()
            self._off.clear()
            self._known = destinations
            self._board.alone = len(destinations) == 1
            self._board.one_at_a_time = {name for name, each in destinations.items() if each.isolated}
            self.gate.forget()

    def _notice_leap(self, mono: float, now: datetime) -> None:
        """Prolong claims at once when the clock was set: to others they may seem to be over."""
        self._sender.leaps.look_at(self._clock)
        if self._sender.leaps.count == self._leaps:
            return
        self._leaps = self._sender.leaps.count
        _log.warning("the clock of this host was set; it is %s now", now.isoformat(timespec="seconds"))
        self._renew_at = mono
        with self._lock:
            self.gate.forget()

    def _expired(self, mono: float, now: datetime) -> datetime | None:
        """By when the lease of another must have ended to be over."""
        return self._sender.leaps.expired(now, mono, lease=self.lease.total_seconds())

    def _notice_revived(self) -> None:
        if not self._off:
            return
        off = sorted(self._off)
        on = self._store.transact(lambda tx: [each for each in off if tx.cell(DISABLED, each) is None], keep=False)
        self._off -= set(on)
        with self._lock:
            for channel in on:
                self._board.line(channel).breaker.succeeded()

    # ------------------------------------------------------------ while deliveries are held

    def _hand_back(self, given: list[Leased], now: datetime) -> None:
        if given:
            self._store.give_back(given, now=now)

    def _renew(self, now: float) -> None:
        """Prolong all claims, all at once, before a third of their time has passed."""
        with self._lock:
            held = self._board.all_held()
        if not held:
            self._renew_at = None
            return
        third = self.lease.total_seconds() / 3
        if self._renew_at is None:
            self._renew_at = now + third
        elif now >= self._renew_at:
            at = self._clock.now()
            self._store.renew(held, until=at + self.lease, now=at)
            self._renew_at = now + third

    def left(self, before: datetime, ends: float) -> tuple[int, int]:
        """How many deliveries are left, and of how many of them the channels are left alone until later.

        Raises StoreError.
        """
        now = self._clock.now()
        left = self._store.waiting(before=before, owner=self._owner, now=now)
        with self._lock:
            lines = self._board.lines.items()
            alone = [channel for channel, line in lines if (line.breaker.until or 0.0) > ends]
            alone += self.gate.held_back(before)
        if not left or not alone:
            return left, 0
        return left, left - self._store.waiting(before=before, owner=self._owner, now=now, but=alone)

    def pause(self) -> float:
        """Seconds until there can be something to do that nobody wakes the worker for."""
        mono, now = self._clock.monotonic(), self._clock.now()
        with self._lock:
            lines = self._board.lines
            moments = [self._board.next_deadline(), self._renew_at]
            moments += [
                line.breaker.until for line in lines.values() if line.breaker.until and line.breaker.until > mono
            ]
            slots = self.gate.slots()
        waits = [moment - mono for moment in moments if moment is not None]
        waits += [(at - now).total_seconds() for at in (*slots, self._due) if at is not None]
        return max(0.001, min(waits, default=_NEVER))


def _tell(tells: Sequence[Callable[[], None]]) -> None:
    for tell in tells:
        try:
            tell()
        except Exception:
            _log.exception("observers could not be told of a delivery")
