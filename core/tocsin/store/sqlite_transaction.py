"""What can be done inside one transaction of the SQLite outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from tocsin.store.coding import dump, dump_event, load
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

_CELL = "SELECT kind, key, parent, subject, due_at, body FROM cells"
_INCIDENT = "SELECT number, key, opened_at, closed_at, body FROM incidents"


def note(db: sqlite3.Connection, at: int) -> None:
    """Remember that deliveries were written at a time, nearly: most calls change nothing."""
    db.execute("UPDATE clock SET latest = ?1 WHERE latest < ?1 - ?2", (at, NOTED))


class SqliteTransaction:
    """A `Transaction` on a connection that has begun one."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.opened: list[str] = []
        """The keys of incidents that were opened."""
        self.closed = False
        """Whether an incident was closed."""
        self._placed: dict[tuple[str, str], tuple[str, str, int | None]] = {}
        """Where the documents that were looked at stand in the indices, by kind and key: parent, subject, due."""

    # ------------------------------------------------------------ events

    def sequence_of(self, event_id: str) -> int | None:
        """See `Transaction.sequence_of`."""
        row = self._db.execute("SELECT sequence FROM events WHERE id = ?", (event_id,)).fetchone()
        return None if row is None else int(row[0])

    def event(self, event_id: str) -> Event | None:
        """See `Transaction.event`."""
        row = self._db.execute("SELECT sequence, body FROM events WHERE id = ?", (event_id,)).fetchone()
        return None if row is None else Event.from_json(row[1]).replace(sequence=row[0])

    def add_event(self, event: Event, incident: int | None = None) -> Event:
        """See `Transaction.add_event`."""
        cursor = self._db.execute(
            "INSERT INTO events (id, at, incident, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (event.id, to_micros(event.time), incident, dump_event(event)),
        )
        sequence = cursor.lastrowid if cursor.rowcount == 1 else self.sequence_of(event.id)
        return event.replace(sequence=sequence)

    # ------------------------------------------------------------ incidents

    def incident(self, key: str) -> Incident | None:
        """See `Transaction.incident`."""
        row = self._db.execute(f"{_INCIDENT} WHERE key = ? AND closed_at IS NULL", (key,)).fetchone()
        return None if row is None else _incident(row)

    def incident_numbered(self, number: int) -> Incident | None:
        """See `Transaction.incident_numbered`."""
        row = self._db.execute(f"{_INCIDENT} WHERE number = ?", (number,)).fetchone()
        return None if row is None else _incident(row)

    def open_incidents(self) -> list[Incident]:
        """See `Transaction.open_incidents`."""
        rows = self._db.execute(f"{_INCIDENT} WHERE closed_at IS NULL ORDER BY number")
        return [_incident(row) for row in rows]

    def incidents(self, limit: int) -> list[Incident]:
        """See `Transaction.incidents`."""
        rows = self._db.execute(f"{_INCIDENT} ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
        return [_incident(row) for row in reversed(rows)]

    def put_incident(self, incident: Incident) -> Incident:
        """See `Transaction.put_incident`."""
        closed = None if incident.closed_at is None else to_micros(incident.closed_at)
        self.closed |= closed is not None
        if incident.number is not None:
            self._change(incident.number, closed, dump(incident))
            return incident
        self.opened.append(incident.key)
        cursor = self._db.execute(
            "INSERT INTO incidents (key, opened_at, closed_at, body) VALUES (?, ?, ?, ?)",
            (incident.key, to_micros(incident.opened_at), closed, dump(incident)),
        )
        return replace(incident, number=cursor.lastrowid)

    def _change(self, number: int, closed: int | None, body: str) -> None:
        if closed is None:  # as most stay: then the index of the open ones is not written
            query = "UPDATE incidents SET body = ? WHERE number = ? AND closed_at IS NULL"
            if self._db.execute(query, (body, number)).rowcount:
                return
        self._db.execute("UPDATE incidents SET closed_at = ?, body = ? WHERE number = ?", (closed, body, number))

    # ------------------------------------------------------------ deliveries

    def deliver(self, event: Event, incident: int | None, planned: Planned, *, now: datetime) -> Sent | None:
        """See `Transaction.deliver`."""
        key, at = delivery_id(event.id, planned.channel, planned.nonce), to_micros(now)
        note(self._db, at)
        added = self._db.execute(
            "INSERT INTO deliveries (id, event, incident, channel, route, action, template, status, created_at, due_at,"
            " thread, body) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (
                key,
                event.sequence,
                incident,
                planned.channel,
                planned.route,
                planned.action,
                planned.template,
                at,
                at,
                planned.thread,
                dump(planned),
            ),
        ).rowcount
        return Sent(key, event, planned) if added else None

    def suppress(self, suppression: Suppression) -> None:
        """See `Transaction.suppress`."""
        self._db.execute(
            "INSERT INTO suppressions (at, event, route, channel, stage, rule, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                to_micros(suppression.at),
                suppression.event,
                suppression.route,
                suppression.channel,
                suppression.stage,
                storable(suppression.rule),
                storable(suppression.reason),
            ),
        )

    # ------------------------------------------------------------ documents

    def cell(self, kind: str, key: str) -> Cell | None:
        """See `Transaction.cell`."""
        row = self._db.execute(f"{_CELL} WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return None if row is None else self._cell(row)

    def documents(self, names: Sequence[tuple[str, str]]) -> list[Cell]:
        """See `Transaction.documents`."""
        if not (wanted := dict.fromkeys(names)):
            return []
        rows = self._db.execute(
            " UNION ALL ".join([f"{_CELL} WHERE kind = ? AND key = ?"] * len(wanted)), list(chain.from_iterable(wanted))
        )
        return [self._cell(row) for row in rows]

    def cells(self, kind: str, *, parent: str | None = None, subject: str | None = None) -> list[Cell]:
        """See `Transaction.cells`."""
        # the indices are named, for the planner would rather walk a whole kind in the order of its keys
        if parent is not None:
            rows = self._db.execute(
                f"{_CELL} INDEXED BY cells_parent WHERE kind = ? AND parent = ? AND parent != '' ORDER BY key",
                (kind, parent),
            )
        elif subject is not None:
            rows = self._db.execute(
                f"{_CELL} INDEXED BY cells_subject WHERE kind = ? AND subject = ? AND subject != '' ORDER BY key",
                (kind, subject),
            )
        else:
            rows = self._db.execute(f"{_CELL} WHERE kind = ? ORDER BY key", (kind,))
        return [self._cell(row) for row in rows]

    def due_cells(self, *, now: datetime, limit: int) -> list[Cell]:
        """See `Transaction.due_cells`."""
        rows = self._db.execute(
            f"{_CELL} WHERE due_at <= ? ORDER BY due_at, kind, key LIMIT ?", (to_micros(now), limit)
        )
        return [self._cell(row) for row in rows]

    def put(self, cell: Cell) -> None:
        """See `Transaction.put`. An index is written only where the document moves in it."""
        name, due = (cell.kind, cell.key), None if cell.due_at is None else to_micros(cell.due_at)
        placed, place = self._placed.get(name), (cell.parent, cell.subject, due)
        self._placed[name] = place
        if placed == place:
            self._db.execute("UPDATE cells SET body = ? WHERE kind = ? AND key = ?", (cell.body, *name))
        elif placed is not None and placed[:2] == place[:2]:
            self._db.execute(
                "UPDATE cells SET due_at = ?, body = ? WHERE kind = ? AND key = ?", (due, cell.body, *name)
            )
        else:
            self._db.execute(
                "INSERT INTO cells (kind, key, parent, subject, due_at, body) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET parent = excluded.parent, subject = excluded.subject,"
                " due_at = excluded.due_at, body = excluded.body",
                (*name, *place, cell.body),
            )

    def drop(self, kind: str, key: str) -> None:
        """See `Transaction.drop`."""
        self._db.execute("DELETE FROM cells WHERE kind = ? AND key = ?", (kind, key))
        self._placed.pop((kind, key), None)

    def _cell(self, row: tuple[Any, ...]) -> Cell:
        kind, key, parent, subject, due_at, body = row
        self._placed[kind, key] = parent, subject, due_at
        return Cell(kind, key, body, parent, subject, None if due_at is None else from_micros(due_at))


def _incident(row: tuple[Any, ...]) -> Incident:
    number, key, opened_at, closed_at, body = row
    return replace(
        load(Incident, body),
        number=number,
        key=key,
        opened_at=from_micros(opened_at),
        closed_at=None if closed_at is None else from_micros(closed_at),
    )
