"""What the PostgreSQL outbox tells of the past, and how it forgets it: events, deliveries, tries and the inbox."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.history import telling_of
from tocsin.store.postgres_schema import Db
from tocsin.store.records import (
    AttemptRecord,
    DeliveryRecord,
    InboxItem,
    Status,
    Suppression,
    from_micros,
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
    db: Db,
    *,
    status: Status | None,
    channel: str | None,
    run_ids: Sequence[str] | None,
    event: str | None,
    limit: int | None,
) -> list[DeliveryRecord]:
    """Deliveries, newest first."""
    where: list[str] = ["true"]
    values: list[Any] = []
    if status is not None:
        where.append("d.status = %s")
        values.append(str(status))
    if channel is not None:
        where.append("d.channel = %s")
        values.append(channel)
    if run_ids is not None:
        where.append("e.run_id = ANY(%s::text[])")
        values.append(list(run_ids))
    if event is not None:
        where.append("(e.id = %s OR position(%s in d.body) > 0)")
        values += [event, json.dumps(event, ensure_ascii=False)]
    query = f"{_DELIVERY} WHERE {' AND '.join(where)} ORDER BY d.number DESC LIMIT %s"
    return telling_of(event, [_delivery(row) for row in db.execute(query.encode(), (*values, limit))])


def deliveries_by_id(db: Db, prefix: str) -> list[DeliveryRecord]:
    """The deliveries whose id begins with `prefix`."""
    rows = db.execute(f"{_DELIVERY} WHERE starts_with(d.id, %s) ORDER BY d.number", (prefix,))
    return [_delivery(row) for row in rows]


def _delivery(row: tuple[Any, ...]) -> DeliveryRecord:
    number, key, channel, route, action, status, tries, created, due, finished, reason, detail, receipt, *told = row
    planned, sequence, body = told
    return DeliveryRecord(
        number=number,
        id=key,
        channel=channel,
        route=route,
        action=action,
        status=Status(status),
        attempts=tries,
        created_at=from_micros(created),
        due_at=from_micros(due) if finished is None else None,
        finished_at=None if finished is None else from_micros(finished),
        reason=reason,
        detail=detail or (json.loads(receipt)["detail"] if receipt else ""),
        event=event_in(body, sequence),
        planned=planned_in(planned),
    )


def attempts(db: Db, number: int) -> list[AttemptRecord]:
    """The tries of a delivery, oldest first."""
    rows = db.execute(
        "SELECT at, took, outcome, reason, detail FROM attempts WHERE delivery = %s ORDER BY number", (number,)
    )
    return [
        AttemptRecord(from_micros(at), timedelta(microseconds=took), outcome, reason, detail)
        for at, took, outcome, reason, detail in rows
    ]


def add_to_inbox(db: Db, message: Message, now: datetime) -> None:
    """Keep a message, once."""
    db.execute(
        "INSERT INTO inbox (delivery, at, channel, action, severity, title, text) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (delivery) DO NOTHING",
        (
            message.id,
            to_micros(now),
            message.channel,
            message.action,
            message.severity,
            message.title,
            message.text,
        ),
    )


def inbox(db: Db, limit: int | None) -> list[InboxItem]:
    """The messages kept, newest first."""
    rows = db.execute(
        "SELECT number, at, channel, action, severity, title, text, delivery FROM inbox ORDER BY number DESC LIMIT %s",
        (limit,),
    )
    return [InboxItem(number, from_micros(at), *rest) for number, at, *rest in rows]


def events(db: Db, since: datetime, until: datetime | None, limit: int | None) -> list[Event]:
    """The events of a time, in the order in which they were stored."""
    rows = db.execute(
        "SELECT sequence, body FROM events WHERE at >= %s AND at < %s ORDER BY sequence LIMIT %s",
        (to_micros(since), 2**62 if until is None else to_micros(until), limit),
    )
    return events_in(rows)


def suppressions(db: Db, event: str | None, since: datetime | None) -> list[Suppression]:
    """What was not sent, oldest first."""
    rows = db.execute(
        "SELECT at, event, stage, rule, reason, route, channel FROM suppressions"
        " WHERE (%(event)s::text IS NULL OR event = %(event)s) AND at >= %(since)s ORDER BY number",
        {"event": event, "since": 0 if since is None else to_micros(since)},
    )
    return [Suppression(from_micros(at), *rest) for at, *rest in rows]


def summary(db: Db, now: datetime, channels: Collection[str]) -> StoreSummary:
    """How the outbox stands."""
    found = summarise(
        lambda query, *values: db.execute(query.replace("?", "%s").encode(), values).fetchall(), now, channels
    )
    size = db.execute("SELECT pg_database_size(current_database())").fetchone()
    return replace(found, size=None if size is None else int(size[0]))


# ---------------------------------------------------------------- forgetting

AT_A_TIME = 2000
"""How many rows one transaction forgets, so that nobody waits long for it."""

_INBOX = "SELECT number FROM inbox WHERE at < %(before)s LIMIT %(most)s"
_DELIVERIES = "SELECT number FROM deliveries WHERE finished_at < %(before)s LIMIT %(most)s"
_EVENTS = (  # one may have to be told again, for as long as its incident is open
    "SELECT e.sequence FROM events AS e WHERE e.at < %(before)s"
    " AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.event = e.sequence)"
    " AND NOT EXISTS (SELECT FROM incidents AS i WHERE i.number = e.incident AND i.closed_at IS NULL) LIMIT %(most)s"
)
_SUPPRESSIONS = "SELECT number FROM suppressions WHERE at < %(before)s LIMIT %(most)s"
_RECEIPTS = (  # what is still open will be told to be over
    "SELECT r.thread, r.channel FROM receipts AS r WHERE r.at < %(before)s"
    " AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.thread = r.thread)"
    " AND NOT EXISTS (SELECT FROM cells AS c WHERE c.kind = 'group' AND c.subject = r.thread) LIMIT %(most)s"
)
_INCIDENTS = (
    "SELECT i.number FROM incidents AS i WHERE i.closed_at < %(before)s"
    " AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.incident = i.number)"
    " AND NOT EXISTS (SELECT FROM events AS e WHERE e.incident = i.number) LIMIT %(most)s"
)
FORGET = (
    f"DELETE FROM deliveries WHERE number IN ({_DELIVERIES})",
    f"DELETE FROM inbox WHERE number IN ({_INBOX})",
    f"DELETE FROM events WHERE sequence IN ({_EVENTS})",
    f"DELETE FROM suppressions WHERE number IN ({_SUPPRESSIONS})",
    f"DELETE FROM receipts WHERE (thread, channel) IN ({_RECEIPTS})",
    f"DELETE FROM incidents WHERE number IN ({_INCIDENTS})",
)
"""What is forgotten, in this order: the first of it are the deliveries, with their tries."""


def has_old(db: Db, before: datetime) -> bool:
    """Whether anything is from before a time: an event, or the end of a delivery of a later one, by another clock."""
    row = db.execute(
        "SELECT EXISTS (SELECT FROM events WHERE at < %(before)s)"
        " OR EXISTS (SELECT FROM deliveries WHERE finished_at < %(before)s)",
        {"before": to_micros(before)},
    ).fetchone()
    return row is not None and bool(row[0])


def forget(db: Db, *, statement: str, before: datetime) -> int:
    """Do a part of one statement of `FORGET`; how many rows are gone. Fewer than `AT_A_TIME`: that was all."""
    return db.execute(statement.encode(), {"before": to_micros(before), "most": AT_A_TIME}).rowcount
