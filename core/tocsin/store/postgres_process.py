"""What one process uses of a PostgreSQL outbox: its connections, and how its threads share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tocsin.store.postgres_connection import Counted, Lane, Server
from tocsin.store.postgres_deciding import Deciding
from tocsin.store.postgres_settling import settle
from tocsin.store.postgres_together import Together
from tocsin.store.records import Outcome


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
        self.deciders = Together(Deciding(server, self.deciding).carry_out)
        """The threads that decide."""
        self.settlers = Together(self._settle)
        """The threads that record outcomes."""
        self._server = server

    def close(self) -> None:
        """Give up all connections; the next use of each opens another."""
        for lane in (self.deciding, self.claiming, self.settling, self.asking, self.reading, self.listening):
            lane.close()

    # ------------------------------------------------------------ settling

    def _settle(self, pieces: Sequence[Settling], mine: Settling) -> Sequence[Settling]:  # noqa: ARG002
        outcomes = [outcome for piece in pieces for outcome in piece.outcomes]
        held = iter(self.settling.transact(Counted(lambda db, again: settle(db, outcomes, repeated=again))))
        for piece in pieces:
            piece.held = [next(held) for _ in piece.outcomes]
        return pieces
