"""Several documents are had with one question, from every sort of outbox."""

from __future__ import annotations

from support.outboxes import NOON
from tocsin.store.protocol import Store
from tocsin.store.records import Cell

A, B = Cell("note", "a", '"größe"', "p", "s", NOON), Cell("list", "a", "[]")


def test_those_that_there_are_come_each_once(outbox: Store) -> None:
    outbox.transact(lambda tx: [tx.put(A), tx.put(B)])
    names = [("note", "a"), ("note", "b"), ("list", "a"), ("note", "a"), ("", "")]
    found = outbox.transact(lambda tx: tx.documents(names), keep=False)
    assert sorted(found, key=lambda cell: cell.kind) == [B, A]


def test_nothing_is_found_by_asking_for_nothing_or_for_what_is_not_there(outbox: Store) -> None:
    outbox.transact(lambda tx: tx.put(A))
    assert outbox.transact(lambda tx: [tx.documents([]), tx.documents([("note", "b")])]) == [[], []]
