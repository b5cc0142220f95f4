"""How threads that write to one SQLite file at the same moment share one transaction, and so one sync."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from tocsin.store.records import StoreError

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], Any]

MOST = 128
"""How many pieces of work one transaction takes."""


class _Alone(Exception):
    """The database refused something in the middle of a shared transaction: each piece is to be done by itself."""


class _Piece:
    """What one thread wants written, and what came of it."""

    __slots__ = ("done", "error", "result", "turn", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.turn = threading.Lock()  # let go when it is done, or when its thread is to lead
        self.turn.acquire()
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class Writers:
    """Threads that bring work while another one writes: the next of them does the work of all, and commits it once.

    To each it is as if it had its own transaction: its result or exception is its own, and what it raised is undone
    while the work of the others stays. When `do` returns, what was done is on disk.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._transaction = transaction
        self._guard = threading.Lock()
        self._waiting: deque[_Piece] = deque()
        self._led = False
        self._leader = 0

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` and commit it; its result. Raises what it raised, or StoreError."""
        if self._leader == threading.get_ident():
            raise RuntimeError("a transaction of a store cannot begin inside another one")
        piece = _Piece(work)
        with self._guard:
            self._waiting.append(piece)
            leads, self._led = not self._led, True
        if not leads:
            self._await(piece)
        if not piece.done:
            self._lead(piece)
        if piece.error is not None:
            raise piece.error
        result: T = piece.result
        return result

    def waiting(self) -> int:
        """How many threads wait for their work to be done."""
        with self._guard:
            return len(self._waiting)

    def _await(self, piece: _Piece) -> None:
        try:
            piece.turn.acquire()
        except BaseException:  # the user's interrupt: nobody may wait for this thread
            with self._guard:
                if piece in self._waiting:
                    self._waiting.remove(piece)
            if piece.turn.acquire(blocking=False) and not piece.done:
                self._pass_on()
            raise

    def _lead(self, mine: _Piece) -> None:
        with self._guard:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        self._leader = threading.get_ident()
        try:
            self._commit(batch)
        finally:
            self._leader = 0
            with self._guard:  # what an interrupt kept from being done, another thread does
                self._waiting.extendleft(each for each in reversed(batch) if not each.done and each is not mine)
            self._pass_on()
            for each in batch:
                if each.done and each is not mine:
                    each.turn.release()

    def _pass_on(self) -> None:
        with self._guard:
            self._led = bool(self._waiting)
            if self._led:
                self._waiting[0].turn.release()

    # ------------------------------------------------------------ committing

    def _commit(self, batch: list[_Piece]) -> None:
        if len(batch) > 1:
            try:
                self._commit_together(batch)
            except _Alone:
                pass
            else:
                return
        for piece in batch:
            self._commit_alone(piece)

    def _commit_alone(self, piece: _Piece) -> None:
        try:
            with self._transaction() as db:
                piece.result = piece.work(db)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            piece.error = error
        piece.done = True

    def _commit_together(self, batch: list[_Piece]) -> None:
        try:
            with self._transaction() as db:
                for piece in batch:
                    _do_within(db, piece)
        except StoreError as error:
            for piece in batch:
                piece.error = StoreError(str(error))
        for piece in batch:
            piece.done = True


def _do_within(db: sqlite3.Connection, piece: _Piece) -> None:
    db.execute("SAVEPOINT piece")
    try:
        piece.result, piece.error = piece.work(db), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise _Alone from error
        db.execute("ROLLBACK TO piece")
        piece.error = error
    db.execute("RELEASE piece")
