"""What becomes of a stored row that cannot be read: it ends by itself, or is shown as such, and holds up no other.

A damaged disk writes such rows, and so does a later tocsin whose events this one does not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tocsin.masked import logger
from tocsin.store.coding import load
from tocsin.store.records import Leased, Planned
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Reason

_log = logger("tocsin.store")

REASON = Reason.PAYLOAD
"""Why a delivery that cannot be read is dead."""

_NOBODY = datetime(1970, 1, 1, tzinfo=UTC)


def fault_of(delivery: Leased) -> str:
    """What is wrong with the row of a claimed delivery, in words; empty when all of it can be read.

    >>> from tocsin.store.rows import Stored
    >>> fault_of(Leased(7, "key", 1, "ops", "pages", "", "", 1, 0, False, Stored("open", "{}", "{", 1, None)))
    'it cannot be read: JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'
    """
    try:
        told = delivery.told
        _ = (told.event, told.planned, told.action, told.previous)
    except Exception as error:
        return _in_words(error)
    return ""


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


def planned_in(body: str) -> Planned | None:
    """What a row says was planned; None where it cannot be read.

    >>> planned_in("{")
    """
    try:
        return load(Planned, body)
    except Exception:  # whoever claims it says what is wrong with it
        return None


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
