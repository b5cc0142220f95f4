"""What one process uses of a PostgreSQL outbox: its connections, and how its threads share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tocsin.store.postgres_connection import Counted, Lane, Server, notices
from tocsin.store.postgres_schema import Db
from tocsin.store.postgres_settling import settle
from tocsin.store.postgres_together import Together
from tocsin.store.postgres_transaction import PostgresTransaction
from tocsin.store.protocol import Transaction
from tocsin.store.records import Outcome


@dataclass(eq=False, slots=True)
class Piece:
    """What one thread wants done in a transaction, and what came of it."""

    work: Callable[[Transaction], Any]
    keep: bool
    result: Any = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class Settling:
    """Outcomes that one thread wants recorded, and for which of them it still had the lease."""

    outcomes: Sequence[Outcome]
    held: list[bool] = field(default_factory=list)


class Own:
    """What one process uses: a connection for each sort of work, so that none waits for another, each opened late."""

    def __init__(self, server: Server) -> None:
        self.deciding = Lane(server)
        self.claiming = Lane(server)
        self.settling = Lane(server)
        self.asking = Lane(server)
        self.reading = Lane(server, reads=True)
        self.listening = Lane(server, listens=True)
        self.deciders = Together(self._decide)
        """The threads that decide."""
        self.settlers = Together(self._settle)
        """The threads that record outcomes."""
        self._server = server

    def close(self) -> None:
        """Give up all connections; the next use of each opens another."""
        for lane in (self.deciding, self.claiming, self.settling, self.asking, self.reading, self.listening):
            lane.close()

    # ------------------------------------------------------------ deciding

    def _decide(self, pieces: Sequence[Piece], mine: Piece) -> Sequence[Piece]:
        if len(pieces) == 1:
            self.deciding.transact(lambda db: self._alone(db, mine), locked=True, keep=mine.keep)
            return pieces
        return self.deciding.transact(lambda db: self._each(db, pieces, mine), locked=True)

    def _alone(self, db: Db, piece: Piece) -> None:
        transaction = PostgresTransaction(db)
        piece.result = piece.work(transaction)
        if piece.keep and transaction.planned:
            self._notify(db)

    def _each(self, db: Db, pieces: Sequence[Piece], mine: Piece) -> list[Piece]:
        done, planned = [], False
        for piece in pieces:
            transaction = PostgresTransaction(db)
            db.execute("SAVEPOINT piece")
            piece.error = None
            try:
                piece.result = piece.work(transaction)
            except psycopg.OperationalError:
                raise  # the transaction as a whole has failed, and is done once more
            except Exception as error:
                db.execute("ROLLBACK TO SAVEPOINT piece")
                if piece is not mine:
                    continue  # its own thread does it by itself, and hears of it
                piece.error = error
                if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.IntegrityError):
                    piece.error = self._server.error(error)
            else:
                db.execute("RELEASE SAVEPOINT piece" if piece.keep else "ROLLBACK TO SAVEPOINT piece")
                planned |= piece.keep and transaction.planned
            done.append(piece)
        if planned:
            self._notify(db)
        return done

    def _notify(self, db: Db) -> None:
        db.execute("SELECT pg_notify(%s, '')", (notices(self._server.schema),))

    # ------------------------------------------------------------ settling

    def _settle(self, pieces: Sequence[Settling], mine: Settling) -> Sequence[Settling]:  # noqa: ARG002
        outcomes = [outcome for piece in pieces for outcome in piece.outcomes]
        held = iter(self.settling.transact(Counted(lambda db, again: settle(db, outcomes, repeated=again))))
        for piece in pieces:
            piece.held = [next(held) for _ in piece.outcomes]
        return pieces
