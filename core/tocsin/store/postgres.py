"""The outbox on PostgreSQL, for processes of many hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from tocsin.clock import Clock, SystemClock
from tocsin.store import postgres_claims as claims, postgres_history as history, postgres_settling as settling
from tocsin.store.postgres_connection import Counted, Server
from tocsin.store.postgres_deciding import Piece
from tocsin.store.postgres_process import Own, Settling
from tocsin.store.postgres_schema import Db
from tocsin.store.protocol import Transaction
from tocsin.store.records import (
    AttemptRecord,
    DeliveryRecord,
    InboxItem,
    Leased,
    Outcome,
    Status,
    Suppression,
    from_micros,
)
from tocsin.store.summary import StoreSummary
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message

T = TypeVar("T")


class PostgresStore:
    """A `Store` in a PostgreSQL database, shared by the threads of this process and by processes of any host.

    `url` is asked for whenever a connection is made, since a password may change. What decides runs one after the
    other, whoever asks for it, and threads of one process that ask at once share a commit; the work they give to
    `transact` may be done more than once before it is committed. Claims wait for nobody.
    """

    def __init__(self, url: Callable[[], str], clock: Clock | None = None) -> None:
        self._server = Server(url, clock or SystemClock())
        self._pid = os.getpid()
        self._mine = Own(self._server)
        self._of_parents: list[Own] = []

    def __repr__(self) -> str:
        return f"PostgresStore({self._server.name!r})"

    @property
    def _own(self) -> Own:
        if self._pid != os.getpid():  # a forked child must touch neither the parent's connections nor its locks
            self._of_parents.append(self._mine)  # kept, lest they be closed for both
            self._mine, self._pid = Own(self._server), os.getpid()
        return self._mine

    # ------------------------------------------------------------ publishing

    def transact(self, work: Callable[[Transaction], T], *, keep: bool = True) -> T:
        """See `Store.transact`."""
        piece = Piece(work, keep=keep)
        self._own.deciders.take_turn(piece)
        result: T = piece.result
        return result

    def is_open(self, incident_key: str) -> bool:
        """See `Store.is_open`. Asked of the server each time: nothing here could know of what another host opened."""
        return self._asks(
            "SELECT EXISTS (SELECT FROM incidents WHERE hashtextextended(key, 0) = hashtextextended(%(key)s, 0)"
            " AND key = %(key)s AND closed_at IS NULL)",
            {"key": incident_key},
        )

    def any_open(self) -> bool:
        """See `Store.any_open`."""
        return self._asks("SELECT EXISTS (SELECT FROM incidents WHERE closed_at IS NULL)", {})

    def _asks(self, question: str, values: dict[str, str]) -> bool:
        row = self._own.asking.look(lambda db: db.execute(question.encode(), values).fetchone())
        return row is not None and bool(row[0])

    def next_cell_due(self) -> datetime | None:
        """See `Store.next_cell_due`."""
        row = self._own.asking.look(
            lambda db: db.execute("SELECT min(due_at) FROM cells WHERE due_at IS NOT NULL").fetchone()
        )
        return None if row is None or row[0] is None else from_micros(row[0])

    def wait_hint(self, timeout: float) -> bool:
        """Wait until some process planned something, for at most `timeout` seconds; False when nothing was heard.

        Only a hint: what was planned while nobody listened is not told of.
        """

        def listen(db: Db) -> bool:
            return any(True for _ in db.notifies(timeout=timeout, stop_after=1))

        return self._own.listening.look(listen)

    # ------------------------------------------------------------ delivering

    def lease(
        self,
        *,
        now: datetime,
        ttl: timedelta,
        limit: int,
        owner: str,
        but: Collection[str] = (),
        expired: datetime | None = None,
    ) -> list[Leased]:
        """See `Store.lease`."""
        return self.exchange((), now=now, ttl=ttl, limit=limit, owner=owner, but=but, expired=expired)[1]

    def record(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """See `Store.record`."""
        settling = Settling(outcomes)
        if outcomes:
            self._own.settlers.take_turn(settling)
        return settling.held

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        *,
        now: datetime,
        ttl: timedelta,
        limit: int,
        owner: str,
        but: Collection[str] = (),
        expired: datetime | None = None,
    ) -> tuple[list[bool], list[Leased]]:
        """See `Store.exchange`."""

        def work(db: Db, again: bool) -> tuple[list[bool], list[Leased]]:
            held = settling.settle(db, outcomes, repeated=again) if outcomes else []
            if limit <= 0:
                return held, []
            return held, claims.claim(
                db, now=now, ttl=ttl, limit=limit, owner=owner, but=but, expired=expired, repeated=again
            )

        return self._own.claiming.transact(Counted(work), piped=True)

    def renew(self, deliveries: Sequence[Leased], *, until: datetime, now: datetime | None = None) -> int:
        """See `Store.renew`."""
        return self._own.claiming.transact(lambda db: settling.renew(db, deliveries, until, now))

    def give_back(self, deliveries: Sequence[Leased], *, now: datetime) -> int:
        """See `Store.give_back`."""
        return self._own.claiming.transact(lambda db: settling.give_back(db, deliveries, now), again=False)

    def release(self, is_alive: Callable[[str], bool], *, now: datetime) -> int:
        """See `Store.release`."""
        own = self._own
        gone = [owner for owner in own.asking.look(settling.owners) if not is_alive(owner)]
        return own.claiming.transact(lambda db: settling.release(db, gone, now)) if gone else 0

    def next_due(self, *, now: datetime, but: Collection[str] = ()) -> datetime | None:
        """See `Store.next_due`."""
        return self._own.asking.look(lambda db: claims.next_due(db, now, but))

    def waiting(self, *, before: datetime, owner: str, now: datetime, but: Collection[str] = ()) -> int:
        """See `Store.waiting`."""
        return self._own.asking.look(lambda db: claims.waiting(db, before=before, owner=owner, now=now, but=but))

    def revive(self, numbers: Sequence[int], *, now: datetime) -> int:
        """See `Store.revive`."""
        return self._own.claiming.transact(lambda db: settling.revive(db, numbers, now), locked=True, again=False)

    # ------------------------------------------------------------ history

    def events(self, *, since: datetime, until: datetime | None = None, limit: int | None = None) -> list[Event]:
        """See `Store.events`."""
        return self._own.reading.look(lambda db: history.events(db, since, until, limit))

    def suppressions(self, *, event: str | None = None, since: datetime | None = None) -> list[Suppression]:
        """See `Store.suppressions`."""
        return self._own.reading.look(lambda db: history.suppressions(db, event, since))

    def deliveries(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        run_ids: Sequence[str] | None = None,
        event: str | None = None,
        limit: int | None = 100,
    ) -> list[DeliveryRecord]:
        """See `Store.deliveries`."""
        return self._own.reading.look(
            lambda db: history.deliveries(db, status=status, channel=channel, run_ids=run_ids, event=event, limit=limit)
        )

    def delivery(self, prefix: str) -> list[DeliveryRecord]:
        """See `Store.delivery`."""
        return self._own.reading.look(lambda db: history.deliveries_by_id(db, prefix))

    def attempts(self, number: int) -> list[AttemptRecord]:
        """See `Store.attempts`."""
        return self._own.reading.look(lambda db: history.attempts(db, number))

    def summary(self, *, now: datetime, channels: Collection[str] = ()) -> StoreSummary:
        """See `Store.summary`."""
        return self._own.reading.look(lambda db: history.summary(db, now, channels))

    def add_to_inbox(self, message: Message, *, now: datetime) -> None:
        """See `Store.add_to_inbox`."""
        self._own.settling.transact(lambda db: history.add_to_inbox(db, message, now))

    def inbox(self, *, limit: int | None = 50) -> list[InboxItem]:
        """See `Store.inbox`."""
        return self._own.reading.look(lambda db: history.inbox(db, limit))

    def prune(self, *, before: datetime) -> int:
        """See `Store.prune`. Many short transactions: nobody who publishes waits long for one."""
        lane = self._own.reading
        if not lane.look(lambda db: history.has_old(db, before)):
            return 0
        counts = []
        for statement in history.FORGET:
            forget = partial(history.forget, statement=statement, before=before)
            count = some = lane.transact(forget, locked=True)
            while some >= history.AT_A_TIME:
                some = lane.transact(forget, locked=True)
                count += some
            counts.append(count)
        return counts[0]

    def close(self) -> None:
        """See `Store.close`."""
        self._own.close()
