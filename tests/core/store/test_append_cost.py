"""What it takes to store an event and its delivery, counted: no figure here depends on the machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.outboxes import NOON
from tocsin.store.coding import dump
from tocsin.store.protocol import Transaction
from tocsin.store.records import Planned
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action
from tocsin_hooks.testing import sample_event

PLANNED = Planned("ops", "pages", Action.EVENT)
FRAME = 4096 + 24  # bytes of one page in the log


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "tocsin.db")
    yield store
    store.close()


def event(n: int) -> Event:
    return sample_event(id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))), time=NOON.add(seconds=n), sequence=None)


def append(tx: Transaction, n: int) -> None:
    tx.deliver(tx.add_event(event(n)), None, PLANNED, now=NOON)


def log_of(store: SqliteStore) -> int:
    return store.path.with_name("tocsin.db-wal").stat().st_size


def test_an_event_and_its_delivery_change_few_pages(store: SqliteStore) -> None:
    for n in range(100):
        store.transact(lambda tx, n=n: append(tx, n))  # type: ignore[misc]
    before = log_of(store)
    for n in range(100, 200):
        store.transact(lambda tx, n=n: append(tx, n))  # type: ignore[misc]
    assert (log_of(store) - before) / FRAME / 100 < 9


def test_many_that_are_stored_at_once_change_few_pages_each(store: SqliteStore) -> None:
    def many(tx: Transaction) -> None:
        for n in range(100):
            append(tx, n)

    store.transact(lambda tx: append(tx, -1))
    before = log_of(store)
    store.transact(many)
    assert (log_of(store) - before) / FRAME / 100 < 0.6


def test_what_is_queued_takes_at_most_half_as_much_again_as_it_says(store: SqliteStore) -> None:
    def many(tx: Transaction) -> None:
        for n in range(3000):
            append(tx, n)

    store.transact(many)
    store.close()
    payload = len(event(0).to_json()) + len(dump(PLANNED))
    assert store.path.stat().st_size / 3000 < 1.5 * payload
