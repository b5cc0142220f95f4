"""A row that cannot be read ends by itself: what is behind it is delivered, and history still shows it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.outboxes import NOON, Database, Writing
from tocsin.store.protocol import Store
from tocsin.store.records import Outcome, Status
from tocsin.store.unreadable import REASON, fault_of

LATER = NOON + timedelta(minutes=5)
LONG_AGO = NOON - timedelta(days=9)


@pytest.fixture
def outbox(database: Database) -> Any:
    store = database.open()
    yield store
    store.close()


def spoil(outbox: Any, table: str, column: str, value: str, where: str) -> None:
    statement = f"UPDATE {table} SET {column} = '{value}' WHERE {where}"
    if hasattr(outbox, "path"):
        with outbox._connection.write() as db:
            db.execute(statement)
    else:
        outbox._own.reading.transact(lambda db: db.execute(statement.encode()))


SPOILT = [
    ("events", "body", "{", "id = ''e1''"),
    ("events", "body", "[]", "id = ''e1''"),
    ("events", "body", '{"version": 99}', "id = ''e1''"),
    ("deliveries", "body", '{"channel": 7}', "number = 1"),
    ("deliveries", "action", "sing", "number = 1"),
]


@pytest.mark.parametrize(("table", "column", "value", "where"), SPOILT)
@pytest.mark.parametrize("thread", ["", "i1"])
def test_a_delivery_that_cannot_be_read_is_dead_and_holds_up_no_other(
    outbox: Store, write: Writing, table: str, column: str, value: str, where: str, thread: str
) -> None:
    for name in ("e1", "e2", "e3"):
        write.add(outbox, name, "ops", thread=thread)
    spoil(outbox, table, column, value, where.replace("''", "'"))
    arrived = []
    for _ in range(4):
        for delivery in write.lease(outbox, LATER):
            if fault := fault_of(delivery):
                unreadable = Outcome(delivery, LATER, timedelta(0), reason=REASON, detail=fault)
                assert outbox.record([unreadable]) == [True]
                continue
            arrived.append(delivery.event.id)
            assert outbox.record([write.delivered(delivery, LATER)]) == [True]
    assert arrived == ["e2", "e3"]
    [dead] = outbox.deliveries(status=Status.DEAD)
    assert (dead.number, dead.reason) == (1, "payload")
    assert dead.detail.startswith("it cannot be read: ")
    assert [attempt.outcome for attempt in outbox.attempts(1)] == ["dead"]


def test_history_shows_what_can_be_read(outbox: Store, write: Writing, tmp_path: Path) -> None:
    for name in ("e1", "e2"):
        write.add(outbox, name, "ops")
    spoil(outbox, "events", "body", "{", "id = 'e1'")
    assert [event.id for event in outbox.events(since=LONG_AGO)] == ["e2"]
    assert [each.event.flow for each in outbox.deliveries()] == ["etl", "unreadable"]
