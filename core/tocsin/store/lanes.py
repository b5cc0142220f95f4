"""How long the deliveries of one thread and channel, a lane, wait for one another, whatever database they are in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from tocsin.store.coalescing import may_coalesce
from tocsin.store.records import to_micros

LANE_PATIENCE = timedelta(minutes=15)
"""How long an older delivery of the same thread and channel holds up the ones behind it."""
WAITED = timedelta(seconds=10)
"""From then on a delivery has waited: what follows it is put together with it."""

LONGEST_LANE = 1000
"""Of one lane looked at in one go."""
LOOKED_AT = 500
"""Deliveries that are due and held up by older ones, looked at in one go."""
NEAR = 64
"""Older ones of its lane that are looked at to see whether one holds a delivery up."""

_PATIENCE = LANE_PATIENCE // timedelta(microseconds=1)


class Lanes:
    """Who is held up at a moment. `youngest` says when the youngest of those before a delivery was planned.

    >>> lanes = Lanes(5, {2: 5, 7: None}.get)
    >>> lanes.held_until(2, "i1", "ops"), lanes.held_until(3, "i1", "ops"), lanes.held_until(7, "i2", "ops")
    (900000005, 900000005, None)
    """

    def __init__(self, at: int, youngest: Callable[[int], int | None]) -> None:
        self._at = at
        self._youngest = youngest
        self._held: dict[tuple[str, str], tuple[int, int]] = {}

    def held_until(self, number: int, thread: str, channel: str) -> int | None:
        """Until when older ones hold up a delivery that is not the first of its lane; None if they do not."""
        first, until = self._held.get((thread, channel), (number, 0))
        if first < number:  # what holds up one holds up those behind it
            return until
        planned = self._youngest(number)
        if planned is None or planned + _PATIENCE <= self._at:
            return None
        self._held[thread, channel] = (number, planned + _PATIENCE)
        return planned + _PATIENCE


def due_in_lane(rows: Iterable[Sequence[Any]], head: int, now: datetime) -> list[int]:
    """What of a lane is due and not claimed, up to the first that is; none where nothing can be put together.

    Each row is `number, status, due_at, action`, the oldest first. An older one than `head` may still arrive:
    what is behind it cannot be judged.

    >>> noon = datetime(2024, 5, 6, 12).astimezone()
    >>> rows = [(n, "pending", to_micros(noon), action) for n, action in ((1, "open"), (2, "recover"))]
    >>> due_in_lane(rows, 1, noon), due_in_lane(rows, 2, noon), due_in_lane(rows[:1], 1, noon)
    ([1, 2], [], [])
    """
    at = to_micros(now)
    found = list(takewhile(lambda row: row[2] <= at and (row[1] == "pending" or row[0] == head), rows))
    judged = found and found[0][0] == head and may_coalesce(row[3] for row in found)
    return [row[0] for row in found] if judged else []


def to_claim(
    heads: Iterable[tuple[int, str, str, bool]],
    put_together: Callable[[int, str, str], tuple[int | None, Collection[int]]],
) -> list[int]:
    """What is to be claimed of the heads of lanes, after what has piled up behind one was put together with it.

    Each head is `number, thread, channel, whether any is behind it`. `put_together` says of one that has some which
    is to be claimed, if any, and what is gone.

    >>> to_claim([(1, "i1", "ops", True), (4, "", "ops", False)], lambda *head: (3, [1, 2]))
    [3, 4]
    >>> to_claim([(1, "i1", "ops", True), (2, "i1", "ops", False)], lambda *head: (None, [1, 2]))
    []
    """
    numbers: dict[int, None] = {}  # each once, in their order
    gone: set[int] = set()  # an old head is no longer waited for, so that one lane may have several
    for number, thread, channel, crowded in heads:
        if number in gone:
            continue
        claimed, dropped = put_together(number, thread, channel) if crowded else (number, ())
        gone.update(dropped)
        if claimed is not None:
            numbers[claimed] = None
    return [number for number in numbers if number not in gone]  # one that was to go may be told by a later one
