"""A draft holds what documents say as values, and writes as little as it can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tocsin.hub.draft import Draft
from tocsin.store.coding import dump
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell
from tocsin.store.sqlite import SqliteStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """What a document says."""

    text: str
    count: int = 0


class Counting:
    """A transaction that keeps what is asked of it."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        return getattr(self._tx, name)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore(Path(":memory:"))
    yield store
    store.close()


def drafting(store: SqliteStore, *steps: object) -> list[str]:
    """What a draft asks below while it does `steps`, and as it is written."""

    def work(tx: Transaction) -> list[str]:
        below = Counting(tx)
        draft = Draft(below)  # type: ignore[arg-type]
        below.calls.clear()
        for step in steps:
            step(draft)  # type: ignore[operator]
        draft.write()
        return below.calls

    return store.transact(work)


def put(text: str, due: datetime | None = None) -> object:
    return lambda draft: draft.put_value("note", "a", Told(text), "p", "s", due)


def test_a_value_is_a_document_to_whoever_asks_for_one(store: SqliteStore) -> None:
    found: list[object] = []
    drafting(
        store,
        put("größe", NOON),
        lambda d: found.extend([d.value(Told, "note", "a"), d.values(Told, "note", parent="p"), d.due("note", "a")]),
        lambda d: found.extend([d.cell("note", "a"), d.cells("note", subject="s")]),
    )
    cell = Cell("note", "a", dump(Told("größe")), "p", "s", NOON)
    assert found == [Told("größe"), [Told("größe")], NOON, cell, [cell]]
    assert store.transact(lambda tx: tx.cell("note", "a")) == cell


def test_what_is_put_after_a_value_counts(store: SqliteStore) -> None:
    found: list[object] = []
    drafting(
        store,
        put("first"),
        lambda d: d.put(Cell("note", "a", '{"text":"second"}')),
        lambda d: found.append(d.value(Told, "note", "a")),
        lambda d: d.drop("note", "a"),
        lambda d: found.extend([d.value(Told, "note", "a"), d.values(Told, "note"), d.due("note", "a")]),
    )
    assert found == [Told("second"), None, [], None]
    assert store.transact(lambda tx: tx.cells("note")) == []


def test_what_was_not_there_and_is_dropped_again_is_never_written(store: SqliteStore) -> None:
    calls = drafting(store, lambda d: d.value(Told, "note", "a"), put("x"), lambda d: d.drop("note", "a"))
    assert calls == ["cell"]


def test_what_says_the_same_as_before_is_not_written_again(store: SqliteStore) -> None:
    drafting(store, put("x"))
    assert drafting(store, lambda d: d.value(Told, "note", "a"), put("x")) == ["cell"]
    assert drafting(store, lambda d: d.value(Told, "note", "a"), put("x", NOON)) == ["cell", "put"]
    assert drafting(store, put("x", NOON)) == ["put"]


def test_only_what_is_written_with_a_time_is_timed(store: SqliteStore) -> None:
    seen: list[bool] = []

    def ends(draft: Draft) -> None:
        draft.write()
        seen.append(draft.timed)

    drafting(store, put("x", NOON), put("x"), ends)
    drafting(store, put("x", NOON), ends)
    assert seen == [False, True]


def test_nothing_is_asked_about_what_is_known_not_to_be_there(store: SqliteStore) -> None:
    found: list[object] = []
    calls = drafting(
        store,
        lambda d: d.none_yet("group", "g", below="note"),
        lambda d: found.extend([d.value(Told, "group", "g"), d.values(Told, "note", parent="g")]),
        lambda d: d.put_value("note", "a", Told("x"), "g", "", None),
        lambda d: d.none_yet("group", "g", below="note"),
        lambda d: found.append(d.values(Told, "note", parent="g")),
    )
    assert (found, calls) == ([None, [], [Told("x")]], ["put"])


def test_several_documents_are_one_question_and_are_asked_for_once(store: SqliteStore) -> None:
    store.transact(lambda tx: [tx.put(Cell("note", key, "1")) for key in "abc"])
    found: list[object] = []
    names = [("note", "b"), ("note", "x"), ("note", "a"), ("note", "b")]
    calls = drafting(
        store,
        lambda d: found.append([cell.key for cell in d.documents(names)]),
        lambda d: d.drop("note", "b"),
        lambda d: found.append([cell.key for cell in d.documents(names)]),
        lambda d: found.extend([d.cell("note", "x"), d.documents([])]),
    )
    assert (found, calls) == ([["b", "a"], ["a"], None, []], ["documents", "drop"])
