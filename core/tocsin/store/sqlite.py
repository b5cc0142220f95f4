"""The outbox on SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tocsin.store import history
from tocsin.store.connection import Connection
from tocsin.store.records import (
    AttemptRecord,
    DeliveryRecord,
    InboxItem,
    IncidentStep,
    Leased,
    OpenIncident,
    Outcome,
    Plan,
    Planner,
    Status,
    Stored,
    delivery_id,
    from_micros,
    storable,
    to_micros,
)
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Message, Receipt

LANE_PATIENCE = timedelta(minutes=15)
"""How long an older delivery of the same incident and channel holds up the ones behind it."""


_HEADS_OF_LANES = (
    "FROM deliveries AS d WHERE status IN ('pending', 'leased')"
    " AND NOT EXISTS (SELECT 1 FROM deliveries AS ahead WHERE ahead.incident = d.incident"
    "  AND ahead.channel = d.channel AND ahead.number < d.number"
    "  AND ahead.status IN ('pending', 'leased') AND ahead.created_at > :patience)"
)
"""The deliveries that no older one of the same incident and channel holds up."""


class SqliteStore:
    """A `Store` in one SQLite file, shared by the threads of this process and by other processes of this host."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = Connection(path)
        self._open_keys: frozenset[str] = frozenset()
        self._open_keys_version: int | None = None

    # ------------------------------------------------------------ publishing

    def append(self, event: Event, incident_key: str, plan: Planner, *, now: datetime) -> Stored:
        """See `Store.append`."""
        with self._connection.write() as db:
            if known := db.execute("SELECT sequence FROM events WHERE id = ?", (event.id,)).fetchone():
                return Stored(event.replace(sequence=known[0]), known=True)
            incident = _open_incident(db, incident_key)
            decided = plan(incident)
            if not decided.keep:
                return Stored(event)
            number = _step(db, decided, incident, incident_key, event.time)
            cursor = db.execute(
                "INSERT INTO events (id, at, incident, body) VALUES (?, ?, ?, ?)",
                (event.id, to_micros(event.time), number, event.to_json()),
            )
            sequence = cursor.lastrowid
            ids = [delivery_id(event.id, planned.channel) for planned in decided.deliveries]
            due = to_micros(now)
            db.executemany(
                "INSERT INTO deliveries (id, event, incident, channel, route, action, template, status, created_at,"
                " due_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
                [
                    (key, sequence, number, p.channel, p.route, p.action, p.template, due, due)
                    for key, p in zip(ids, decided.deliveries, strict=True)
                ],
            )
            if decided.step in (IncidentStep.OPEN, IncidentStep.CLOSE):
                self._open_keys_version = None
        return Stored(event.replace(sequence=sequence), tuple(ids))

    def is_open(self, incident_key: str) -> bool:
        """See `Store.is_open`."""
        return incident_key in self._open()

    def any_open(self) -> bool:
        """See `Store.any_open`."""
        return bool(self._open())

    def _open(self) -> frozenset[str]:
        """The keys of open incidents; read again only after the file was changed."""
        version = self._connection.changed_elsewhere()
        if version != self._open_keys_version:
            with self._connection.read() as db:
                rows = db.execute("SELECT key FROM incidents WHERE closed_at IS NULL").fetchall()
            self._open_keys = frozenset(key for (key,) in rows)
            self._open_keys_version = version
        return self._open_keys

    def incident(self, incident_key: str) -> OpenIncident | None:
        """See `Store.incident`."""
        with self._connection.read() as db:
            return _open_incident(db, incident_key)

    # ------------------------------------------------------------ delivering

    def lease(self, *, now: datetime, ttl: timedelta, limit: int, owner: str) -> list[Leased]:
        """See `Store.lease`."""
        at = to_micros(now)
        with self._connection.write() as db:
            numbers = db.execute(
                f"SELECT number {_HEADS_OF_LANES} AND due_at <= :at ORDER BY due_at, number LIMIT :limit",
                {"at": at, "patience": to_micros(now - LANE_PATIENCE), "limit": limit},
            ).fetchall()
            db.executemany(
                # a lease that ran out may have been sent: what is claimed again may be a repetition
                "UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased',"
                " token = token + 1, attempts = attempts + 1, due_at = ?, owner = ? WHERE number = ?",
                [(to_micros(now + ttl), owner, number) for (number,) in numbers],
            )
            return [_leased(db, number) for (number,) in numbers]

    def record(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """See `Store.record`."""
        with self._connection.write() as db:
            return [_record(db, outcome) for outcome in outcomes]

    def release(self, is_alive: Callable[[str], bool], *, now: datetime) -> int:
        """See `Store.release`."""
        with self._connection.read() as db:
            rows = db.execute("SELECT DISTINCT owner FROM deliveries WHERE status = 'leased'").fetchall()
        gone = [owner for (owner,) in rows if not is_alive(owner)]
        if not gone:
            return 0
        with self._connection.write() as db:
            marks = ", ".join("?" * len(gone))
            return db.execute(
                # the status stays 'leased', so that the next claim knows that this may be a repetition
                f"UPDATE deliveries SET due_at = ?, owner = '' WHERE status = 'leased' AND owner IN ({marks})",
                (to_micros(now), *gone),
            ).rowcount

    def next_due(self, *, now: datetime) -> datetime | None:
        """See `Store.next_due`."""
        with self._connection.read() as db:
            [due] = db.execute(
                f"SELECT min(due_at) {_HEADS_OF_LANES}", {"patience": to_micros(now - LANE_PATIENCE)}
            ).fetchone()
        return None if due is None else from_micros(due)

    def waiting(self, *, before: datetime, owner: str, now: datetime) -> int:
        """See `Store.waiting`."""
        with self._connection.read() as db:
            [count] = db.execute(
                f"SELECT count(*) {_HEADS_OF_LANES} AND (due_at <= :before OR status = 'leased' AND owner = :owner)",
                {"before": to_micros(before), "owner": owner, "patience": to_micros(now - LANE_PATIENCE)},
            ).fetchone()
        return int(count)

    def revive(self, numbers: Sequence[int], *, now: datetime) -> int:
        """See `Store.revive`."""
        with self._connection.write() as db:
            return db.executemany(
                "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = ?, due_at = ?, finished_at = NULL"
                " WHERE number = ? AND status = 'dead'",
                [(to_micros(now), to_micros(now), number) for number in numbers],
            ).rowcount

    # ------------------------------------------------------------ history

    def deliveries(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        run_ids: Sequence[str] | None = None,
        limit: int | None = 100,
    ) -> list[DeliveryRecord]:
        """See `Store.deliveries`."""
        with self._connection.read() as db:
            return history.deliveries(db, status=status, channel=channel, run_ids=run_ids, limit=limit)

    def delivery(self, prefix: str) -> list[DeliveryRecord]:
        """See `Store.delivery`."""
        with self._connection.read() as db:
            return history.deliveries_by_id(db, prefix)

    def attempts(self, number: int) -> list[AttemptRecord]:
        """See `Store.attempts`."""
        with self._connection.read() as db:
            return history.attempts(db, number)

    def add_to_inbox(self, message: Message, *, now: datetime) -> None:
        """See `Store.add_to_inbox`."""
        with self._connection.write() as db:
            history.add_to_inbox(db, message, now)

    def inbox(self, *, limit: int | None = 50) -> list[InboxItem]:
        """See `Store.inbox`."""
        with self._connection.read() as db:
            return history.inbox(db, limit)

    def prune(self, *, before: datetime) -> int:
        """See `Store.prune`. Asked at every start: when nothing is old enough, that is all that is done."""
        with self._connection.read() as db:
            if not db.execute("SELECT EXISTS (SELECT 1 FROM events WHERE at < ?)", (to_micros(before),)).fetchone()[0]:
                return 0
        with self._connection.write() as db:
            return history.prune(db, to_micros(before))

    def close(self) -> None:
        """See `Store.close`."""
        self._connection.close()


def _open_incident(db: sqlite3.Connection, key: str) -> OpenIncident | None:
    row = db.execute("SELECT number FROM incidents WHERE key = ? AND closed_at IS NULL", (key,)).fetchone()
    return None if row is None else _incident(db, row[0])


def _incident(db: sqlite3.Connection, number: int) -> OpenIncident:
    key, opened_at = db.execute("SELECT key, opened_at FROM incidents WHERE number = ?", (number,)).fetchone()
    told = db.execute("SELECT DISTINCT channel FROM deliveries WHERE incident = ? AND status != 'dead'", (number,))
    return OpenIncident(number, key, from_micros(opened_at), frozenset(channel for (channel,) in told))


def _step(db: sqlite3.Connection, plan: Plan, incident: OpenIncident | None, key: str, at: datetime) -> int | None:
    """Carry out the incident's step; the number of the incident that the event belongs to."""
    if plan.step is IncidentStep.OPEN and incident is None:
        return db.execute("INSERT INTO incidents (key, opened_at) VALUES (?, ?)", (key, to_micros(at))).lastrowid
    if plan.step is IncidentStep.NONE or incident is None:
        return None
    if plan.step is IncidentStep.CLOSE:
        db.execute("UPDATE incidents SET closed_at = ? WHERE number = ?", (to_micros(at), incident.number))
    return incident.number


def _leased(db: sqlite3.Connection, number: int) -> Leased:
    row = db.execute(
        "SELECT d.id, d.token, d.channel, d.route, d.action, d.template, d.attempts, d.created_at, d.incident,"
        " d.may_repeat, e.body, e.sequence, r.receipt FROM deliveries AS d JOIN events AS e ON e.sequence = d.event"
        " LEFT JOIN receipts AS r ON r.incident = d.incident AND r.channel = d.channel WHERE d.number = ?",
        (number,),
    ).fetchone()
    key, token, channel, route, action, template, attempts, created_at, incident, may_repeat, body, sequence, kept = row
    return Leased(
        number=number,
        id=key,
        token=token,
        channel=channel,
        route=route,
        action=Action(action),
        template=template,
        attempt=attempts,
        created_at=from_micros(created_at),
        event=Event.from_json(body).replace(sequence=sequence),
        incident=None if incident is None else _incident(db, incident),
        previous=None if kept is None else Receipt.from_dict(json.loads(kept)),
        may_repeat=bool(may_repeat),
    )


def _record(db: sqlite3.Connection, outcome: Outcome) -> bool:
    delivery, receipt = outcome.delivery, outcome.receipt
    kept = None if receipt is None else json.dumps(receipt.to_dict())
    changed = db.execute(
        "UPDATE deliveries SET status = ?, due_at = ?, owner = '', finished_at = ?, reason = ?, detail = ?,"
        " receipt = ?, may_repeat = may_repeat OR ? WHERE number = ? AND token = ? AND status = 'leased'",
        (
            outcome.status,
            to_micros(outcome.retry_at or outcome.at),
            None if outcome.retry_at else to_micros(outcome.at),
            outcome.reason or "",
            storable(outcome.detail),
            kept,
            outcome.unknown,
            delivery.number,
            delivery.token,
        ),
    ).rowcount
    db.execute(
        "INSERT INTO attempts (delivery, at, took, outcome, reason, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (
            delivery.number,
            to_micros(outcome.at),
            outcome.took // timedelta(microseconds=1),
            "lease lost" if not changed else "unknown" if outcome.unknown else outcome.status,
            outcome.reason or "",
            storable(outcome.detail),
        ),
    )
    # one that sent nothing, and remembers nothing, must not take the place of one that did
    worth_keeping = receipt is not None and (receipt.sent or receipt.reference)
    if changed and worth_keeping and delivery.incident is not None:
        db.execute(
            "INSERT INTO receipts (incident, channel, receipt) VALUES (?, ?, ?)"
            " ON CONFLICT (incident, channel) DO UPDATE SET receipt = excluded.receipt",
            (delivery.incident.number, delivery.channel, kept),
        )
    return bool(changed)
