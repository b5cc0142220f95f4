"""What can be done inside one transaction of the PostgreSQL outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tocsin.store.coding import dump, dump_event, load
from tocsin.store.postgres_additions import NewDelivery, NewEvent
from tocsin.store.postgres_ground import Ground
from tocsin.store.postgres_schema import Db
from tocsin.store.records import (
    NOTED,
    Cell,
    Incident,
    Planned,
    Sent,
    Suppression,
    delivery_id,
    from_micros,
    storable,
    to_micros,
)
from tocsin_hooks.events import Event

_DELIVER = (
    b"WITH noted AS (UPDATE counters SET value = %(at)s WHERE name = 'clock' AND value < %(at)s - %(noted)s)"
    b" INSERT INTO deliveries"
    b" (id, event, incident, channel, route, action, template, created_at, due_at, thread, body)"
    b" VALUES (%(id)s, %(event)s, %(incident)s, %(channel)s, %(route)s, %(action)s, %(template)s,"
    b"  %(at)s, %(at)s, %(thread)s, %(body)s) ON CONFLICT (id) DO NOTHING RETURNING number"
)
_CELL = "SELECT kind, key, parent, subject, due_at, body FROM cells"
_CELLS = (
    b"SELECT c.kind, c.key, c.parent, c.subject, c.due_at, c.body"
    b" FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS n (kind, key, place) JOIN cells AS c"
    b" ON c.kind = n.kind AND hashtextextended(c.key, 0) = hashtextextended(n.key, 0) AND c.key = n.key"
    b" ORDER BY n.place"
)
_INCIDENT = "SELECT number, key, opened_at, closed_at, body FROM incidents"
_IS = "hashtextextended({0}, 0) = hashtextextended(%({0})s, 0) AND {0} = %({0})s"  # found by hash: it may be long


class PostgresTransaction:
    """A `Transaction` that may share its ground, and so its commit, with others."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def _db(self) -> Db:
        return self._ground.db

    @property
    def _changed(self) -> Db:
        """The connection, to change something by it."""
        self._ground.changed = True
        return self._ground.db

    # ------------------------------------------------------------ events

    def sequence_of(self, event_id: str) -> int | None:
        """See `Transaction.sequence_of`."""
        return self._ground.sequence_of(storable(event_id))

    def event(self, event_id: str) -> Event | None:
        """See `Transaction.event`."""
        if (added := self._ground.added_event(storable(event_id))) is not None:
            sequence, new = added
            return Event.from_json(new.body).replace(sequence=sequence)
        row = self._one("SELECT sequence, body FROM events WHERE id = %(id)s", id=event_id)
        return None if row is None else Event.from_json(row[1]).replace(sequence=row[0])

    def add_event(self, event: Event, incident: int | None = None) -> Event:
        """See `Transaction.add_event`."""
        key = storable(event.id)
        sequence = self._ground.sequence_of(key)
        if sequence is None:
            new = NewEvent(key, to_micros(event.time), incident, event.run_id, dump_event(event))
            sequence = self._ground.add_event(new)
        return event.replace(sequence=sequence)

    # ------------------------------------------------------------ incidents

    def incident(self, key: str) -> Incident | None:
        """See `Transaction.incident`."""
        row = self._one(f"{_INCIDENT} WHERE {_IS.format('key')} AND closed_at IS NULL", key=key)
        return None if row is None else _incident(row)

    def incident_numbered(self, number: int) -> Incident | None:
        """See `Transaction.incident_numbered`."""
        row = self._one(f"{_INCIDENT} WHERE number = %(number)s", number=number)
        return None if row is None else _incident(row)

    def open_incidents(self) -> list[Incident]:
        """See `Transaction.open_incidents`."""
        rows = self._db.execute(f"{_INCIDENT} WHERE closed_at IS NULL ORDER BY number")
        return [_incident(row) for row in rows]

    def incidents(self, limit: int) -> list[Incident]:
        """See `Transaction.incidents`."""
        rows = self._db.execute(f"{_INCIDENT} ORDER BY number DESC LIMIT %s", (limit,)).fetchall()
        return [_incident(row) for row in reversed(rows)]

    def put_incident(self, incident: Incident) -> Incident:
        """See `Transaction.put_incident`."""
        closed = None if incident.closed_at is None else to_micros(incident.closed_at)
        if incident.number is not None:
            self._changed.execute(
                "UPDATE incidents SET closed_at = %s, body = %s WHERE number = %s",
                (closed, dump(incident), incident.number),
            )
            return incident
        self._ground.changed = True
        row = self._one(
            "WITH next AS (UPDATE counters SET value = value + 1 WHERE name = 'incidents' RETURNING value)"
            " INSERT INTO incidents (number, key, opened_at, closed_at, body)"
            " SELECT value, %(key)s, %(opened)s, %(closed)s::bigint, %(body)s FROM next RETURNING number",
            key=incident.key,
            opened=to_micros(incident.opened_at),
            closed=closed,
            body=dump(incident),
        )
        return replace(incident, number=None if row is None else row[0])

    # ------------------------------------------------------------ deliveries

    def deliver(self, event: Event, incident: int | None, planned: Planned, *, now: datetime) -> Sent | None:
        """See `Transaction.deliver`."""
        key = delivery_id(event.id, planned.channel, planned.nonce)
        new = NewDelivery(
            key,
            event.sequence or 0,
            incident,
            planned.channel,
            planned.route,
            planned.action.value,
            planned.template,
            to_micros(now),
            planned.thread,
            dump(planned),
        )
        is_added = self._ground.added_event(storable(event.id)) is not None
        if not (self._ground.add_delivery(new) if is_added else self._insert(new)):
            return None
        self._ground.planned = True
        return Sent(key, event, planned)

    def _insert(self, new: NewDelivery) -> bool:
        """Write a delivery of an event that was in history before; it gets its number after those that came before."""
        self._ground.write()
        row = self._changed.execute(_DELIVER, {**new._asdict(), "noted": NOTED}).fetchone()
        return row is not None

    def suppress(self, suppression: Suppression) -> None:
        """See `Transaction.suppress`."""
        self._changed.execute(
            "INSERT INTO suppressions (at, event, route, channel, stage, rule, reason)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                to_micros(suppression.at),
                suppression.event,
                suppression.route,
                suppression.channel,
                suppression.stage,
                suppression.rule,
                suppression.reason,
            ),
        )

    # ------------------------------------------------------------ documents

    def cell(self, kind: str, key: str) -> Cell | None:
        """See `Transaction.cell`."""
        row = self._one(f"{_CELL} WHERE kind = %(kind)s AND {_IS.format('key')}", kind=kind, key=key)
        return None if row is None else _cell(row)

    def documents(self, names: Sequence[tuple[str, str]]) -> list[Cell]:
        """See `Transaction.documents`."""
        if not names:
            return []
        kinds, keys = zip(*dict.fromkeys(names), strict=True)
        return [_cell(row) for row in self._db.execute(_CELLS, (list(kinds), list(keys)))]

    def cells(self, kind: str, *, parent: str | None = None, subject: str | None = None) -> list[Cell]:
        """See `Transaction.cells`."""
        which = ""
        if parent is not None:
            which = f" AND {_IS.format('parent')} AND parent <> ''"
        elif subject is not None:
            which = f" AND {_IS.format('subject')} AND subject <> ''"
        rows = self._db.execute(
            f"{_CELL} WHERE kind = %(kind)s{which} ORDER BY key", {"kind": kind, "parent": parent, "subject": subject}
        )
        return [_cell(row) for row in rows]

    def due_cells(self, *, now: datetime, limit: int) -> list[Cell]:
        """See `Transaction.due_cells`."""
        rows = self._db.execute(
            f"{_CELL} WHERE due_at <= %s ORDER BY due_at, kind, key LIMIT %s", (to_micros(now), limit)
        )
        return [_cell(row) for row in rows]

    def put(self, cell: Cell) -> None:
        """See `Transaction.put`."""
        self._ground.planned |= cell.due_at is not None
        self._changed.execute(
            "WITH written AS (UPDATE cells SET parent = %(parent)s, subject = %(subject)s, due_at = %(due_at)s,"
            f"  body = %(body)s WHERE kind = %(kind)s AND {_IS.format('key')} RETURNING 1)"
            " INSERT INTO cells (kind, key, parent, subject, due_at, body)"
            " SELECT %(kind)s, %(key)s, %(parent)s, %(subject)s, %(due_at)s::bigint, %(body)s"
            " WHERE NOT EXISTS (SELECT FROM written)",
            {
                "kind": cell.kind,
                "key": cell.key,
                "parent": cell.parent,
                "subject": cell.subject,
                "due_at": None if cell.due_at is None else to_micros(cell.due_at),
                "body": cell.body,
            },
        )

    def drop(self, kind: str, key: str) -> None:
        """See `Transaction.drop`."""
        self._changed.execute(
            f"DELETE FROM cells WHERE kind = %(kind)s AND {_IS.format('key')}", {"kind": kind, "key": key}
        )

    def _one(self, query: str, **values: Any) -> tuple[Any, ...] | None:
        return self._db.execute(query.encode(), values).fetchone()


def _incident(row: tuple[Any, ...]) -> Incident:
    number, _, opened_at, closed_at, body = row
    return replace(
        load(Incident, body),
        number=number,
        opened_at=from_micros(opened_at),
        closed_at=None if closed_at is None else from_micros(closed_at),
    )


def _cell(row: tuple[Any, ...]) -> Cell:
    kind, key, parent, subject, due_at, body = row
    return Cell(kind, key, body, parent, subject, None if due_at is None else from_micros(due_at))
