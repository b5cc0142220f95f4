"""What becomes of a stored row that cannot be read: it ends by itself, or is shown as such, and holds up no other.

A damaged disk writes such rows, and so does a later tocsin whose events this one does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from tocsin_hooks.events import Event
from tocsin_hooks.messages import Reason

_log = logging.getLogger("tocsin.store")

T = TypeVar("T")

REASON = Reason.PAYLOAD
"""Why a delivery that cannot be read is dead."""

_NOBODY = datetime(1970, 1, 1, tzinfo=UTC)


def sift(rows: Iterable[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], T]) -> tuple[dict[int, T], dict[int, str]]:
    """What can be read of rows, and what is wrong with the others, each by its number, the first of its fields.

    >>> sift([(1, "7"), (2, "x")], lambda row: int(row[1]))
    ({1: 7}, {2: "it cannot be read: ValueError: invalid literal for int() with base 10: 'x'"})
    """
    found, broken = {}, {}
    for row in rows:
        try:
            found[row[0]] = read(row)
        except Exception as error:
            broken[row[0]] = _in_words(error)
            _log.error("delivery number %d is dead: %s", row[0], broken[row[0]])
    return found, broken


def event_in(body: str, sequence: int | None) -> Event:
    """The event that a row holds, or one that says that it cannot be read.

    >>> event_in("{", 7).message.partition(":")[0], event_in("{", 7).sequence
    ('it cannot be read', 7)
    """
    try:
        return Event.from_json(body).replace(sequence=sequence)
    except Exception as error:
        import pendulum

        told = _in_words(error)
        return Event(
            "", pendulum.instance(_NOBODY), "unreadable", "", "Unreadable", (), sequence=sequence, message=told
        )


def events_in(rows: Iterable[tuple[int, str]]) -> list[Event]:
    """The events of a history; what cannot be read is left out, and logged."""
    found = []
    for sequence, body in rows:
        try:
            found.append(Event.from_json(body).replace(sequence=sequence))
        except Exception as error:
            _log.error("event number %d is passed over: %s", sequence, _in_words(error))
    return found


def _in_words(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return f"it cannot be read: {type(error).__name__}: {first}"[:500]
