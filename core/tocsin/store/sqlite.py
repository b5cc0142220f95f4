"""The outbox on SQLite."""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from tocsin.store import history, sqlite_claims as claims, sqlite_settling as settling
from tocsin.store.connection import Connection
from tocsin.store.lanes import LANE_PATIENCE
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
    to_micros,
)
from tocsin.store.sqlite_transaction import SqliteTransaction
from tocsin.store.summary import StoreSummary
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message

T = TypeVar("T")

__all__ = ["LANE_PATIENCE", "SqliteStore"]


class _Open(NamedTuple):
    """The keys of the open incidents, and how far the file had come then."""

    commits: bytes
    version: int | None
    keys: set[str]


_NOTHING_KNOWN = _Open(b"", None, set())
_CHANGES = struct.Struct("=8xI")  # what the head of the index of a log counts with each commit


class SqliteStore:
    """A `Store` in one SQLite file, shared by the threads of this process and by other processes of this host."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = Connection(path)
        self._known = _NOTHING_KNOWN
        self._guard = threading.Lock()

    # ------------------------------------------------------------ publishing

    def transact(self, work: Callable[[Transaction], T], *, keep: bool = True) -> T:
        """See `Store.transact`."""

        def decide(db: sqlite3.Connection) -> T:
            transaction = SqliteTransaction(db)
            result = work(transaction)
            if keep:
                self._note(transaction)
            return result

        if keep:
            return self._write(decide)
        with self._connection.write(keep=False) as db:
            return decide(db)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction, which it may share with what other threads want written at the same time."""
        before = b""

        def noticed(db: sqlite3.Connection) -> T:
            nonlocal before
            before = self._connection.commits()  # nobody else commits from here on
            return work(db)

        try:
            result = self._connection.writers.do(noticed)
        except BaseException:
            self._known = _NOTHING_KNOWN  # what was opened is undone
            raise
        self._go_on(before, self._connection.commits())
        return result

    def _note(self, transaction: SqliteTransaction) -> None:
        """Keep what it does to open incidents, before the connection is let go: nobody reads in between."""
        with self._guard:
            if transaction.closed:
                self._known = _NOTHING_KNOWN
            elif transaction.opened and self._known.version is not None:
                self._known.keys.update(transaction.opened)

    def _go_on(self, before: bytes, after: bytes) -> None:
        """Know the file as it is after a commit of this process, if there was no other."""
        if before and after and _CHANGES.unpack_from(after)[0] == _CHANGES.unpack_from(before)[0] + 1:
            with self._guard:
                if self._known.commits == before:
                    self._known = self._known._replace(commits=after)

    def is_open(self, incident_key: str) -> bool:
        """See `Store.is_open`."""
        known = self._known
        if not known.commits or known.commits != self._connection.commits():
            known = self._look_again()
        return incident_key in known.keys

    def any_open(self) -> bool:
        """See `Store.any_open`."""
        return bool(self._look_again().keys)

    def _look_again(self) -> _Open:
        """The keys of open incidents; read again only where they may be others."""
        with self._connection.read() as db:
            commits = self._connection.commits()  # first: what is committed from here on makes another look
            version = self._connection.changed_elsewhere()
            if version == self._known.version:  # the commits were our own
                known = self._known._replace(commits=commits)
            else:
                rows = db.execute("SELECT key FROM incidents WHERE closed_at IS NULL").fetchall()
                known = _Open(commits, version, {key for (key,) in rows})
            with self._guard:
                self._known = known
            return known

    def next_cell_due(self) -> datetime | None:
        """See `Store.next_cell_due`."""
        with self._connection.read() as db:
            [due] = db.execute("SELECT min(due_at) FROM cells WHERE due_at IS NOT NULL").fetchone()
        return None if due is None else from_micros(due)

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
        return self._write(
            lambda db: claims.claim(db, now=now, ttl=ttl, limit=limit, owner=owner, but=but, expired=expired)
        )

    def record(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """See `Store.record`."""
        return self._write(lambda db: settling.settle(db, outcomes)) if outcomes else []

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

        def work(db: sqlite3.Connection) -> tuple[list[bool], list[Leased]]:
            held = settling.settle(db, outcomes) if outcomes else []
            if limit <= 0:
                return held, []
            return held, claims.claim(db, now=now, ttl=ttl, limit=limit, owner=owner, but=but, expired=expired)

        return self._write(work)

    def renew(self, deliveries: Sequence[Leased], *, until: datetime, now: datetime | None = None) -> int:
        """See `Store.renew`."""
        return self._write(lambda db: settling.renew(db, deliveries, until, now))

    def give_back(self, deliveries: Sequence[Leased], *, now: datetime) -> int:
        """See `Store.give_back`."""
        return self._write(lambda db: settling.give_back(db, deliveries, now))

    def release(self, is_alive: Callable[[str], bool], *, now: datetime) -> int:
        """See `Store.release`."""
        with self._connection.read() as db:
            rows = db.execute(
                "SELECT DISTINCT owner FROM deliveries WHERE status = 'leased' AND owner != ''"
            ).fetchall()
        gone = [owner for (owner,) in rows if not is_alive(owner)]
        return self._write(lambda db: settling.release(db, gone, now)) if gone else 0

    def next_due(self, *, now: datetime, but: Collection[str] = ()) -> datetime | None:
        """See `Store.next_due`."""
        with self._connection.read() as db:
            return claims.next_due(db, now, but)

    def waiting(self, *, before: datetime, owner: str, now: datetime, but: Collection[str] = ()) -> int:
        """See `Store.waiting`."""
        with self._connection.read() as db:
            return claims.waiting(db, before=before, owner=owner, now=now, but=but)

    def revive(self, numbers: Sequence[int], *, now: datetime) -> int:
        """See `Store.revive`."""
        return self._write(lambda db: settling.revive(db, numbers, now))

    # ------------------------------------------------------------ history

    def events(self, *, since: datetime, until: datetime | None = None, limit: int | None = None) -> list[Event]:
        """See `Store.events`."""
        with self._connection.read() as db:
            return history.events(db, since, until, limit)

    def suppressions(self, *, event: str | None = None, since: datetime | None = None) -> list[Suppression]:
        """See `Store.suppressions`."""
        with self._connection.read() as db:
            return history.suppressions(db, event, since)

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
        with self._connection.read() as db:
            return history.deliveries(db, status=status, channel=channel, run_ids=run_ids, event=event, limit=limit)

    def delivery(self, prefix: str) -> list[DeliveryRecord]:
        """See `Store.delivery`."""
        with self._connection.read() as db:
            return history.deliveries_by_id(db, prefix)

    def attempts(self, number: int) -> list[AttemptRecord]:
        """See `Store.attempts`."""
        with self._connection.read() as db:
            return history.attempts(db, number)

    def summary(self, *, now: datetime, channels: Collection[str] = ()) -> StoreSummary:
        """See `Store.summary`."""
        with self._connection.read() as db:
            found = history.summary(db, now, channels)
        return replace(found, size=_bytes(self.path), wal=_bytes(self.path.with_name(self.path.name + "-wal")))

    def add_to_inbox(self, message: Message, *, now: datetime) -> None:
        """See `Store.add_to_inbox`."""
        self._write(lambda db: history.add_to_inbox(db, message, now))

    def inbox(self, *, limit: int | None = 50) -> list[InboxItem]:
        """See `Store.inbox`."""
        with self._connection.read() as db:
            return history.inbox(db, limit)

    def prune(self, *, before: datetime) -> int:
        """See `Store.prune`. Asked at every start: when nothing is old enough, that is all that is done."""
        with self._connection.read() as db:
            [anything] = db.execute(
                "SELECT EXISTS (SELECT 1 FROM events WHERE at < ?1)"
                " OR EXISTS (SELECT 1 FROM deliveries WHERE finished_at < ?1)",  # of a later event, by another clock
                (to_micros(before),),
            ).fetchone()
            if not anything:
                return 0
        with self._connection.write() as db:
            return history.prune(db, to_micros(before))

    def close(self) -> None:
        """See `Store.close`."""
        self._connection.close()


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
