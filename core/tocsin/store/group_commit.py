"""How the work of threads that write to one SQLite file at the same moment is done in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tocsin.store.together import Place, Together

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], Any]

MOST = 128
"""How many pieces of work one transaction takes."""


class _Alone(Exception):
    """The database refused something in the middle of a shared transaction: each piece is to be done by itself."""


class _Apart(Exception):
    """A piece raised something in a shared transaction: what it did is to be undone, and nothing else."""


class _Piece(Place):
    """What one thread wants written, and what came of it."""

    __slots__ = ("result", "work")

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work
        self.result: Any = None


class Writers(Together[_Piece]):
    """Threads that bring work while another one writes: the next of them does the work of all, and commits it once.

    To each it is as if it had its own transaction: its result or exception is its own, and what it raised is undone
    while the work of the others stays. When `do` returns, what was done is on disk. Work may be done more than once
    before it is committed: what another one raised undoes all, and all of it is done again.
    """

    def __init__(self, transact: Callable[[Work], Any], patience: float = 1.0) -> None:
        super().__init__(self._commit, most=MOST, patience=patience)
        self._transact = transact

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` and commit it; its result. Raises what it raised, or StoreError."""
        piece = _Piece(work)
        self.take_turn(piece)
        result: T = piece.result
        return result

    def _commit(self, batch: Sequence[_Piece]) -> None:
        if len(batch) > 1:
            for do in (_do_at_once, _do_within):
                try:
                    self._commit_together(batch, do)
                except _Apart:
                    continue  # rare, so that savepoints are made only then
                except _Alone:
                    break
                return
        for piece in batch:
            self._commit_alone(piece)

    def _commit_alone(self, piece: _Piece) -> None:
        try:
            piece.result, piece.error = self._transact(piece.work), None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            piece.error = error
        piece.done = True

    def _commit_together(self, batch: Sequence[_Piece], do: Callable[[sqlite3.Connection, _Piece], None]) -> None:
        def all_of_it(db: sqlite3.Connection) -> None:
            for piece in batch:
                do(db, piece)

        self._transact(all_of_it)
        for piece in batch:
            piece.done = True


def _do_at_once(db: sqlite3.Connection, piece: _Piece) -> None:
    try:
        piece.result = piece.work(db)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise (_Alone if _is_refusal(error) else _Apart) from error


def _do_within(db: sqlite3.Connection, piece: _Piece) -> None:
    db.execute("SAVEPOINT piece")
    try:
        piece.result, piece.error = piece.work(db), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _is_refusal(error):
            raise _Alone from error
        db.execute("ROLLBACK TO piece")
        piece.error = error
    db.execute("RELEASE piece")


def _is_refusal(error: BaseException) -> bool:
    """Whether the database could not do what it was asked, other than for what stands in a row."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError)
