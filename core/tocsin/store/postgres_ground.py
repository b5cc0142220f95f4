"""One transaction of PostgreSQL that decides: begun when something is asked of it, ended with as few words as can be.

Mostly an event is new. So whoever asks for its place in history is told at once that it has none, and only in the end,
together with what is to be written, is that seen to: then nothing was asked of the server before. Where it was not so,
`Misguessed` is raised, and everything is to be done again, after the server was asked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from tocsin.store.postgres_additions import Additions, NewDelivery, NewEvent, writing
from tocsin.store.postgres_connection import broken_off
from tocsin.store.postgres_schema import Db, lock_number

_SEQUENCE = b"SELECT sequence FROM events WHERE id = %s"
_SEQUENCES = "SELECT id, sequence FROM events WHERE id = ANY (%(asked)s::text[])"


class Misguessed(Exception):
    """What a transaction was told is not so, and nothing of it is stored. `asked`: the events of which it was told."""

    def __init__(self, asked: Collection[str]) -> None:
        super().__init__("something else was stored at the same moment")
        self.asked = asked


class Ground:
    """What one transaction, or several that share a commit, stand on.

    `latest`: the sequence of the newest event, as far as this process knows. `asked`: look these events up at the
    beginning, and take nothing for granted of any other.
    """

    def __init__(
        self, handle: Db, schema: str, latest: int | None, asked: Collection[str] | None = None, *, keep: bool = True
    ) -> None:
        self.added = Additions()
        self.changed = False
        """Whether anything was written that `added` does not hold."""
        self.planned = False
        """Whether there is now something to do that others may want to know of."""
        self.begun = False
        self.found: int | None = None
        """The sequence of the newest event when it was begun."""
        self._handle = handle
        self._lock = lock_number(schema)
        self._latest = latest
        self._guesses = asked is None and keep
        self._known: dict[str, int | None] = {}
        self._guessed: set[str] = set(asked or ())
        self._wrong = False
        if asked is not None or latest is None:
            self._begin()

    @property
    def db(self) -> Db:
        """The connection, in a transaction that holds the lock of all who decide."""
        if not self.begun:
            self._begin()
        return self._handle

    @property
    def latest(self) -> int | None:
        """The sequence of the newest event, when all is stored."""
        return None if self._latest is None else self._latest + len(self.added.events)

    @property
    def guessed(self) -> Collection[str]:
        """The events that were said not to be in history, though that is not known."""
        return self._guessed

    # ------------------------------------------------------------ events

    def sequence_of(self, event_id: str) -> int | None:
        """The place of an event in history."""
        if (place := self.added.places.get(event_id)) is not None:
            return self._sequence(place)
        if event_id in self._known:
            return self._known[event_id]
        if self._guesses:
            self._guessed.add(event_id)
            return None
        row = self.db.execute(_SEQUENCE, (event_id,)).fetchone()
        self._known[event_id] = None if row is None else int(row[0])
        return self._known[event_id]

    def added_event(self, event_id: str) -> tuple[int, NewEvent] | None:
        """An event that is not written yet, with its place."""
        place = self.added.places.get(event_id)
        return None if place is None else (self._sequence(place), self.added.events[place])

    def add_event(self, event: NewEvent) -> int:
        """Take in an event that is not in history; its place there."""
        return self._sequence(self.added.add_event(event))

    def add_delivery(self, delivery: NewDelivery) -> bool:
        """Take in a delivery of an event that is not written yet; False where there is one of its id."""
        return self.added.add_delivery(delivery)

    def _sequence(self, place: int) -> int:
        if self._latest is None:
            self._begin()
        return (self._latest or 0) + place + 1

    # ------------------------------------------------------------ the transaction

    def _begin(self) -> None:
        """Begin, and see whether what was said before is so."""
        asked, self.begun = list(self._guessed), True
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({self._lock}); SELECT value FROM counters WHERE name = 'events'"
        cursor = psycopg.ClientCursor(self._handle)
        cursor.execute(f"{begin}; {_SEQUENCES}".encode() if asked else begin.encode(), {"asked": asked})
        cursor.nextset()  # of the lock
        cursor.nextset()
        latest = int(cursor.fetchall()[0][0])
        self._known |= dict.fromkeys(asked)
        if asked:
            cursor.nextset()
            self._known |= dict(cursor.fetchall())
        was_said = self._guesses and any(self._known[each] is not None for each in asked)
        if was_said or (self.added.events and latest != self._latest):
            self._miss(asked)
        self._latest = self.found = latest
        self._guessed.clear()

    def write(self) -> None:
        """Write what was added so far."""
        if not self.added:
            return
        db = self.db
        if db.execute(*self._writing("")).fetchone() is None:
            self._miss(self._guessed)
        self._known |= dict.fromkeys(self._guessed)
        self._known |= {event.id: self._sequence(place) for place, event in enumerate(self.added.events)}
        self._latest, self.added, self.changed = self.latest, Additions(), True
        self._guessed = set()

    def snapshot(self) -> tuple[int | None, bool, dict[str, int | None]]:
        """How it stands, where all that was added is written."""
        return self._latest, self.planned, dict(self._known)

    def restore(self, before: tuple[int | None, bool, dict[str, int | None]]) -> None:
        """Let it stand as it did, after what was written since was undone."""
        self.added = Additions()
        self._latest, self.planned, self._known = before

    def end(self, notices: str) -> None:
        """Write what was added, and commit; whoever waits for something to do hears of it by `notices`."""
        if self._wrong:
            self._miss(self._guessed)
        told = notices if self.planned else ""
        if self.begun and self.changed and self._guessed:
            self._check()
        if self.added and not self.begun:
            if self._handle.execute(*self._writing(told, self._lock)).fetchone() is None:
                self._miss(self._guessed)
        elif self.added:
            self._write_and_commit(told)
        else:
            self._commit(told)

    def _check(self) -> None:
        if self.added:
            self.write()
        elif self._handle.execute(_SEQUENCES, {"asked": list(self._guessed)}).fetchall():
            self._miss(self._guessed)
        self._guessed = set()

    def _write_and_commit(self, told: str) -> None:
        if self._handle.info.transaction_status is not TransactionStatus.INTRANS:
            raise broken_off()
        with self._handle.pipeline():
            written = self._handle.execute(*self._writing(told))
            ended = self._handle.execute(b"COMMIT")
        if written.fetchone() is None:
            self._miss(self._guessed)
        if ended.statusmessage != "COMMIT":
            raise broken_off()

    def _commit(self, told: str) -> None:
        if not self.begun and self._guessed:
            self._begin()
        if not self.begun:
            return
        if self._guessed:
            self._check()
        if self._handle.info.transaction_status is not TransactionStatus.INTRANS:
            raise broken_off()
        ended = self._handle.execute(f"NOTIFY {told}; COMMIT".encode() if told else b"COMMIT")
        while ended.nextset():
            pass
        if ended.statusmessage != "COMMIT":
            raise broken_off()

    def _writing(self, told: str, lock: int | None = None) -> tuple[bytes, dict[str, Any]]:
        return writing(self.added, start=self._latest or 0, absent=self._guessed, notices=told, lock=lock)

    def _miss(self, asked: Collection[str]) -> None:
        self._wrong = True  # should what decides take it for an error of its own
        raise Misguessed({*asked, *self._known})
