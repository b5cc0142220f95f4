"""What a transaction adds to history and to the outbox of PostgreSQL: kept until its end, and written at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tocsin.store.records import NOTED

Value = str | int | None


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
    "  SELECT %(start)s::bigint + n.place, n.id, n.at, n.incident, n.run_id, n.body"
    "  FROM unnest(%(e_id)s::text[], %(e_at)s::bigint[], %(e_incident)s::bigint[], %(e_run)s::text[],"
    "   %(e_body)s::text[]) WITH ORDINALITY AS n (id, at, incident, run_id, body, place)"
    "  WHERE EXISTS (SELECT FROM counted) ORDER BY n.place),"
    " planned AS (INSERT INTO deliveries"
    "  (id, event, incident, channel, route, action, template, created_at, due_at, thread, body)"
    "  SELECT n.id, n.event, n.incident, n.channel, n.route, n.action, n.template, n.at, n.at, n.thread, n.body"
    "  FROM unnest(%(id)s::text[], %(event)s::bigint[], %(incident)s::bigint[], %(channel)s::text[],"
    "   %(route)s::text[], %(action)s::text[], %(template)s::text[], %(at)s::bigint[], %(thread)s::text[],"
    "   %(body)s::text[]) WITH ORDINALITY AS n"
    "   (id, event, incident, channel, route, action, template, at, thread, body, place)"
    "  WHERE EXISTS (SELECT FROM counted) ORDER BY n.place),"
    " noted AS (UPDATE counters SET value = %(latest)s::bigint WHERE name = 'clock'"
    "  AND value < %(latest)s::bigint - %(noted)s::bigint AND EXISTS (SELECT FROM counted))"
    " SELECT CASE WHEN %(notices)s::text <> '' THEN pg_notify(%(notices)s::text, '')::text END FROM counted"
)
"""Writes all of it, or nothing and no row comes back: where one of the events `absent` is in history, or an event
came in after `start`. The counter tells of that even where it was after this statement had begun."""

WITHIN = _WRITE.format(lock="").encode()
"""In a transaction that holds the lock of all who decide."""


def alone(lock: int) -> bytes:
    """The statement that is a transaction of its own: it writes nothing where somebody else holds the lock."""
    return _WRITE.format(lock=f"pg_try_advisory_xact_lock({lock}) AND ").encode()


def values(added: Additions, *, start: int, absent: Iterable[str], notices: str) -> dict[str, Any]:
    """What the statement is to be given."""
    ids, ats, incidents, runs, bodies = _columns(added.events, 5)
    names = ("id", "event", "incident", "channel", "route", "action", "template", "at", "thread", "body")
    return {
        "absent": array(absent),
        "count": len(added.events),
        "start": start,
        "e_id": ids,
        "e_at": ats,
        "e_incident": incidents,
        "e_run": runs,
        "e_body": bodies,
        **dict(zip(names, _columns(added.deliveries, len(names)), strict=True)),
        "latest": max((delivery.at for delivery in added.deliveries), default=0),
        "noted": NOTED,
        "notices": notices,
    }


def _columns(rows: Sequence[tuple[Value, ...]], count: int) -> list[str]:
    columns = zip(*rows, strict=True) if rows else ((),) * count
    return [array(column) for column in columns]


def array(values: Iterable[Value]) -> str:
    r"""An array as PostgreSQL reads it. Its texts are `escaped` only by what writes the whole.

    >>> array([1, None]), array(['a "b" \\', ""])
    ('{1,NULL}', '{"a \\"b\\" \\\\",""}')
    """
    return f"{{{','.join(map(_item, values))}}}"


def _item(value: Value) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return "NULL" if value is None else str(value)
