"""What is changed after it was looked at is found where it is then, and costs no more pages than it has to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.outboxes import NOON
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, Incident
from tocsin.store.sqlite import SqliteStore

FRAME = 4096 + 24  # bytes of one page in the log
SOON = NOON + timedelta(minutes=1)
BEFORE = Cell("member", "k", "old", "g1", "i1", NOON)
AFTER = [
    replace(BEFORE, body="new"),
    replace(BEFORE, body="new", due_at=SOON),
    replace(BEFORE, body="new", due_at=None),
    replace(BEFORE, body="new", parent="g2"),
    replace(BEFORE, body="new", parent=""),
    replace(BEFORE, body="new", subject="i2", due_at=SOON),
    replace(BEFORE, parent="", subject="", due_at=None),
    BEFORE,
]
LOOKS = {
    "by its name": lambda tx: tx.cell("member", "k"),
    "with others": lambda tx: tx.documents([("member", "j"), ("member", "k")]),
    "by its parent": lambda tx: tx.cells("member", parent="g1"),
    "by its subject": lambda tx: tx.cells("member", subject="i1"),
    "by its time": lambda tx: tx.due_cells(now=NOON, limit=9),
    "not at all": lambda _: None,
}


def found(tx: Transaction) -> list[object]:
    """What every way of looking finds."""
    ways = [{"parent": "g1"}, {"parent": "g2"}, {"subject": "i1"}, {"subject": "i2"}, {}]
    return [
        *(tx.cells("member", **way) for way in ways),
        *(tx.due_cells(now=at, limit=9) for at in (NOON, SOON)),
        tx.cell("member", "k"),
    ]


def expected(cell: Cell) -> list[object]:
    held = [cell.parent == "g1", cell.parent == "g2", cell.subject == "i1", cell.subject == "i2", True]
    held += [cell.due_at is not None and cell.due_at <= at for at in (NOON, SOON)]
    return [*([cell] if each else [] for each in held), cell]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("after", AFTER, ids=range(len(AFTER)))
def test_a_changed_document_is_found_where_it_is_now_and_nowhere_else(outbox: Store, look: str, after: Cell) -> None:
    outbox.transact(lambda tx: tx.put(BEFORE))

    def change(tx: Transaction) -> list[object]:
        LOOKS[look](tx)  # type: ignore[no-untyped-call]
        tx.put(after)
        return found(tx)

    assert outbox.transact(change) == expected(after), "at once"
    assert outbox.transact(found) == expected(after), "and later"


def test_a_document_is_there_again_when_it_is_put_after_it_was_dropped(outbox: Store) -> None:
    outbox.transact(lambda tx: tx.put(BEFORE))

    def work(tx: Transaction) -> None:
        assert tx.cell("member", "k") == BEFORE
        tx.drop("member", "k")
        tx.put(replace(BEFORE, body="again"))

    outbox.transact(work)
    assert outbox.transact(found) == expected(replace(BEFORE, body="again"))


def test_a_document_that_was_undone_can_be_put_anew(outbox: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.put(BEFORE)
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        outbox.transact(fail)
    outbox.transact(lambda tx: tx.put(BEFORE))
    assert outbox.transact(found) == expected(BEFORE)


def test_an_incident_goes_on_until_it_is_closed_and_stays_so(outbox: Store) -> None:
    opened = outbox.transact(lambda tx: tx.put_incident(Incident("etl/load", NOON, failures=1)))
    going_on = replace(opened, failures=2)
    outbox.transact(lambda tx: tx.put_incident(going_on))
    assert outbox.transact(lambda tx: tx.incident("etl/load")) == going_on
    over = replace(going_on, closed_at=SOON)
    outbox.transact(lambda tx: tx.put_incident(over))
    assert outbox.transact(lambda tx: tx.incident("etl/load")) is None
    assert outbox.transact(lambda tx: tx.incident_numbered(over.number or 0)) == over
    counted = replace(over, hides=3)
    outbox.transact(lambda tx: tx.put_incident(counted))
    assert outbox.transact(lambda tx: tx.open_incidents()) == []
    assert outbox.transact(lambda tx: tx.incident_numbered(over.number or 0)) == counted


def test_a_closed_incident_can_be_opened_again(outbox: Store) -> None:
    closed = outbox.transact(lambda tx: tx.put_incident(Incident("etl/load", NOON, closed_at=SOON)))
    again = replace(closed, closed_at=None)
    outbox.transact(lambda tx: tx.put_incident(again))
    assert outbox.transact(lambda tx: tx.incident("etl/load")) == again


def test_what_stays_in_its_place_writes_no_index(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    many = [
        Cell(kind, f"{n:04}", "x" * 300, f"g{n}", f"i{n}", NOON) for n in range(300) for kind in ("group", "member")
    ]

    def fill(tx: Transaction) -> None:
        for cell in many:
            tx.put(cell)
            tx.put_incident(Incident(f"{cell.kind} {cell.key}", NOON, state="Failed" * 20))

    store.transact(fill)

    def change(tx: Transaction) -> None:
        for name in (("group", "0007"), ("member", "0290")):
            cell = tx.cell(*name)
            assert cell is not None
            tx.put(replace(cell, body=cell.body.replace("x", "y")))
        incident = tx.incident("group 0150")
        assert incident is not None
        tx.put_incident(replace(incident, failures=7))

    log = store.path.with_name("tocsin.db-wal")
    before = log.stat().st_size
    store.transact(change)
    assert log.stat().st_size - before == 3 * FRAME, "a page of each row, and no other"
    store.close()
