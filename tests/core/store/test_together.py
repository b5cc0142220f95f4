"""That threads which write at the same moment share one transaction, and that each still answers for itself alone."""

import threading
from collections.abc import Sequence

import pytest

from tocsin.store.records import StoreError
from tocsin.store.together import Place, Together

MOST = 30


class Piece(Place):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Held:
    """Carries out pieces; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.fails_with: BaseException | None = None
        self.leaves: list[str] = []

    def __call__(self, pieces: Sequence[Piece]) -> None:
        self.batches.append([piece.name for piece in pieces])
        if len(self.batches) == 1:
            self.begun.set()
            assert self.go_on.wait(20)
        elif self.fails_with is not None:
            raise self.fails_with
        for piece in pieces:
            piece.done = piece is pieces[0] or piece.name not in self.leaves


def together(held: Held, names: Sequence[str]) -> dict[str, BaseException | None]:
    """Have the first piece begun, then let the others pile up behind it, and finish all."""
    group: Together[Piece] = Together(held, most=MOST)
    ended: dict[str, BaseException | None] = {}

    def do(name: str) -> None:
        try:
            group.take_turn(Piece(name))
            ended[name] = None
        except BaseException as error:
            ended[name] = error

    threads = [threading.Thread(target=do, args=(name,)) for name in names]
    threads[0].start()
    assert held.begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    while group.waiting() < len(names) - 1:
        threading.Event().wait(0.001)
    held.go_on.set()
    for thread in threads:
        thread.join()
    return ended


def test_what_piles_up_while_one_writes_is_done_at_once_and_each_once() -> None:
    held, names = Held(), [str(n) for n in range(10)]
    assert together(held, names) == dict.fromkeys(names)
    assert [len(batch) for batch in held.batches] == [1, 9]
    assert sorted(name for batch in held.batches for name in batch) == names


def test_one_transaction_takes_only_so_many() -> None:
    held, names = Held(), [str(n) for n in range(MOST + 20)]
    assert together(held, names) == dict.fromkeys(names)
    assert [len(batch) for batch in held.batches] == [1, MOST, 19]


def test_what_was_left_undone_is_done_by_its_own_thread() -> None:
    held = Held()
    held.leaves = ["b", "c"]
    assert together(held, ["a", "b", "c", "d"]) == dict.fromkeys("abcd")
    assert held.batches[0] == ["a"]
    mine = [batch for batch in held.batches[1:] if len(batch) < 3]
    assert {name for batch in mine for name in batch} <= {"b", "c"}, "what was done is not done again"


def test_a_store_that_refuses_is_told_to_all_whose_work_it_was() -> None:
    held = Held()
    held.fails_with = StoreError("no room")
    ended = together(held, ["a", "b", "c"])
    assert ended["a"] is None
    assert [(type(ended[name]), str(ended[name])) for name in "bc"] == [(StoreError, "no room")] * 2
    assert len(held.batches) == 2, "nobody asked once more"


def test_another_exception_is_told_to_the_thread_that_had_it_and_the_others_try_themselves() -> None:
    held = Held()
    held.fails_with = ZeroDivisionError()
    ended = together(held, ["a", "b", "c"])
    assert ended["a"] is None
    assert [type(ended[name]) for name in "bc"] == [ZeroDivisionError] * 2
    assert len(held.batches) == 3


def test_an_error_of_one_that_is_done_is_raised_in_its_own_thread_only() -> None:
    refused = ValueError("b")

    class Refusing(Held):
        def __call__(self, pieces: Sequence[Piece]) -> None:
            super().__call__(pieces)
            for piece in pieces:
                piece.error = refused if piece.name == "b" else None

    assert together(Refusing(), ["a", "b", "c"]) == {"a": None, "b": refused, "c": None}


def test_work_that_begins_a_transaction_inside_its_own_is_refused() -> None:
    group: Together[Piece] = Together(lambda _: group.take_turn(Piece("inside")), most=MOST)
    with pytest.raises(RuntimeError, match="cannot begin inside another"):
        group.take_turn(Piece("outside"))
