"""A draft answers as the transaction below would, had everything been written to it at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings, strategies as st

from tocsin.hub.draft import Draft
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell
from tocsin.store.sqlite import SqliteStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KINDS, KEYS, PARENTS = ["group", "member"], ["a", "b", "c"], ["", "p", "q"]

CELLS = st.builds(
    Cell,
    st.sampled_from(KINDS),
    st.sampled_from(KEYS),
    st.sampled_from(['"1"', '"2"']),
    st.sampled_from(PARENTS),
    st.sampled_from(PARENTS),
    st.none() | st.integers(-2, 2).map(lambda hours: NOON + timedelta(hours=hours)),
)
PUT = st.tuples(st.just("put"), CELLS)
DROP = st.tuples(st.just("drop"), st.sampled_from(KINDS), st.sampled_from(KEYS))
LOOK = st.tuples(st.just("cell"), st.sampled_from(KINDS), st.sampled_from(KEYS))
LIST = st.tuples(
    st.just("cells"), st.sampled_from(KINDS), st.none() | st.sampled_from(PARENTS), st.none() | st.sampled_from(PARENTS)
)
DUE = st.just(("due",))
WRITE = st.just(("write",))


def does(tx: Transaction, step: tuple) -> object:
    match step:
        case "put", cell:
            return tx.put(cell)
        case "drop", kind, key:
            return tx.drop(kind, key)
        case "cell", kind, key:
            return tx.cell(kind, key)
        case "cells", kind, parent, subject:
            return tx.cells(kind, parent=parent, subject=None if parent is not None else subject)
        case ("due",):
            return tx.due_cells(now=NOON, limit=10)
    return tx.write() if isinstance(tx, Draft) else None


def everything(tx: Transaction) -> list[Cell]:
    return [cell for kind in KINDS for cell in tx.cells(kind)]


@settings(max_examples=300, deadline=None)
@given(st.lists(CELLS, max_size=4), st.lists(st.one_of(PUT, DROP, LOOK, LIST, DUE, WRITE), max_size=12))
def test_it_tells_what_was_put_and_dropped_and_leaves_the_same_behind(before: list[Cell], steps: list[tuple]) -> None:
    def told(*, drafting: bool) -> tuple[list[object], list[Cell]]:
        def work(tx: Transaction) -> tuple[list[object], list[Cell]]:
            for cell in before:
                tx.put(cell)
            draft = Draft(tx) if drafting else tx
            answers = [does(draft, step) for step in steps]
            if isinstance(draft, Draft):
                draft.write()
            return answers, everything(tx)

        return SqliteStore(Path(":memory:")).transact(work)

    assert told(drafting=True) == told(drafting=False)


class Counting:
    """A transaction that writes down what is asked of it."""

    def __init__(self, tx: Transaction) -> None:
        self.tx, self.asked = tx, []

    def __getattr__(self, name: str) -> object:
        def ask(*args: object, **given: object) -> object:
            self.asked.append((name, *args))
            return getattr(self.tx, name)(*args, **given)

        return ask


def test_each_document_is_read_once_and_written_once() -> None:
    def work(tx: Transaction) -> list[tuple]:
        below = Counting(tx)
        draft = Draft(below)
        for body in ("1", "2", "3"):
            assert (draft.cell("group", "a") is None) is (body == "1")
            draft.put(Cell("group", "a", body, "p"))
            assert [cell.body for cell in draft.cells("group", parent="p")] == [body]
        draft.put(Cell("group", "b", "1"))
        draft.drop("group", "b")
        draft.drop("group", "c")
        assert draft.cell("group", "c") is None
        draft.drop("group", "c")
        draft.write()
        draft.write()
        return below.asked

    asked = SqliteStore(Path(":memory:")).transact(work)
    assert asked == [
        ("cell", "group", "a"),
        ("cells", "group"),
        ("put", Cell("group", "a", "3", "p")),
        ("drop", "group", "b"),
        ("drop", "group", "c"),
    ]
