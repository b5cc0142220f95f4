"""What an earlier tocsin wrote is taken up: what waits is sent, what is open recovers, what is past is still told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.outboxes import MINUTE, NOON, Writing
from tocsin.hub.engine import Engine
from tocsin.hub.policy import Policy
from tocsin.hub.turn import Result
from tocsin.routing.router import Route, Router
from tocsin.store.records import Status, delivery_id, from_micros, to_micros
from tocsin.store.schema import MIGRATIONS
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.messages import Action, Receipt
from tocsin_hooks.testing import sample_event

OPENED = NOON.add(microseconds=123_457)
KEY = "warehouse/etl\\%2Fx/load"
FLOW = "etl\\/x"
PROBLEMS = when("is_failed or is_retrying")


def of_state(name: str, state: str, *family: str, run: str = "run1", **more: object) -> Event:
    return sample_event(
        id=name, time=OPENED, flow=FLOW, run_id=run, state=state, state_family=(state, *family), sequence=None, **more
    )


class Old:
    """A database as tocsin 0.1 wrote it: what its tables take, no more."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(MIGRATIONS[0])
        self.db.execute("PRAGMA user_version = 1")

    def incident(self, key: str, *, closed: bool = False) -> int:
        at = to_micros(OPENED)
        return self._add("incidents", key=key, opened_at=at, closed_at=at + 1 if closed else None)

    def event(self, event: Event, incident: int | None) -> int:
        return self._add("events", id=event.id, at=to_micros(OPENED), incident=incident, body=event.to_json())

    def delivery(self, event: int, incident: int | None, channel: str, status: str, name: str, action: str) -> None:
        at = to_micros(OPENED)
        self._add(
            "deliveries", id=delivery_id(name, channel), event=event, incident=incident, channel=channel,
            route="pages", action=action, template="short", status=status, created_at=at, due_at=at,
            finished_at=None if status == "pending" else at,
        )  # fmt: skip

    def receipt(self, incident: int, channel: str, receipt: Receipt) -> None:
        self._add("receipts", incident=incident, channel=channel, receipt=json.dumps(receipt.to_dict()))

    def _add(self, table: str, **values: object) -> int:
        marks = ", ".join("?" * len(values))
        cursor = self.db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
        return cursor.lastrowid or 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An open incident: `ops` was told that it was retried, and waits for the failure; `mail` never took it."""
    old = Old(tmp_path / "tocsin.db")
    past = old.incident("warehouse/past/load", closed=True)
    old.delivery(old.event(of_state("p", "Failed", "Failed", "Finished"), past), past, "ops", "delivered", "p", "open")
    old.receipt(past, "ops", Receipt("posted", {"ts": "16.0"}))
    number = old.incident(KEY)
    first = old.event(of_state("e1", "Retrying", "Scheduled", "Pending"), number)
    second = old.event(of_state("e2", "Failed", "Finished", run="run2"), number)
    old.delivery(first, number, "ops", "delivered", "e1", "open")
    old.delivery(second, number, "ops", "pending", "e2", "update")
    old.delivery(second, number, "mail", "dead", "e2", "open")
    old.receipt(number, "ops", Receipt("posted", {"ts": "17.5"}))
    alone = old.event(of_state("s1", "Success", "Finished", task="other"), None)
    old.delivery(alone, None, "log", "pending", "s1", "event")
    old.db.close()
    store = SqliteStore(tmp_path / "tocsin.db")
    yield store
    store.close()


def engine() -> Engine:
    return Engine(Policy(Router((Route("pages", PROBLEMS, ("ops", "mail")),), opens=PROBLEMS)))


def take(store: SqliteStore, event: Event) -> Result:
    return store.transact(lambda tx: engine().take(tx, event, now=NOON + MINUTE))


def test_a_delivery_that_waited_is_sent_as_it_was_planned_with_the_receipt_before_it(
    store: SqliteStore, write: Writing
) -> None:
    update, alone = write.lease(store, NOON + MINUTE)
    assert (update.id, update.channel, update.route, update.action, update.template, update.event.id) == (
        delivery_id("e2", "ops"), "ops", "pages", Action.UPDATE, "short", "e2",
    )  # fmt: skip
    assert update.previous == Receipt("posted", {"ts": "17.5"})
    assert (update.planned.incident, update.planned.opened_at, update.planned.events) == (KEY, OPENED, ("e2",))
    assert (alone.channel, alone.action, alone.previous) == ("log", Action.EVENT, None)
    assert (alone.planned.thread, alone.planned.incident, alone.planned.opened_at) == ("", "", None)


def test_an_incident_that_was_open_recovers_where_it_was_told(store: SqliteStore, write: Writing) -> None:
    assert store.is_open(KEY)
    store.transact(lambda tx: engine().prepare(tx, NOON + MINUTE))
    result = take(store, of_state("e3", "Success", "Finished", run="run3"))
    [sent] = result.sent
    assert (sent.planned.channel, sent.planned.action, sent.planned.route) == ("ops", Action.RECOVER, "pages")
    assert (sent.planned.incident, sent.planned.opened_at) == (KEY, OPENED)
    assert not store.is_open(KEY)
    first, _ = write.lease(store, NOON + MINUTE)
    assert first.event.id == "e2"
    store.record([write.delivered(first, reference={"ts": "17.5"})])
    [recovery] = write.lease(store, NOON + MINUTE)
    assert recovery.id == sent.id
    assert recovery.previous == Receipt("ok", {"ts": "17.5"})
    assert store.transact(lambda tx: tx.cells("group") + tx.cells("member"), keep=False) == []


def test_an_incident_that_was_open_goes_on_and_tells_whom_it_had_not_reached(store: SqliteStore) -> None:
    again = take(store, of_state("e3", "Failed", "Finished", run="run3"))
    assert {(s.planned.channel, s.planned.action) for s in again.sent} == {
        ("ops", Action.UPDATE),
        ("mail", Action.OPEN),
    }
    over = take(store, of_state("e4", "Success", "Finished", run="run3"))
    assert {(s.planned.channel, s.planned.action) for s in over.sent} == {
        ("ops", Action.RECOVER),
        ("mail", Action.RECOVER),
    }


def test_an_open_incident_knows_what_its_events_say_and_a_closed_one_when_it_was(store: SqliteStore) -> None:
    past, current = store.transact(lambda tx: (tx.incident_numbered(1), tx.incident(KEY)), keep=False)
    assert past is not None
    assert current is not None
    assert (past.key, past.opened_at, past.closed_at) == (
        "warehouse/past/load", OPENED, from_micros(to_micros(OPENED) + 1),
    )  # fmt: skip
    assert (current.event, current.state, current.run_id, current.failures) == ("e2", "Failed", "run1", 1)
    assert (current.opened_at, current.closed_at, current.channels) == (OPENED, None, ("mail", "ops"))
    assert store.transact(lambda tx: len(tx.cells("group")), keep=False) == 1


def test_history_is_still_told_and_a_dead_delivery_can_be_revived(store: SqliteStore, write: Writing) -> None:
    assert [(d.channel, d.status) for d in store.deliveries()] == [
        ("log", Status.PENDING),
        ("mail", Status.DEAD),
        ("ops", Status.PENDING),
        ("ops", Status.DELIVERED),
        ("ops", Status.DELIVERED),
    ]
    [dead] = store.deliveries(status=Status.DEAD)
    store.revive([dead.number], now=NOON + MINUTE)
    [mail] = [d for d in write.lease(store, NOON + MINUTE) if d.channel == "mail"]
    assert (mail.planned.incident, mail.planned.thread, mail.previous) == (KEY, "i2", None)
    assert store.prune(before=NOON + timedelta(days=1)) == 2


def test_a_database_that_two_open_at_once_is_brought_up_to_date_once(store: SqliteStore) -> None:
    other = SqliteStore(store.path)
    assert other.is_open(KEY)
    assert store.is_open(KEY)
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()
    other.close()


def test_an_empty_database_of_version_1_is_opened_too(tmp_path: Path) -> None:
    old = Old(tmp_path / "tocsin.db")
    old.incident("told to nobody")
    old.db.close()
    store = SqliteStore(tmp_path / "tocsin.db")
    [kept] = store.transact(lambda tx: tx.open_incidents(), keep=False)
    assert replace(kept, number=None).key == "told to nobody"
    assert (kept.event, kept.failures, kept.channels) == ("", 0, ())
    store.close()
