"""How a process that is there finds the runs of those that are gone, before their heartbeats are late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tocsin.hub.heartbeats import HEARTBEAT, LIVING, Beat, beat_in, doubt, heard_at
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.identity import Presence, presence_of
from tocsin.routing.moments import utc
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, StoreError

EVERY = timedelta(seconds=3)
"""How often to look."""
_GAP = timedelta(seconds=20)  # nobody looked for longer than a beat takes: runs elsewhere had no witness

_Seen = tuple[str, datetime]


class Rounds:
    """Looks after the runs of this place. The one who looks all the time may judge those from elsewhere, too.

    For he sees how long each has been silent by his own clock, whatever the clock of its host says.
    """

    def __init__(self, hub: Hub, *, every: timedelta = EVERY) -> None:
        self._hub = hub
        self._every = every
        self._since: datetime | None = None
        self._looked: datetime | None = None
        self._heard: dict[_Seen, datetime] = {}

    def look(self, *, now_and_then: bool = True) -> int:
        """Declare dead the runs whose processes are gone; how many. Raises StoreError.

        With `now_and_then` it does nothing where the last look was just now.
        """
        outbox, now = self._hub.outbox, utc(self._hub.clock.now())
        last = self._looked
        if outbox is None or (now_and_then and last is not None and timedelta(0) <= now - last < self._every):
            return 0
        if last is None or not timedelta(0) <= now - last <= _GAP:
            self._forget(outbox)
        try:
            found = living(outbox.store)
            self._attend(outbox, found, now)
        except StoreError:
            self._forget(outbox)
            raise
        gone = [cell for cell, beat in found if is_ours_to_bury(beat, presence_of(beat.process))]
        if not gone:
            return 0
        self._hub.replay_spill()  # where the end of a run may wait that is not dead at all
        return sum(self._hub.bury(cell.key, beat.process) for cell, beat in found if cell in gone)

    def _forget(self, outbox: Outbox) -> None:
        """Begin anew: nobody knows what was missed."""
        self._since = self._looked = outbox.engine.attended_since = None
        self._heard = {}

    def _attend(self, outbox: Outbox, found: Sequence[tuple[Cell, Beat]], now: datetime) -> None:
        """Note when each run was last heard of, and let those be looked at that have been silent for too long."""
        last, self._looked = self._looked, now
        elsewhere = [(cell.key, beat) for cell, beat in found if presence_of(beat.process) is Presence.ELSEWHERE]
        heard = {(key, beat.at): heard_at(beat, now, last) for key, beat in elsewhere}
        self._heard = {seen: self._heard.get(seen, at) for seen, at in heard.items()}
        if last is None:
            self._since = now
            return
        outbox.engine.attended_since = self._since  # who looks but once attends nothing
        silent = [each for each in elsewhere if now - self._heard[each[0], each[1].at] >= each[1].dead_after]
        if silent:
            outbox.store.transact(lambda tx: _doubt_all(tx, silent, now))
            self._hub.on_timer()


def _doubt_all(tx: Transaction, silent: Sequence[tuple[str, Beat]], now: datetime) -> None:
    for key, beat in silent:
        doubt(tx, key, beat, now)


def living(store: Store) -> list[tuple[Cell, Beat]]:
    """The heartbeats of the runs that are under way, as far as anybody knows. Raises StoreError."""
    cells = store.transact(lambda tx: tx.cells(HEARTBEAT, subject=LIVING), keep=False)
    return [(cell, beat) for cell in cells if (beat := beat_in(cell)) is not None]


def is_ours_to_bury(beat: Beat, presence: Presence) -> bool:
    """Whether to declare a run dead now: not while its supervisor is there, who knows how it ended."""
    if presence is not Presence.GONE:
        return False
    return beat.supervisor is None or presence_of(beat.supervisor) is not Presence.THERE
