"""How threads that write to one SQLite file at the same moment share one transaction, and so one sync."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from tocsin.store.records import StoreError

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], Any]

MOST = 128
"""How many pieces of work one transaction takes."""


class _Alone(Exception):
    """The database refused something in the middle of a shared transaction: each piece is to be done by itself."""


class _Apart(Exception):
    """A piece raised something in a shared transaction: what it did is to be undone, and nothing else."""


class _Piece:
    """What one thread wants written, and what came of it."""

    __slots__ = ("behind", "done", "error", "result", "turn", "woken", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.turn = threading.Lock()  # let go when it is done, or when its thread is to lead
        self.done = False
        self.woken = False  # or its thread needs no waking
        self.behind: _Piece | None = None  # whose thread this one wakes
        self.result: Any = None
        self.error: BaseException | None = None


class Writers:
    """Threads that bring work while another one writes: the next of them does the work of all, and commits it once.

    To each it is as if it had its own transaction: its result or exception is its own, and what it raised is undone
    while the work of the others stays. When `do` returns, what was done is on disk. Work may be done more than once
    before it is committed: what another one raised undoes all, and all of it is done again.
    """

    def __init__(self, transact: Callable[[Work], Any], patience: float = 1.0) -> None:
        self._transact = transact
        self._patience = patience  # seconds after which a thread that waits looks whether it was forgotten
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
            if waits := self._led:
                piece.turn.acquire()
                self._waiting.append(piece)
            self._led = True
        if waits:
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

    # ------------------------------------------------------------ taking turns

    def _await(self, piece: _Piece) -> None:
        try:
            while not piece.turn.acquire(timeout=self._patience):
                if self._is_forgotten(piece):
                    break
        except BaseException:  # the user's interrupt, or the end of a task's time: nobody may wait for this thread
            with self._guard:
                if piece in self._waiting:
                    self._waiting.remove(piece)
                woken, piece.woken = piece.woken, True
            if woken and not piece.done:
                self._pass_on()
            elif woken:
                self._wake(piece.behind)
            raise
        if piece.behind is not None:
            self._wake(piece.behind)

    def _is_forgotten(self, piece: _Piece) -> bool:
        """Whether the thread that should have woken this one has not: it may have been struck where it stood."""
        with self._guard:
            if piece.woken:
                return False
            if not piece.done:
                if self._leader or piece not in self._waiting:
                    return False
                self._waiting.remove(piece)
            piece.woken = True
            return True

    def _wake(self, piece: _Piece | None) -> None:
        """Wake the thread of a piece that is done, which wakes the next: all at once would only get in their way."""
        with self._guard:
            while piece is not None and piece.woken:
                piece = piece.behind
            if piece is not None:
                piece.woken = True
                piece.turn.release()

    def _lead(self, mine: _Piece) -> None:
        batch = [mine]
        if self._waiting:
            with self._guard:
                batch += [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST - 1))]
        self._leader = threading.get_ident()
        try:
            self._commit(batch)
        finally:
            self._leader = 0
            done = [each for each in batch[1:] if each.done]
            with self._guard:  # what an interrupt kept from being done, another thread does
                self._waiting.extendleft(each for each in reversed(batch[1:]) if not (each.done or each.woken))
            self._pass_on()
            if done:
                for each, behind in itertools.pairwise(done):
                    each.behind = behind
                self._wake(done[0])

    def _pass_on(self) -> None:
        with self._guard:
            self._led = bool(self._waiting)
            if self._led:
                first = self._waiting.popleft()
                first.woken = True
                first.turn.release()

    # ------------------------------------------------------------ committing

    def _commit(self, batch: list[_Piece]) -> None:
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

    def _commit_together(self, batch: list[_Piece], do: Callable[[sqlite3.Connection, _Piece], None]) -> None:
        def all_of_it(db: sqlite3.Connection) -> None:
            for piece in batch:
                do(db, piece)

        try:
            self._transact(all_of_it)
        except StoreError as error:
            for piece in batch:
                piece.error = StoreError(str(error))
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
