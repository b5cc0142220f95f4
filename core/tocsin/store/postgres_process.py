"""What one process uses of a PostgreSQL outbox: its connections, and how its threads share them."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.store.postgres_connection import Counted, Lane, Server
from tocsin.store.postgres_deciding import Deciding
from tocsin.store.postgres_schema import Db
from tocsin.store.postgres_settling import settle
from tocsin.store.records import Outcome
from tocsin.store.together import Place, Together

MOST = 100
"""How many pieces of work one transaction takes."""


class Settling(Place):
    """Outcomes that one thread wants recorded, and for which of them it still had the lease."""

    __slots__ = ("held", "outcomes")

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.held: list[bool] = []


class Own:
    """What one process uses: a connection for each sort of work, so that none waits for another, each opened late."""

    def __init__(self, server: Server) -> None:
        self.deciding = Lane(server)
        self.claiming = Lane(server)
        self.settling = Lane(server)
        self.asking = Lane(server)
        self.reading = Lane(server, reads=True)
        self.listening = Lane(server, listens=True)
        self.deciders = Together(Deciding(server, self.deciding).carry_out, most=MOST)
        """The threads that decide."""
        self.settlers = Together(self._settle, most=MOST)
        """The threads that record outcomes."""
        self._server = server

    def close(self) -> None:
        """Give up all connections; the next use of each opens another."""
        for lane in (self.deciding, self.claiming, self.settling, self.asking, self.reading, self.listening):
            lane.close()

    # ------------------------------------------------------------ settling

    def _settle(self, pieces: Sequence[Settling]) -> None:
        outcomes = [outcome for piece in pieces for outcome in piece.outcomes]

        def work(db: Db, again: bool) -> list[bool]:
            return settle(db, outcomes, repeated=again)

        held = iter(self.settling.transact(Counted(work), piped=True))
        for piece in pieces:
            piece.held, piece.done = [next(held) for _ in piece.outcomes], True
