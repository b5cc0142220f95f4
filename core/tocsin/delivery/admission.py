"""Which deliveries of channels with a rate may go now: counted in the store, so that all processes keep the promise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from tocsin.settings.rate import Rate
from tocsin.store.protocol import Transaction
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
