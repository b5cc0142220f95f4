"""What the SQLite outbox tells of the past: deliveries, tries and the inbox."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.records import (
    AttemptRecord,
    DeliveryRecord,
    InboxItem,
    Status,
    Suppression,
    from_micros,
    storable,
    to_micros,
)
from tocsin.store.summary import StoreSummary, summarise
from tocsin.store.unreadable import event_in, events_in, planned_in
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message

_DELIVERY = (
    "SELECT d.number, d.id, d.channel, d.route, d.action, d.status, d.attempts, d.created_at, d.due_at, d.finished_at,"
    " d.reason, d.detail, d.receipt, d.body, e.sequence, e.body"
    " FROM deliveries AS d JOIN events AS e ON e.sequence = d.event"
)


def deliveries(
    db: sqlite3.Connection,
    *,
    status: Status | None,
    channel: str | None,
    run_ids: Sequence[str] | None,
    event: str | None,
    limit: int | None,
) -> list[DeliveryRecord]:
    """Deliveries, newest first."""
    where, values = ["1"], []
    if status is not None:
        where.append("d.status = ?")
        values.append(str(status))
    if channel is not None:
        where.append("d.channel = ?")
        values.append(channel)
    if run_ids is not None:
        where.append("json_extract(e.body, '$.run_id') IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(run_ids)))
    if event is not None:
        where.append("(e.id = ? OR instr(d.body, ?))")
        values += [event, json.dumps(event, ensure_ascii=False)]
    rows = db.execute(
        f"{_DELIVERY} WHERE {' AND '.join(where)} ORDER BY d.number DESC LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return telling_of(event, [_delivery(row) for row in rows])


def telling_of(event: str | None, found: list[DeliveryRecord]) -> list[DeliveryRecord]:
    """Those that tell of an event: its id may stand elsewhere in a row, too."""
    return [each for each in found if event is None or event in (each.event.id, *each.events)]


def deliveries_by_id(db: sqlite3.Connection, prefix: str) -> list[DeliveryRecord]:
    """The deliveries whose id begins with `prefix`."""
    rows = db.execute(f"{_DELIVERY} WHERE substr(d.id, 1, ?) = ? ORDER BY d.number", (len(prefix), prefix))
    return [_delivery(row) for row in rows]


def _delivery(row: tuple[Any, ...]) -> DeliveryRecord:
    number, key, channel, route, action, status, attempts_made, created, due, finished, *rest = row
    reason, detail, receipt, planned, sequence, body = rest
    return DeliveryRecord(
        number=number,
        id=key,
        channel=channel,
        route=route,
        action=action,
        status=Status(status),
        attempts=attempts_made,
        created_at=from_micros(created),
        due_at=from_micros(due) if finished is None else None,
        finished_at=None if finished is None else from_micros(finished),
        reason=reason,
        detail=detail or (json.loads(receipt)["detail"] if receipt else ""),
        event=event_in(body, sequence),
        planned=planned_in(planned),
    )


def attempts(db: sqlite3.Connection, number: int) -> list[AttemptRecord]:
    """The tries of a delivery, oldest first."""
    rows = db.execute(
        "SELECT at, took, outcome, reason, detail FROM attempts WHERE delivery = ? ORDER BY rowid", (number,)
    )
    return [
        AttemptRecord(from_micros(at), timedelta(microseconds=took), outcome, reason, detail)
        for at, took, outcome, reason, detail in rows
    ]


def add_to_inbox(db: sqlite3.Connection, message: Message, now: datetime) -> None:
    """Keep a message, once."""
    db.execute(
        "INSERT OR IGNORE INTO inbox (delivery, at, channel, action, severity, title, text)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            to_micros(now),
            message.channel,
            message.action,
            message.severity,
            storable(message.title),
            storable(message.text),
        ),
    )


def inbox(db: sqlite3.Connection, limit: int | None) -> list[InboxItem]:
    """The messages kept, newest first."""
    rows = db.execute(
        "SELECT number, at, channel, action, severity, title, text, delivery FROM inbox ORDER BY number DESC LIMIT ?",
        (-1 if limit is None else limit,),
    )
    return [InboxItem(number, from_micros(at), *rest) for number, at, *rest in rows]


def events(db: sqlite3.Connection, since: datetime, until: datetime | None, limit: int | None) -> list[Event]:
    """The events of a time, in the order in which they were stored."""
    rows = db.execute(
        "SELECT sequence, body FROM events WHERE at >= ? AND at < ? ORDER BY sequence LIMIT ?",
        (to_micros(since), 2**62 if until is None else to_micros(until), -1 if limit is None else limit),
    )
    return events_in(rows)


def suppressions(db: sqlite3.Connection, event: str | None, since: datetime | None) -> list[Suppression]:
    """What was not sent, oldest first."""
    rows = db.execute(
        "SELECT at, event, stage, rule, reason, route, channel FROM suppressions"
        " WHERE (?1 IS NULL OR event = ?1) AND at >= ?2 ORDER BY number",
        (event, 0 if since is None else to_micros(since)),
    )
    return [Suppression(from_micros(at), *rest) for at, *rest in rows]


def summary(db: sqlite3.Connection, now: datetime, channels: Collection[str]) -> StoreSummary:
    """How the outbox stands, without its size."""
    return summarise(lambda query, *values: db.execute(query, values).fetchall(), now, channels)


def prune(db: sqlite3.Connection, before: int) -> int:
    """Forget what ended before a time: deliveries, their tries, then events and incidents that nothing needs."""
    old = "SELECT number FROM deliveries WHERE finished_at < ?"
    db.execute(f"DELETE FROM attempts WHERE delivery IN ({old})", (before,))
    count = db.execute("DELETE FROM deliveries WHERE finished_at < ?", (before,)).rowcount
    db.execute("DELETE FROM inbox WHERE at < ?", (before,))
    db.execute(
        "DELETE FROM events WHERE at < ? AND sequence NOT IN (SELECT event FROM deliveries) AND"  # may be told again
        " (incident IS NULL OR incident NOT IN (SELECT number FROM incidents WHERE closed_at IS NULL))",
        (before,),
    )
    db.execute("DELETE FROM suppressions WHERE at < ?", (before,))
    db.execute(
        "DELETE FROM receipts WHERE at < ? AND thread NOT IN (SELECT thread FROM deliveries UNION"
        " SELECT subject FROM cells WHERE kind = 'group')",  # what is still open will be told to be over
        (before,),
    )
    db.execute(
        "DELETE FROM incidents WHERE closed_at < ? AND number NOT IN"
        " (SELECT incident FROM deliveries WHERE incident IS NOT NULL UNION"
        "  SELECT incident FROM events WHERE incident IS NOT NULL)",
        (before,),
    )
    return count
