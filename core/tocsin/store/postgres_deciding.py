"""How the work of threads that decide on PostgreSQL at the same moment is done in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import errors

from tocsin.store.postgres_connection import Lane, Server, notices
from tocsin.store.postgres_ground import Ground, Misguessed
from tocsin.store.postgres_schema import Db
from tocsin.store.postgres_transaction import PostgresTransaction
from tocsin.store.protocol import Transaction
from tocsin.store.together import Place


class Piece(Place):
    """What one thread wants done in a transaction, and what came of it."""

    __slots__ = ("keep", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], *, keep: bool) -> None:
        super().__init__()
        self.work = work
        self.keep = keep
        self.result: Any = None


class _Apart(Exception):
    """A piece failed after it had changed something: what it did is to be undone, and nothing else."""


class Deciding:
    """Does pieces of work on a lane of their own.

    While no other process decides, each commit is one statement, for as long as the work asks nothing of the server.
    """

    def __init__(self, server: Server, lane: Lane) -> None:
        self._server = server
        self._lane = lane
        self._latest: int | None = None
        self._is_alone = False

    def carry_out(self, pieces: Sequence[Piece]) -> None:
        """Do the first of them, and of the others those that can be done with it."""
        mine = pieces[0]
        batch = [piece for piece in pieces if piece.keep] if mine.keep else [mine]
        asked: Collection[str] | None = None
        apart = False
        while True:
            try:
                done = self._lane.attempt(partial(self._once, batch=batch, mine=mine, asked=asked, apart=apart))
            except Misguessed as missed:
                if asked is not None:
                    raise self._server.error(psycopg.DatabaseError(str(missed))) from missed
                asked, self._is_alone = missed.asked, False
            except _Apart:
                asked, apart = asked or (), True
            else:
                break
        for piece in done:
            piece.done = True

    def _once(
        self, db: Db, *, batch: Sequence[Piece], mine: Piece, asked: Collection[str] | None, apart: bool
    ) -> Sequence[Piece]:
        left, self._latest = self._latest, None
        latest = left if self._is_alone and mine.keep else None
        ground = Ground(db, self._server.schema, latest, asked, keep=mine.keep)
        if len(batch) == 1:
            done: Sequence[Piece] = batch
            _do_alone(ground, mine)
        else:
            do = partial(_do_apart, server=self._server) if apart else _do_together
            done = [piece for piece in batch if do(ground, piece) or piece is mine]
        if mine.keep:
            self._end(ground, shared=len(batch) > 1 and not apart)
        elif ground.begun:
            db.execute("ROLLBACK")
        if ground.found is not None:
            self._is_alone = ground.found == left
        self._latest = ground.latest if mine.keep else ground.found
        return done

    def _end(self, ground: Ground, *, shared: bool) -> None:
        try:
            ground.end(notices(self._server.schema))
        except psycopg.Error as error:
            if shared and not _is_of_all(error):
                raise _Apart from error
            raise


def _do_alone(ground: Ground, piece: Piece) -> None:
    try:
        piece.result, piece.error = piece.work(PostgresTransaction(ground)), None
    except (Misguessed, psycopg.Error):
        raise
    except Exception as error:
        if ground.guessed:  # perhaps it would not have come to that
            raise Misguessed(ground.guessed) from error
        raise


def _do_together(ground: Ground, piece: Piece) -> bool:
    """Do a piece; False when it failed, and is undone."""
    mark, planned, changed = ground.added.mark(), ground.planned, ground.changed
    ground.changed, piece.error = False, None
    try:
        piece.result = piece.work(PostgresTransaction(ground))
    except Misguessed:
        raise
    except Exception as error:
        if isinstance(error, psycopg.Error) and _is_of_all(error):
            raise
        if isinstance(error, psycopg.Error) or ground.changed:
            raise _Apart from error
        ground.added.undo(mark)
        ground.planned, piece.error = planned, error  # unless it is the leader's, its own thread does it by itself
        return False
    finally:
        ground.changed |= changed
    return True


def _do_apart(ground: Ground, piece: Piece, *, server: Server) -> bool:
    """Do a piece in a part of the transaction that can be undone; False when it failed, and is undone."""
    ground.db.execute("SAVEPOINT piece")
    before, piece.error = ground.snapshot(), None
    try:
        piece.result = piece.work(PostgresTransaction(ground))
        ground.write()
    except Misguessed:
        raise
    except Exception as error:
        if isinstance(error, psycopg.Error) and _is_of_all(error):
            raise
        ground.db.execute("ROLLBACK TO SAVEPOINT piece")
        ground.restore(before)
        piece.error = error
        if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.IntegrityError):
            piece.error = server.error(error)
        return False
    ground.db.execute("RELEASE SAVEPOINT piece")
    return True


def _is_of_all(error: psycopg.Error) -> bool:
    """Whether the transaction as a whole has failed, not for what stands in a row."""
    return isinstance(error, psycopg.OperationalError) and not isinstance(error, errors.ProgramLimitExceeded)
