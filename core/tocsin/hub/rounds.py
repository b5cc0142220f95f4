"""How a process that is there finds the runs of those that are gone, before their heartbeats are late."""

from __future__ import annotations

from datetime import datetime, timedelta

from tocsin.hub.heartbeats import HEARTBEAT, Beat, beat_in
from tocsin.hub.hub import Hub
from tocsin.identity import Presence, presence_of, this_process
from tocsin.routing.moments import utc
from tocsin.store.protocol import Store
from tocsin.store.records import Cell, StoreError

EVERY = timedelta(seconds=3)
"""How often to look."""
_GAP = timedelta(seconds=20)  # nobody looked for longer than a beat takes: runs elsewhere had no witness


class Rounds:
    """Looks after the runs of this place. The one who looks all the time may judge those from elsewhere, too."""

    def __init__(self, hub: Hub, *, every: timedelta = EVERY) -> None:
        self._hub = hub
        self._every = every
        self._since: datetime | None = None
        self._looked: datetime | None = None

    def look(self, *, now_and_then: bool = True) -> int:
        """Declare dead the runs whose processes are gone; how many. Raises StoreError.

        With `now_and_then` it does nothing where the last look was just now.
        """
        outbox, now = self._hub.outbox, utc(self._hub.clock.now())
        last = self._looked
        if outbox is None or (now_and_then and last is not None and timedelta(0) <= now - last < self._every):
            return 0
        try:
            found = living(outbox.store)
        except StoreError:
            self._since = self._looked = outbox.engine.attended_since = None
            raise
        if last is None or not timedelta(0) <= now - last <= _GAP:
            self._since = now
        self._looked, outbox.engine.attended_since = now, self._since
        gone = [cell for cell, beat in found if is_ours_to_bury(beat, presence_of(beat.process))]
        if not gone:
            return 0
        self._hub.replay_spill()  # where the end of a run may wait that is not dead at all
        return sum(self._hub.bury(cell.key, beat.process) for cell, beat in found if cell in gone)


def living(store: Store) -> list[tuple[Cell, Beat]]:
    """The heartbeats of the runs of this place. Raises StoreError."""
    place = this_process().place
    cells = store.transact(lambda tx: tx.cells(HEARTBEAT, parent=place), keep=False)
    return [(cell, beat) for cell in cells if (beat := beat_in(cell)) is not None]


def is_ours_to_bury(beat: Beat, presence: Presence) -> bool:
    """Whether to declare a run dead now: not while its supervisor is there, who knows how it ended."""
    if presence is not Presence.GONE:
        return False
    return beat.supervisor is None or presence_of(beat.supervisor) is not Presence.THERE
