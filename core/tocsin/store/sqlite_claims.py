"""How workers claim deliveries on SQLite, and what they can know of those that wait."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from heapq import merge
from typing import Any

from tocsin.store.lanes import LANE_PATIENCE, LOOKED_AT, to_claim
from tocsin.store.records import Leased, from_micros, to_micros
from tocsin.store.rows import CLAIMED, SET_BACK, TURN, leased
from tocsin.store.sqlite_lanes import BEFORE, BEHIND, FIRST_OR_PATIENT, lanes_at, park, put_together
from tocsin.store.sqlite_transaction import note

_UNENDED = "status IN ('pending', 'leased')"
_EVER = 2**62

_CHANNELS = (
    f"WITH RECURSIVE each (channel) AS (SELECT min(channel) FROM deliveries WHERE {_UNENDED} UNION ALL"
    f" SELECT (SELECT min(d.channel) FROM deliveries AS d WHERE d.{_UNENDED} AND d.channel > each.channel)"
    " FROM each WHERE channel IS NOT NULL) SELECT channel FROM each WHERE channel IS NOT NULL"
)
"""The channels for which anything waits, found in as many steps as there are of them."""
_IN_TURN = (
    f"SELECT {TURN}, d.number, d.channel, d.thread, d.held_until, {BEFORE}, {BEHIND} FROM deliveries AS d"
    f" WHERE d.{_UNENDED} AND d.channel = :channel AND {TURN} <= :at"
    f" AND (d.status = 'pending' OR d.due_at <= :expired OR d.owner = '') ORDER BY {TURN}, d.number"
)
"""What one channel has to send by a time, the longest due first."""
_EFFECTIVE = "CASE WHEN d.due_at - d.wait > :ahead THEN :now + d.wait ELSE d.due_at END"
"""When `d` is due by a clock that was perhaps set back after that was written: nobody waits longer than was planned."""


def claim(
    db: sqlite3.Connection,
    *,
    now: datetime,
    ttl: timedelta,
    limit: int,
    owner: str,
    but: Collection[str],
    expired: datetime | None = None,
) -> list[Leased]:
    """Claim what is due. A lease is over at `expired`, where that is given, rather than now."""
    if _was_set_back(db, now):
        _date_anew(db, to_micros(now))
    numbers = _to_claim(db, now=now, limit=limit, but=but, expired=expired)
    if not numbers:
        return []
    db.execute(
        # a lease that ran out may have been sent: what is claimed again may be a repetition
        "UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased', token = token + 1,"
        " attempts = attempts + 1, due_at = ?, wait = ?, held_until = NULL, owner = ?"
        " WHERE number IN (SELECT value FROM json_each(?))",
        (to_micros(now + ttl), ttl // timedelta(microseconds=1), owner, json.dumps(numbers)),
    )
    note(db, to_micros(now))
    rows = db.execute(
        f"SELECT {CLAIMED} FROM json_each(?) AS n CROSS JOIN deliveries AS d ON d.number = n.value"
        " JOIN events AS e ON e.sequence = d.event"
        " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel ORDER BY n.key",
        (json.dumps(numbers),),
    )
    return [leased(row) for row in rows]


def _to_claim(
    db: sqlite3.Connection, *, now: datetime, limit: int, but: Collection[str], expired: datetime | None
) -> list[int]:
    """What is to be claimed, after what can be put together was, and what is held up was put off."""
    heads, held = _heads(db, now=now, limit=limit, but=but, expired=expired)
    if held:
        park(db, held)
    return to_claim(heads, lambda head, thread, channel: put_together(db, head, thread, channel, now))


def _heads(
    db: sqlite3.Connection, *, now: datetime, limit: int, but: Collection[str], expired: datetime | None
) -> tuple[list[tuple[int, str, str, bool]], dict[int, int]]:
    """What is due: which deliveries may go, with their lanes, and until when others are held up."""
    lanes = lanes_at(db, to_micros(now))
    heads: list[tuple[int, str, str, bool]] = []
    held: dict[int, int] = {}
    for _, number, channel, thread, _, before, behind in _in_turn(db, to_micros(now), to_micros(expired or now), but):
        if len(heads) >= limit or len(held) >= LOOKED_AT:
            break
        until = None if before is None else lanes.held_until(number, thread, channel)
        if until is None:
            heads.append((number, thread, channel, behind and before is None))
        else:
            held[number] = until
    return heads, held


def _in_turn(db: sqlite3.Connection, at: int, expired: int, but: Collection[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of all channels but some, in the order in which they are due; read as they are asked for."""
    values = {"at": at, "expired": expired}
    channels = [channel for (channel,) in db.execute(_CHANNELS) if channel not in but]
    found = [db.execute(_IN_TURN, {**values, "channel": channel}) for channel in channels]
    return iter(found[0]) if len(found) == 1 else merge(*found)


# ---------------------------------------------------------------- a clock that is set back


def _was_set_back(db: sqlite3.Connection, now: datetime) -> bool:
    """Whether something that waits was written at a time that is yet to come."""
    [latest] = db.execute("SELECT latest FROM clock").fetchone()
    return bool(latest > to_micros(now + SET_BACK))


def _date_anew(db: sqlite3.Connection, now: int) -> None:
    """Let every wait that began at a time that is yet to come begin now."""
    db.execute(f"UPDATE deliveries SET due_at = ?1 + wait WHERE {_UNENDED} AND due_at - wait > ?1", (now,))
    db.execute(f"UPDATE deliveries SET held_until = NULL WHERE {_UNENDED} AND held_until > ?", (now,))
    db.execute(f"UPDATE deliveries SET since = ?1 WHERE {_UNENDED} AND coalesce(since, created_at) > ?1", (now,))
    db.execute("UPDATE clock SET latest = ?", (now,))


# ---------------------------------------------------------------- looking


def next_due(db: sqlite3.Connection, now: datetime, but: Collection[str]) -> datetime | None:
    """When there is next something to claim."""
    if _was_set_back(db, now):
        at = to_micros(now)
        [due] = db.execute(
            f"SELECT min({_EFFECTIVE}) FROM deliveries AS d WHERE d.{_UNENDED}"
            " AND d.channel NOT IN (SELECT value FROM json_each(:but))",
            {"now": at, "ahead": at, "but": json.dumps(list(but))},
        ).fetchone()
        return None if due is None else from_micros(due)
    lanes = lanes_at(db, to_micros(now))
    in_turn = _in_turn(db, _EVER, _EVER, but)
    for looked_at, (turn, number, channel, thread, held, before, _) in enumerate(in_turn, 1):
        may_go = before is None or held or lanes.held_until(number, thread, channel) is None
        if may_go or looked_at > LOOKED_AT:  # a claim puts off what is held up, and knows more then
            return from_micros(turn)
    return None


def waiting(db: sqlite3.Connection, *, before: datetime, owner: str, now: datetime, but: Collection[str]) -> int:
    """How many deliveries can be claimed before a time, or are claimed by `owner`."""
    [count] = db.execute(
        f"SELECT count(*) FROM deliveries AS d WHERE d.{_UNENDED} AND {FIRST_OR_PATIENT}"
        " AND d.channel NOT IN (SELECT value FROM json_each(:but))"
        f" AND ({_EFFECTIVE} <= :before OR d.status = 'leased' AND d.owner = :owner)",
        {
            "now": to_micros(now),
            "ahead": to_micros(now + SET_BACK),
            "before": to_micros(before),
            "owner": owner,
            "patience": to_micros(now - LANE_PATIENCE),
            "but": json.dumps(list(but)),
        },
    ).fetchone()
    return int(count)
