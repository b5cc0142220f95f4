"""What the tocsin before this one wrote is taken up, on both databases: its tables hold data when they change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql

from support.outboxes import KEY, MINUTE, NOON, Writing
from support.postgres import Server, shared_server
from tocsin.store import postgres_schema, schema
from tocsin.store.coding import dump
from tocsin.store.postgres import PostgresStore
from tocsin.store.protocol import Store
from tocsin.store.records import Cell, Incident, Planned, Status, Suppression, delivery_id, to_micros
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Action, Receipt
from tocsin_hooks.testing import sample_event

AT = to_micros(NOON)
INCIDENT = Incident(KEY, NOON, event="e1", state="Failed", run_id="r1", failures=1, channels=("mail", "ops"))
WAITS = Planned("ops", "pages", Action.UPDATE, template="short", thread="i1", incident=KEY, events=("e2",))


class Earlier(Protocol):
    """A database as the tocsin before this one wrote it."""

    def add(self, table: str, **values: Any) -> None: ...

    def open(self) -> Store: ...


class EarlierSqlite:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "tocsin.db"
        self._db = sqlite3.connect(self._path, isolation_level=None)
        for step in schema.MIGRATIONS[:2]:
            self._db.executescript(step)
        self._db.execute("PRAGMA user_version = 2")

    def add(self, table: str, **values: Any) -> None:
        values.pop("run_id", None)
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))

    def open(self) -> Store:
        self._db.execute("DELETE FROM events WHERE id = 'gone'")
        self._db.close()
        return SqliteStore(self._path)


class EarlierPostgres:
    def __init__(self, server: Server, folder: Path) -> None:
        self._url = server.url(folder)
        self._db = psycopg.connect(self._url, autocommit=True)
        self._db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(server.schema(folder))))
        self._db.execute("CREATE TABLE schema_version (version integer NOT NULL)")
        self._db.execute("INSERT INTO schema_version (version) VALUES (1)")
        self._db.execute(postgres_schema.MIGRATIONS[0].encode())

    def add(self, table: str, **values: Any) -> None:
        marks = ", ".join(["%s"] * len(values))
        over = "OVERRIDING SYSTEM VALUE" if table == "deliveries" else ""
        query = f"INSERT INTO {table} ({', '.join(values)}) {over} VALUES ({marks})"
        self._db.execute(query.encode(), tuple(values.values()))

    def open(self) -> Store:
        self._db.execute("DELETE FROM events WHERE id = 'gone'")
        self._db.execute("UPDATE counters SET value = 4 WHERE name = 'events'")
        self._db.execute("UPDATE counters SET value = 1 WHERE name = 'incidents'")
        self._db.execute("ALTER TABLE deliveries ALTER COLUMN number RESTART WITH 5")
        self._db.close()
        return PostgresStore(lambda: self._url)


def deliver(earlier: Earlier, number: int, planned: Planned, event: int, status: Status, **more: Any) -> None:
    key = delivery_id(f"e{event}", planned.channel)
    earlier.add(
        "deliveries", number=number, id=key, event=event, incident=1, channel=planned.channel, route=planned.route,
        action=str(planned.action), template=planned.template, status=str(status), created_at=AT, thread=planned.thread,
        body=dump(planned), **{"due_at": AT, **more},
    )  # fmt: skip


def fill(earlier: Earlier) -> Store:
    earlier.add("incidents", number=1, key=KEY, opened_at=AT, closed_at=None, body=dump(INCIDENT))
    for number, name in enumerate(("e1", "e2", "e3", "gone"), 1):
        event = sample_event(id=name, time=NOON, sequence=None, run_id=f"r{number}")
        body = event.to_json()  # with all fields, as it was written then
        earlier.add("events", sequence=number, id=name, at=AT, incident=1, run_id=event.run_id, body=body)
    told = Planned("ops", "pages", Action.OPEN, thread="i1", incident=KEY, events=("e1",))
    deliver(earlier, 1, told, 1, Status.DELIVERED, finished_at=AT, attempts=1, token=1)
    deliver(earlier, 2, WAITS, 2, Status.PENDING)
    deliver(
        earlier, 3, Planned("mail", "pages", Action.OPEN), 3, Status.DEAD, finished_at=AT, attempts=8, reason="auth"
    )
    deliver(
        earlier, 4, Planned("log", "pages", Action.EVENT), 3, Status.LEASED, owner="gone", token=3, attempts=3,
        due_at=to_micros(NOON + MINUTE),
    )  # fmt: skip
    earlier.add(
        "receipts", thread="i1", channel="ops", receipt=json.dumps(Receipt("ok", {"ts": "1.5"}).to_dict()), at=AT
    )
    earlier.add("cells", kind="group", key="g1", parent="pages", subject="i1", due_at=AT, body="{}")
    earlier.add(
        "suppressions", at=AT, event="e3", route="pages", channel="sms", stage="silence", rule="s1", reason="asleep"
    )
    return earlier.open()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    earlier = EarlierSqlite(tmp_path) if request.param == "sqlite" else EarlierPostgres(shared_server(), tmp_path)
    store = fill(earlier)
    yield store
    store.close()


def test_what_waited_is_sent_as_it_was_planned_with_the_receipt_before_it(store: Store, write: Writing) -> None:
    [waits] = write.lease(store)
    assert (waits.id, waits.planned, waits.event.id, waits.event.sequence) == (delivery_id("e2", "ops"), WAITS, "e2", 2)
    assert (waits.attempt, waits.may_repeat, waits.created_at) == (1, False, NOON)
    assert waits.previous == Receipt("ok", {"ts": "1.5"})
    assert waits.event == sample_event(id="e2", time=NOON, sequence=2, run_id="r2")


def test_what_was_leased_is_claimed_again_when_its_lease_has_run_out_and_may_repeat(
    store: Store, write: Writing
) -> None:
    write.lease(store)
    assert write.lease(store, NOON + MINUTE - timedelta(seconds=1)) == []
    again = {each.channel: each for each in write.lease(store, NOON + MINUTE)}["log"]
    assert (again.event.id, again.attempt, again.may_repeat) == ("e3", 4, True)


def test_what_alerting_remembers_stays(store: Store) -> None:
    assert store.is_open(KEY)
    incident, cells = store.transact(lambda tx: (tx.incident(KEY), tx.due_cells(now=NOON, limit=9)), keep=False)
    assert incident is not None
    assert (incident.number, incident.event, incident.channels) == (1, "e1", ("mail", "ops"))
    assert cells == [Cell("group", "g1", "{}", "pages", "i1", NOON)]
    assert store.suppressions(event="e3") == [
        Suppression(NOON, "e3", "silence", "s1", "asleep", route="pages", channel="sms")
    ]


def test_history_is_told_by_time_and_by_run(store: Store) -> None:
    assert [event.id for event in store.events(since=NOON)] == ["e1", "e2", "e3"]
    assert store.events(since=NOON + MINUTE) == []
    assert [each.id for each in store.deliveries(run_ids=["r2"])] == [delivery_id("e2", "ops")]
    assert [(each.number, each.channel, each.status) for each in store.deliveries()] == [
        (4, "log", Status.LEASED), (3, "mail", Status.DEAD), (2, "ops", Status.PENDING), (1, "ops", Status.DELIVERED),
    ]  # fmt: skip


def test_an_event_that_is_known_stays_where_it_is_and_no_place_is_given_twice(store: Store, write: Writing) -> None:
    known, fresh = store.transact(lambda tx: (tx.add_event(write.event("e2")), tx.add_event(write.event("e9"))))
    assert known.sequence == 2
    assert (fresh.sequence or 0) > 4, "the fourth was forgotten, and somebody may know it by its number"
    assert write.add(store, "e2", "ops") == [None], "it was planned before"


def test_what_has_ended_is_forgotten_when_its_time_comes(store: Store) -> None:
    assert store.prune(before=NOON + MINUTE) == 2
    assert {each.status for each in store.deliveries()} == {Status.PENDING, Status.LEASED}
    assert store.suppressions() == []
