"""The outboxes that every promise is checked on, and how tests fill them as the hub does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum

from support.postgres import shared_server
from tocsin.store.open import open_store
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Incident, Leased, Outcome, Planned, Sent
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt
from tocsin_hooks.testing import sample_event

NOON = pendulum.datetime(2024, 5, 6, 12)
MINUTE = timedelta(minutes=1)
KEY = "etl/load"


@dataclass(frozen=True)
class Kind:
    """A sort of outbox. `open` gives one more handle on the same database; one that is not `shared` has only one."""

    name: str
    open: Callable[[Path], Store]
    shared: bool = True


KINDS = (
    Kind("sqlite-file", lambda folder: SqliteStore(folder / "folder" / "tocsin.db")),
    Kind("sqlite-memory", lambda _: SqliteStore(Path(":memory:")), shared=False),
    Kind("postgres", lambda folder: open_store(url=shared_server().url(folder))),
)


@dataclass(frozen=True)
class Database:
    """A database that several handles can use, in one process or in many."""

    kind: Kind
    folder: Path

    def open(self) -> Store:
        return self.kind.open(self.folder)


class Writing:
    """Fills outboxes as the hub does, without what decides."""

    def event(self, name: str, **changes: Any) -> Event:
        return sample_event(id=name, time=changes.pop("time", NOON), sequence=None, **changes)

    def add(
        self,
        store: Store,
        name: str,
        *channels: str,
        action: Action = Action.OPEN,
        thread: str = "i1",
        now: datetime = NOON,
        **more: Any,
    ) -> list[Sent | None]:
        """Put an event into history, and plan its deliveries; with no thread each stands alone."""

        def work(tx: Transaction) -> list[Sent | None]:
            stored = tx.add_event(self.event(name))
            planned = [Planned(channel, "pages", action, thread=thread, **more) for channel in channels]
            return [tx.deliver(stored, None, each, now=now) for each in planned]

        return store.transact(work)

    def open_incident(self, store: Store, key: str = KEY, at: datetime = NOON) -> Incident:
        return store.transact(lambda tx: tx.put_incident(Incident(key, at)))

    def close_incident(self, store: Store, key: str = KEY, at: datetime = NOON) -> None:
        def work(tx: Transaction) -> None:
            incident = tx.incident(key)
            assert incident is not None
            tx.put_incident(replace(incident, closed_at=at))

        store.transact(work)

    def lease(self, store: Store, now: datetime = NOON, limit: int = 9, owner: str = "me") -> list[Leased]:
        return store.lease(now=now, ttl=MINUTE, limit=limit, owner=owner)

    def delivered(self, delivery: Leased, at: datetime = NOON, reference: Any = None) -> Outcome:
        return Outcome(delivery, at, timedelta(0), receipt=Receipt("ok", reference or {}))

    def failed(self, delivery: Leased, reason: Any, at: datetime = NOON, **more: Any) -> Outcome:
        return Outcome(delivery, at, timedelta(0), reason=reason, **more)
