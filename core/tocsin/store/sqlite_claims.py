"""How workers claim deliveries on SQLite, and settle what they claimed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.crashpoints import Point, reached
from tocsin.store.coalescing import COALESCED, Waiting, coalesce
from tocsin.store.coding import load
from tocsin.store.protocol import DISABLED
from tocsin.store.records import Leased, Outcome, Planned, from_micros, storable, to_micros
from tocsin.store.unreadable import REASON, sift
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt

LANE_PATIENCE = timedelta(minutes=15)
"""How long an older delivery of the same thread and channel holds up the ones behind it."""

_WAITED = timedelta(seconds=10)  # from then on a delivery has waited: what follows it is put together with it
_LONGEST_LANE = 1000  # of one thread and channel looked at in one go

_HEADS_OF_LANES = (
    "FROM deliveries AS d WHERE d.status IN ('pending', 'leased') AND (d.thread = ''"
    " OR NOT EXISTS (SELECT 1 FROM deliveries AS ahead WHERE ahead.thread = d.thread AND ahead.thread != ''"
    "  AND ahead.channel = d.channel AND ahead.number < d.number"
    "  AND ahead.status IN ('pending', 'leased') AND ahead.created_at > :patience))"
)
"""The deliveries that no older one of the same thread and channel holds up."""


def _heads(but: Collection[str]) -> str:
    return f"{_HEADS_OF_LANES} AND d.channel NOT IN (SELECT value FROM json_each(:but))" if but else _HEADS_OF_LANES


def _json(values: Collection[Any]) -> str:
    return json.dumps(list(values))


def claim(
    db: sqlite3.Connection, *, now: datetime, ttl: timedelta, limit: int, owner: str, but: Collection[str]
) -> list[Leased]:
    """Claim what is due."""
    values = {"at": to_micros(now), "patience": to_micros(now - LANE_PATIENCE), "limit": limit, "but": _json(but)}
    query = f"SELECT d.number, d.thread {_heads(but)} AND d.due_at <= :at ORDER BY d.due_at, d.number LIMIT :limit"
    numbers: list[int] = []
    gone: set[int] = set()  # an old head is no longer waited for, so that one lane may have several
    for number, thread in db.execute(query, values).fetchall():
        if number in gone:
            continue
        claimed, dropped = _put_together(db, number, now) if thread else (number, ())
        gone.update(dropped)
        if claimed is not None and claimed not in numbers:
            numbers.append(claimed)
    if not numbers:
        return []
    db.execute(
        # a lease that ran out may have been sent: what is claimed again may be a repetition
        "UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased', token = token + 1,"
        " attempts = attempts + 1, due_at = ?, owner = ? WHERE number IN (SELECT value FROM json_each(?))",
        (to_micros(now + ttl), owner, _json(numbers)),
    )
    return _leased(db, numbers, to_micros(now))


def _put_together(db: sqlite3.Connection, head: int, now: datetime) -> tuple[int | None, Collection[int]]:
    """Settle what of the lane behind its head need not be sent: which is to be claimed, if any, and what is gone."""
    since = to_micros(now - _WAITED)
    behind = "FROM deliveries AS h JOIN deliveries AS d ON d.thread = h.thread AND d.channel = h.channel"
    waits = "h.number = ? AND d.thread != '' AND d.status IN ('pending', 'leased')"
    waited = f"{waits} AND d.number > h.number AND (h.attempts > 0 OR h.created_at <= ?)"
    if not db.execute(f"SELECT 1 {behind} WHERE {waited} LIMIT 1", (head, since)).fetchone():
        return head, ()  # nothing is behind it, or it has only just been planned
    if db.execute(f"SELECT 1 {behind} WHERE {waits} AND d.number < h.number LIMIT 1", (head,)).fetchone():
        return head, ()  # an older one may still arrive: what is behind it cannot be judged
    at, lane = to_micros(now), []
    rows = db.execute(
        f"SELECT d.number, d.status, d.due_at, d.body, d.may_repeat, e.body, r.receipt IS NOT NULL {behind}"
        " JOIN events AS e ON e.sequence = d.event LEFT JOIN receipts AS r ON r.thread = d.thread"
        f" AND r.channel = d.channel WHERE {waits} ORDER BY d.number LIMIT {_LONGEST_LANE}",
        (head,),
    ).fetchall()
    for number, status, due, planned, may_repeat, event, _ in rows:
        if due > at or (status == "leased" and number != head):
            break
        waiting = _waiting(number, planned, event, may_have_arrived=bool(may_repeat) or status == "leased")
        if waiting is None:
            break
        lane.append(waiting)
    if not lane:
        return head, ()
    dropped = coalesce(lane, told=bool(rows[0][-1]))
    _settle_coalesced(db, dropped, at)
    return next((each.number for each in lane if each.number not in dropped), None), dropped.keys()


def _waiting(number: int, planned: str, event: str, *, may_have_arrived: bool) -> Waiting | None:
    try:
        told, plan = Event.from_json(event), load(Planned, planned)
    except Exception:
        return None  # its turn will come, and its end
    return Waiting(number, plan, told.is_a("Failed") and not told.will_retry, may_have_arrived)


def _settle_coalesced(db: sqlite3.Connection, dropped: Any, at: int) -> None:
    db.executemany(
        "UPDATE deliveries SET status = 'delivered', owner = '', finished_at = ?, reason = ?, detail = ?"
        " WHERE number = ?",
        [(at, COALESCED, detail, number) for number, detail in dropped.items()],
    )
    db.executemany(
        "INSERT INTO attempts (delivery, at, took, outcome, reason, detail) VALUES (?, ?, 0, ?, '', ?)",
        [(number, at, COALESCED, detail) for number, detail in dropped.items()],
    )


def _leased(db: sqlite3.Connection, numbers: Sequence[int], at: int) -> list[Leased]:
    rows = db.execute(
        "SELECT d.number, d.id, d.token, d.channel, d.route, d.action, d.template, d.attempts, d.created_at, d.body,"
        " d.may_repeat, e.body, e.sequence, r.receipt FROM deliveries AS d JOIN events AS e ON e.sequence = d.event"
        " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel"
        " WHERE d.number IN (SELECT value FROM json_each(?))",
        (_json(numbers),),
    )
    found, broken = sift(rows, _one_leased)
    _settle_broken(db, broken, at)
    return [found[number] for number in numbers if number in found]


def _settle_broken(db: sqlite3.Connection, broken: Mapping[int, str], at: int) -> None:
    db.executemany(
        "UPDATE deliveries SET status = 'dead', owner = '', finished_at = ?, reason = ?, detail = ? WHERE number = ?",
        [(at, REASON, storable(detail), number) for number, detail in broken.items()],
    )
    db.executemany(
        "INSERT INTO attempts (delivery, at, took, outcome, reason, detail) VALUES (?, ?, 0, 'dead', ?, ?)",
        [(number, at, REASON, storable(detail)) for number, detail in broken.items()],
    )


def _one_leased(row: tuple[Any, ...]) -> Leased:
    number, key, token, channel, route, action, template, attempts, created_at, planned, *rest = row
    may_repeat, body, sequence, kept = rest
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
        planned=load(Planned, planned),
        previous=None if kept is None else Receipt.from_dict(json.loads(kept)),
        may_repeat=bool(may_repeat),
    )


# ---------------------------------------------------------------- while it is held


_STILL_HELD = (
    "FROM (SELECT json_extract(value, '$[0]') AS held, json_extract(value, '$[1]') AS by FROM json_each(?))"
    " WHERE number = held AND token = by AND status = 'leased'"
)


def _claims(deliveries: Sequence[Leased]) -> str:
    return _json([(each.number, each.token) for each in deliveries])


def renew(db: sqlite3.Connection, deliveries: Sequence[Leased], until: datetime) -> int:
    """Prolong claims that are still held."""
    return db.execute(
        f"UPDATE deliveries SET due_at = ? {_STILL_HELD}", (to_micros(until), _claims(deliveries))
    ).rowcount


def give_back(db: sqlite3.Connection, deliveries: Sequence[Leased], now: datetime) -> int:
    """Undo claims that came to nothing."""
    return db.execute(
        f"UPDATE deliveries SET status = 'pending', owner = '', due_at = ?, attempts = attempts - 1 {_STILL_HELD}",
        (to_micros(now), _claims(deliveries)),
    ).rowcount


def release(db: sqlite3.Connection, gone: Sequence[str], now: datetime) -> int:
    """Make due at once what owners that are gone had claimed."""
    return db.execute(
        # the status stays 'leased', so that the next claim knows that this may be a repetition
        "UPDATE deliveries SET due_at = ?, owner = '' WHERE status = 'leased'"
        " AND owner IN (SELECT value FROM json_each(?))",
        (to_micros(now), _json(gone)),
    ).rowcount


# ---------------------------------------------------------------- settling


def record(db: sqlite3.Connection, outcome: Outcome) -> bool:
    """Write down how an attempt ended; False when its lease was lost."""
    delivery, receipt = outcome.delivery, outcome.receipt
    kept = None if receipt is None else json.dumps(receipt.to_dict())
    changed = db.execute(
        "UPDATE deliveries SET status = ?, due_at = ?, owner = '', finished_at = ?, reason = ?, detail = ?,"
        " receipt = ?, may_repeat = may_repeat OR ? WHERE number = ? AND token = ?"
        " AND (status = 'leased' OR (? AND status IN ('pending', 'dead')))",  # a late receipt is one nevertheless
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
            receipt is not None,
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
    if changed and worth_keeping and delivery.planned.thread:
        db.execute(
            "INSERT INTO receipts (thread, channel, receipt, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (thread, channel) DO UPDATE SET receipt = excluded.receipt, at = excluded.at",
            (delivery.planned.thread, delivery.channel, kept, to_micros(outcome.at)),
        )
    reached(Point.RECORD_INSIDE)
    return bool(changed)


def revive(db: sqlite3.Connection, numbers: Sequence[int], now: datetime) -> int:
    """Make dead deliveries due now, and switch their channels on."""
    dead = "number IN (SELECT value FROM json_each(?)) AND status = 'dead'"
    db.execute(
        f"DELETE FROM cells WHERE kind = ? AND key IN (SELECT channel FROM deliveries WHERE {dead})",
        (DISABLED, _json(numbers)),
    )
    return db.execute(
        "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = ?, due_at = ?, finished_at = NULL"
        f" WHERE {dead}",
        (to_micros(now), to_micros(now), _json(numbers)),
    ).rowcount


# ---------------------------------------------------------------- looking


def next_due(db: sqlite3.Connection, now: datetime, but: Collection[str]) -> datetime | None:
    """When there is next something to claim."""
    row = db.execute(
        f"SELECT d.due_at {_heads(but)} ORDER BY d.due_at LIMIT 1",
        {"patience": to_micros(now - LANE_PATIENCE), "but": _json(but)},
    ).fetchone()
    return None if row is None else from_micros(row[0])


def waiting(db: sqlite3.Connection, *, before: datetime, owner: str, now: datetime, but: Collection[str]) -> int:
    """How many deliveries can be claimed before a time, or are claimed by `owner`."""
    [count] = db.execute(
        f"SELECT count(*) {_heads(but)} AND (d.due_at <= :before OR d.status = 'leased' AND d.owner = :owner)",
        {
            "before": to_micros(before),
            "owner": owner,
            "patience": to_micros(now - LANE_PATIENCE),
            "but": _json(but),
        },
    ).fetchone()
    return int(count)
