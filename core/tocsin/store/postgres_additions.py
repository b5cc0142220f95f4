"""What a transaction adds to history and to the outbox of PostgreSQL: kept until its end, and written at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tocsin.store.postgres_text import Value, array, arrays
from tocsin.store.records import NOTED


class NewEvent(NamedTuple):
    """A row of `events`, but for its sequence."""

    id: str
    at: int
    incident: int | None
    run_id: str
    body: str


class NewDelivery(NamedTuple):
    """A row of `deliveries` that is due at once; `event` is the sequence of its event."""

    id: str
    event: int
    incident: int | None
    channel: str
    route: str
    action: str
    template: str
    at: int
    thread: str
    body: str


@dataclass(slots=True)
class Additions:
    """Events and deliveries in the order in which they came, of one transaction or of several that share one."""

    events: list[NewEvent] = field(default_factory=list)
    deliveries: list[NewDelivery] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    """Which of the events has an id."""
    ids: set[str] = field(default_factory=set)
    """Of the deliveries."""

    def __bool__(self) -> bool:
        return bool(self.events or self.deliveries)

    def add_event(self, event: NewEvent) -> int:
        """Take in an event; its place, from 0."""
        place = self.places[event.id] = len(self.events)
        self.events.append(event)
        return place

    def add_delivery(self, delivery: NewDelivery) -> bool:
        """Take in a delivery, unless there is one of its id."""
        if delivery.id in self.ids:
            return False
        self.ids.add(delivery.id)
        self.deliveries.append(delivery)
        return True

    def mark(self) -> tuple[int, int]:
        """Where it stands."""
        return len(self.events), len(self.deliveries)

    def undo(self, mark: tuple[int, int]) -> None:
        """Forget what came after a mark."""
        events, deliveries = mark
        for event in self.events[events:]:
            del self.places[event.id]
        self.ids.difference_update(delivery.id for delivery in self.deliveries[deliveries:])
        del self.events[events:], self.deliveries[deliveries:]


# ---------------------------------------------------------------- as one statement

_WRITE = (
    "WITH fit (yes) AS MATERIALIZED (SELECT {lock}NOT EXISTS (SELECT FROM events WHERE id = ANY (%(absent)s::text[]))),"
    " counted AS (UPDATE counters SET value = value + %(count)s::bigint WHERE name = 'events'"
    "  AND value = %(start)s::bigint AND (SELECT yes FROM fit) RETURNING 1),"
    " told AS (INSERT INTO events (sequence, id, at, incident, run_id, body)"
    "  SELECT %(start)s::bigint + n.place, n.id, n.at, n.incident, n.run_id, n.body FROM {events}"
    "  WHERE EXISTS (SELECT FROM counted) ORDER BY n.place),"
    " planned AS (INSERT INTO deliveries"
    "  (id, event, incident, channel, route, action, template, created_at, due_at, thread, body)"
    "  SELECT n.id, n.event, n.incident, n.channel, n.route, n.action, n.template, n.at, n.at, n.thread, n.body"
    "  FROM {deliveries} WHERE EXISTS (SELECT FROM counted) ORDER BY n.place),"
    " noted AS (UPDATE counters SET value = %(latest)s::bigint WHERE name = 'clock'"
    "  AND value < %(latest)s::bigint - {noted} AND EXISTS (SELECT FROM counted))"
    " SELECT {notice} FROM counted"
)
_TYPES = {"at": "bigint", "incident": "bigint", "event": "bigint"}  # all others are texts


def _rows(table: str, columns: Sequence[str], *, several: bool) -> str:
    """The rows of which a statement is given the columns; the one row needs no arrays."""
    names = ", ".join((*columns, "place"))
    if several:
        given = (f"%({table}_{column})s::{_TYPES.get(column, 'text')}[]" for column in columns)
        return f"unnest({', '.join(given)}) WITH ORDINALITY AS n ({names})"
    given = (f"%({table}_{column})s::{_TYPES.get(column, 'text')}" for column in columns)
    return f"(VALUES ({', '.join(given)}, 1)) AS n ({names})"


@cache
def _statement(lock: int | None, notices: str, *, events: bool, deliveries: bool) -> bytes:
    return _WRITE.format(
        noted=NOTED,
        notice=f"pg_notify('{notices}', '')::text" if notices else "''",
        lock="" if lock is None else f"pg_try_advisory_xact_lock({lock}) AND ",
        events=_rows("e", NewEvent._fields, several=events),
        deliveries=_rows("d", NewDelivery._fields, several=deliveries),
    ).encode()


def writing(
    added: Additions, *, start: int, absent: Iterable[str], notices: str, lock: int | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The statement that writes all of it, with its values; or it writes nothing, and no row comes back.

    That is so where one of the events `absent` is in history, or an event came in after `start`: the counter tells of
    that even where it was after the statement had begun. With `lock` it may be a transaction of its own, and writes
    nothing where somebody else holds that lock; else the transaction that it is in has to hold it.
    """
    values = {
        "absent": array(list(absent)),
        "count": len(added.events),
        "start": start,
        "latest": max((delivery.at for delivery in added.deliveries), default=0),
        **_columns("e", NewEvent._fields, added.events),
        **_columns("d", NewDelivery._fields, added.deliveries),
    }
    return _statement(lock, notices, events=len(added.events) != 1, deliveries=len(added.deliveries) != 1), values


def _columns(table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> dict[str, Value]:
    names = [f"{table}_{column}" for column in columns]
    if len(rows) == 1:
        return dict(zip(names, rows[0], strict=True))
    return dict(zip(names, arrays(rows, len(names)), strict=True))
