"""A claim costs as much whether few or many deliveries wait: counted in steps of the database, not in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from support.outboxes import MINUTE, NOON, Writing
from tocsin.store.records import to_micros
from tocsin.store.sqlite import SqliteStore

FEW, MANY = 2_000, 40_000
HOUR = timedelta(hours=1) // timedelta(microseconds=1)

SHAPES = {
    "each in a thread of its own": "'ops', 'i' || i, :at",
    "all of them alone": "'ops', '', :at",
    "most of a channel that is left out": "'busy', 'i' || i, :at",
    "most of them not due": "'ops', '', :at + :hour",
    "all in one thread": "'ops', 'i0', :at",
    "all in one thread, not due": "'ops', 'i0', :at + :hour",
    "all in one thread, of a channel that is left out": "'busy', 'i0', :at",
    "spread over many channels": "'c' || (i % 50), '', :at",
}


def fill(path: Path, count: int, shape: str, write: Writing) -> SqliteStore:
    store = SqliteStore(path)
    write.add(store, "e1", "ops", thread="i0")
    with store._connection.write() as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
            " INSERT INTO deliveries (id, event, channel, thread, due_at, route, action, template, status, created_at,"
            f" body) SELECT 'k' || i, 1, {SHAPES[shape]}, 'pages', 'open', '', 'pending', :at,"
            " (SELECT body FROM deliveries) FROM n",
            {"count": count, "at": to_micros(NOON), "hour": HOUR},
        )
    return store


@contextmanager
def steps(store: SqliteStore) -> Iterator[Callable[[], int]]:
    """How many times a hundred steps the database takes meanwhile."""
    count = 0

    def one() -> int:
        nonlocal count
        count += 1
        return 0

    with store._connection.read() as db:
        db.set_progress_handler(one, 100)
        yield lambda: count
        db.set_progress_handler(None, 0)


def costs(store: SqliteStore) -> list[int]:
    found = []
    for claim in range(4):
        with steps(store) as taken:
            now = NOON + timedelta(seconds=claim)
            claimed = store.lease(now=now, ttl=MINUTE, limit=8, owner="me", but=["busy"])
            store.next_due(now=now, but=["busy"])
            store.release(lambda _: True, now=now)
            store.give_back(claimed, now=now)
        found.append(taken())
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_claim_costs_the_same_out_of_few_and_out_of_many(tmp_path: Path, write: Writing, shape: str) -> None:
    few, many = (fill(tmp_path / f"{count}.db", count, shape, write) for count in (FEW, MANY))
    with few._connection.read(), many._connection.read():
        pass
    assert max(costs(many)) <= max(costs(few)) * 1.2 + 20
    few.close()
    many.close()


def test_the_first_of_a_long_thread_goes_and_then_the_next_one(tmp_path: Path, write: Writing) -> None:
    store = fill(tmp_path / "tocsin.db", FEW, "all in one thread", write)
    told = []
    for _ in range(5):
        [each] = store.lease(now=NOON, ttl=MINUTE, limit=8, owner="me")
        told.append(each.number)
        store.record([write.delivered(each)])
    assert told == [1, 2, 3, 4, 5]
    store.close()


def test_what_is_behind_a_long_thread_is_reached(tmp_path: Path, write: Writing) -> None:
    store = fill(tmp_path / "tocsin.db", FEW, "all in one thread", write)
    write.add(store, "e2", "ops", thread="other")
    found: set[str] = set()
    for _ in range(FEW // 500 + 2):
        found |= {each.event.id for each in store.lease(now=NOON, ttl=MINUTE, limit=8, owner="me")}
    assert found == {"e1", "e2"}
    store.close()
