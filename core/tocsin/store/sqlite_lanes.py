"""How the deliveries of one thread and channel wait for one another on SQLite: their lane."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from tocsin.store.coalescing import COALESCED, Waiting, coalesce
from tocsin.store.lanes import LONGEST_LANE, NEAR, WAITED, Lanes, due_in_lane
from tocsin.store.records import to_micros
from tocsin.store.rows import waiting

_UNENDED = "status IN ('pending', 'leased')"
_BESIDE = f"o.thread = d.thread AND o.thread != '' AND o.channel = d.channel AND o.{_UNENDED}"
BEFORE = (
    "CASE WHEN d.thread = '' THEN NULL ELSE (SELECT o.number FROM deliveries AS o"
    f" WHERE {_BESIDE} AND o.number < d.number ORDER BY o.number DESC LIMIT 1) END"
)
"""The delivery before `d` in its lane; NULL for the first, and for one that stands alone."""
BEHIND = (
    "CASE WHEN d.thread = '' THEN 0 ELSE"
    f" EXISTS (SELECT 1 FROM deliveries AS o WHERE {_BESIDE} AND o.number > d.number) END"
)
"""Whether any is behind `d` in its lane."""
FIRST_OR_PATIENT = (
    "(d.thread = '' OR coalesce((SELECT coalesce(o.since, o.created_at) FROM deliveries AS o"
    f" WHERE {_BESIDE} AND o.number < d.number ORDER BY o.number DESC LIMIT 1), 0) <= :patience)"
)
"""Whether `d` need not wait for the one before it."""

_YOUNGEST_BEFORE = (
    "SELECT max(began) FROM (SELECT coalesce(o.since, o.created_at) AS began FROM deliveries AS d JOIN deliveries AS o"
    f" WHERE d.number = ? AND {_BESIDE} AND o.number < d.number ORDER BY o.number DESC LIMIT {NEAR})"
)
_BEHIND = (
    f"FROM deliveries AS o WHERE o.thread = ?1 AND o.thread != '' AND o.channel = ?2 AND o.{_UNENDED}"
    " AND o.number > ?3 ORDER BY o.number"
)
_WAKE = (
    "UPDATE deliveries SET held_until = NULL WHERE held_until IS NOT NULL AND number IN"
    f" (SELECT o.number {_BEHIND} LIMIT CASE WHEN"
    " (SELECT coalesce(since, created_at) FROM deliveries WHERE number = ?3)"
    f" > (SELECT coalesce(o.since, o.created_at) {_BEHIND} LIMIT 1) THEN {NEAR} ELSE 1 END)"
)
"""The next in the lane is due; if what ended began later, as one that was revived, it held up others, too."""


def lanes_at(db: sqlite3.Connection, at: int) -> Lanes:
    """Who is held up at a moment."""

    def youngest(number: int) -> int | None:
        planned: int | None = db.execute(_YOUNGEST_BEFORE, (number,)).fetchone()[0]
        return planned

    return Lanes(at, youngest)


def park(db: sqlite3.Connection, held: Mapping[int, int]) -> None:
    """Put off what older ones hold up, each until its time, so that it need not be looked at again and again."""
    db.executemany(
        "UPDATE deliveries SET held_until = ? WHERE number = ?", [(until, number) for number, until in held.items()]
    )


def wake(db: sqlite3.Connection, ended: Iterable[tuple[str, str, int]]) -> None:
    """What was put off behind deliveries that have ended is due: each given by its thread, channel and number."""
    db.executemany(_WAKE, ended)


def put_together(
    db: sqlite3.Connection, head: int, thread: str, channel: str, now: datetime
) -> tuple[int | None, Collection[int]]:
    """Settle what of the lane behind its head need not be sent: which is to be claimed, if any, and what is gone."""
    at, waited = to_micros(now), to_micros(now - WAITED)
    has_waited = "SELECT attempts > 0 OR coalesce(since, created_at) <= ? FROM deliveries WHERE number = ?"
    if not db.execute(has_waited, (waited, head)).fetchone()[0]:
        return head, ()  # it has only just been planned
    rows = db.execute(
        "SELECT number, status, due_at, action FROM deliveries WHERE thread = ? AND thread != ''"
        f" AND channel = ? AND {_UNENDED} ORDER BY number LIMIT {LONGEST_LANE}",
        (thread, channel),
    ).fetchall()
    lane = _readable(db, due_in_lane(rows, head, now), head)
    if not lane:
        return head, ()
    told = db.execute("SELECT 1 FROM receipts WHERE thread = ? AND channel = ?", (thread, channel)).fetchone()
    dropped = coalesce(lane, told=told is not None)
    if dropped:
        _settle_coalesced(db, dropped, at)
        wake(db, [(thread, channel, max(dropped))])
    return next((each.number for each in lane if each.number not in dropped), None), dropped.keys()


def _readable(db: sqlite3.Connection, numbers: Sequence[int], head: int) -> list[Waiting]:
    """These deliveries of a lane, up to the first that cannot be read: its turn will come, and its end."""
    found: list[Waiting] = []
    for number, status, planned, may_repeat, event in db.execute(
        "SELECT d.number, d.status, d.body, d.may_repeat, e.body FROM deliveries AS d"
        " JOIN events AS e ON e.sequence = d.event WHERE d.number IN (SELECT value FROM json_each(?))"
        " ORDER BY d.number",
        (json.dumps(numbers),),
    ):
        each = waiting(number, planned, event, may_have_arrived=bool(may_repeat) or status == "leased")
        if each is None:
            break
        found.append(each)
    return found if found and found[0].number == head else []


def _settle_coalesced(db: sqlite3.Connection, dropped: Mapping[int, str], at: int) -> None:
    db.executemany(
        "UPDATE deliveries SET status = 'delivered', owner = '', finished_at = ?, reason = ?, detail = ?"
        " WHERE number = ?",
        [(at, COALESCED, detail, number) for number, detail in dropped.items()],
    )
    db.executemany(
        "INSERT INTO attempts (delivery, at, took, outcome, reason, detail) VALUES (?, ?, 0, ?, '', ?)",
        [(number, at, COALESCED, detail) for number, detail in dropped.items()],
    )
