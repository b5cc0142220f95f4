"""A store knows what is open as it is in the file, whoever wrote it, and needs not ask after commits of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.outboxes import NOON
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell, Incident
from tocsin.store.sqlite import SqliteStore

KEYS = ("etl/a", "etl/b", "etl/c")
NOTE = Cell("note", "k", "1")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    """Two on one file, as two processes have them."""
    both = SqliteStore(tmp_path / "tocsin.db"), SqliteStore(tmp_path / "tocsin.db")
    yield both
    for store in both:
        store.close()


def turn(key: str) -> Callable[[Transaction], None]:
    """Open the incident of that key, or close it if it is open."""

    def work(tx: Transaction) -> None:
        before = tx.incident(key)
        tx.put_incident(Incident(key, NOON) if before is None else replace(before, closed_at=NOON))

    return work


def asked(store: SqliteStore) -> list[str]:
    """What SQLite is asked from here on."""
    found: list[str] = []
    with store._connection.read() as db:
        db.set_trace_callback(found.append)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_both_know_what_is_open_after_every_change_of_either(
    stores: tuple[SqliteStore, SqliteStore], seed: int
) -> None:
    chance, is_open = random.Random(seed), dict.fromkeys(KEYS, False)
    for _ in range(60):
        store, key = chance.choice(stores), chance.choice(KEYS)
        if chance.random() < 0.5:
            store.transact(turn(key))
            is_open[key] = not is_open[key]
        else:
            store.transact(lambda tx: tx.put(NOTE))
        for each in stores if chance.random() < 0.7 else ():
            assert {key: each.is_open(key) for key in KEYS} == is_open
            assert each.any_open() == any(is_open.values())


def test_a_commit_of_another_that_comes_between_two_of_ours_is_seen(stores: tuple[SqliteStore, SqliteStore]) -> None:
    ours, other = stores
    assert not ours.is_open("etl/a")
    ours.transact(lambda tx: tx.put(NOTE))
    other.transact(turn("etl/a"))
    ours.transact(lambda tx: tx.put(replace(NOTE, body="2")))
    assert ours.is_open("etl/a")


def test_nothing_is_asked_after_commits_of_ones_own(stores: tuple[SqliteStore, SqliteStore]) -> None:
    store, _ = stores
    assert not store.is_open("etl/a")
    store.transact(turn("etl/a"))
    store.transact(lambda tx: tx.put(NOTE))
    statements = asked(store)
    assert store.is_open("etl/a")
    assert not store.is_open("etl/b")
    assert statements == []


def test_what_was_opened_and_undone_is_not_open(stores: tuple[SqliteStore, SqliteStore]) -> None:
    store, _ = stores
    assert not store.is_open("etl/a")

    def fails(tx: Transaction) -> None:
        turn("etl/a")(tx)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        store.transact(fails)
    assert not store.is_open("etl/a")


def test_what_threads_open_in_one_transaction_is_open_for_all(stores: tuple[SqliteStore, SqliteStore]) -> None:
    store, other = stores
    keys = [f"etl/{n}" for n in range(24)]
    assert not store.is_open(keys[0])
    seen: list[bool] = []

    def opens(key: str) -> None:
        store.transact(turn(key))
        seen.append(store.is_open(key))

    threads = [threading.Thread(target=opens, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * len(keys)
    assert all(each.is_open(key) for each in (store, other) for key in keys)
