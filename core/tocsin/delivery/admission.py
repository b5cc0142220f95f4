"""Which deliveries of channels with a rate may go now: counted in the store, so that all processes keep the promise."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime

from tocsin.clock import Clock
from tocsin.delivery.board import Board
from tocsin.delivery.sender import Sender
from tocsin.settings.rate import Rate
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, from_micros, to_micros

RATE = "rate"
"""The kind of the cells that remember, by channel, when the last messages were let go."""


def admit(
    tx: Transaction, wanted: Mapping[str, int], rates: Mapping[str, Rate], now: datetime
) -> dict[str, tuple[int, datetime]]:
    """How many of the messages wanted may go now, by channel, and when the next may. They count as gone."""
    found = {}
    for channel, count in wanted.items():
        cell, at = tx.cell(RATE, channel), to_micros(now)
        taken = [] if cell is None else [int(time) for time in json.loads(cell.body)]
        kept, granted, next_at = rates[channel].take(taken, count, at)
        if granted or any(time > at for time in taken):  # those of a clock that was ahead count from now
            tx.put(Cell(RATE, channel, json.dumps(kept)))
        found[channel] = (granted, from_micros(next_at))
    return found


class Gate:
    """Where what was claimed for channels with a rate waits until that lets it through.

    The board is only touched under its lock, the store never.
    """

    def __init__(self, store: Store, sender: Sender, clock: Clock, board: Board, lock: threading.RLock) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._board = board
        self._lock = lock
        self._next: dict[str, datetime] = {}  # when the next of a channel may go, as far as is known

    def is_there(self, channel: str) -> bool:
        """Whether a channel has a rate."""
        destination = self._sender.destination(channel)
        return destination is not None and destination.rate is not None

    def let_through(self, now: datetime) -> None:
        """Let those go that may, as many as there are threads for them now. Raises StoreError."""
        rates, wanted = {}, {}
        with self._lock:
            for channel, line in self._board.lines.items():
                destination = self._sender.destination(channel)
                if not line.rated or self._next.get(channel, now) > now:
                    continue
                if destination is None or destination.rate is None:  # the config has changed
                    line.ready.extend(line.rated)
                    line.rated.clear()
                    continue
                free = self._board.idle - len(line.ready)
                if free > 0 and line.breaker.permits(self._clock.monotonic(), under_way=line.running):
                    rates[channel], wanted[channel] = destination.rate, min(free, len(line.rated))
        if not wanted:
            return
        granted = self._store.transact(lambda tx: admit(tx, wanted, rates, now))
        with self._lock:
            for channel, (count, next_at) in granted.items():
                line = self._board.line(channel)
                line.ready.extend(line.rated.popleft() for _ in range(min(count, len(line.rated))))
                self._next[channel] = next_at

    def held_back(self, until: datetime) -> set[str]:
        """The channels whose rate lets nothing more through before a time. The lock is held."""
        lines = self._board.lines.items()
        return {channel for channel, line in lines if line.rated and self._next.get(channel, until) > until}

    def slots(self) -> list[datetime]:
        """When more of what waits may go, channel by channel. The lock is held."""
        return [
            self._next[channel] for channel, line in self._board.lines.items() if line.rated and channel in self._next
        ]

    def forget(self) -> None:
        """Ask the store anew: the clock was set, or the rates are others. The lock is held."""
        self._next.clear()
