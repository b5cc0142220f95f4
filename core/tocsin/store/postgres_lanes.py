"""How the deliveries of one thread and channel wait for one another on PostgreSQL: their lane."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tocsin.store.coalescing import COALESCED, Waiting, coalesce
from tocsin.store.lanes import LONGEST_LANE, NEAR, WAITED, Lanes, due_in_lane
from tocsin.store.postgres_schema import Db
from tocsin.store.postgres_text import arrays
from tocsin.store.records import to_micros
from tocsin.store.rows import waiting

UNENDED = "status IN ('pending', 'leased')"
_BESIDE = f"o.thread = d.thread AND o.thread <> '' AND o.channel = d.channel AND o.{UNENDED}"
BEFORE = (
    "CASE WHEN d.thread = '' THEN NULL ELSE (SELECT o.number FROM deliveries AS o"
    f" WHERE {_BESIDE} AND o.number < d.number ORDER BY o.number DESC LIMIT 1) END"
)
"""The delivery before `d` in its lane; NULL for the first, and for one that stands alone.

What is before it is judged by what is committed, not by who has locked it: a head that another worker is just
claiming, and that this one therefore skips, still holds up what is behind it.
"""
BEHIND = (
    "CASE WHEN d.thread = '' THEN NULL ELSE (SELECT o.number FROM deliveries AS o"
    f" WHERE {_BESIDE} AND o.number > d.number ORDER BY o.number LIMIT 1) END"
)
"""The delivery behind `d` in its lane."""
FIRST_OR_PATIENT = (
    "(d.thread = '' OR coalesce((SELECT coalesce(o.since, o.created_at) FROM deliveries AS o"
    f" WHERE {_BESIDE} AND o.number < d.number ORDER BY o.number DESC LIMIT 1), 0) <= %(patience)s)"
)
"""Whether `d` need not wait for the one before it."""

_YOUNGEST_BEFORE = (
    "SELECT max(began) FROM (SELECT coalesce(o.since, o.created_at) AS began FROM deliveries AS d JOIN deliveries AS o"
    f" ON {_BESIDE} AND o.number < d.number WHERE d.number = %s ORDER BY o.number DESC LIMIT {NEAR}) AS near"
)
_LANE = (
    "SELECT number, status, due_at, action FROM deliveries WHERE thread = %s AND thread <> ''"
    f" AND channel = %s AND {UNENDED} ORDER BY number LIMIT {LONGEST_LANE}"
)
_LANE_LOCKED = (
    "SELECT d.number, d.status, d.body, d.may_repeat, e.body FROM deliveries AS d"
    " JOIN events AS e ON e.sequence = d.event WHERE d.number = ANY (%s::bigint[])"
    f" AND d.{UNENDED} ORDER BY d.number FOR UPDATE OF d SKIP LOCKED"
)
_HAS_WAITED = "SELECT attempts > 0 OR coalesce(since, created_at) <= %s FROM deliveries WHERE number = %s"
_TOLD = "SELECT EXISTS (SELECT FROM receipts WHERE thread = %s AND channel = %s)"
_BEHIND_IT = (
    "FROM deliveries AS o WHERE o.thread = n.thread AND o.thread <> '' AND o.channel = n.channel"
    f" AND o.number > n.number AND o.{UNENDED} ORDER BY o.number"
)
_WAKE = (
    "UPDATE deliveries SET held_until = NULL WHERE held_until IS NOT NULL AND number IN (SELECT next.number"
    " FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS n (thread, channel, number) CROSS JOIN LATERAL"
    f" (SELECT o.number {_BEHIND_IT} LIMIT CASE WHEN"
    "   (SELECT coalesce(e.since, e.created_at) FROM deliveries AS e WHERE e.number = n.number)"
    f"  > (SELECT coalesce(o.since, o.created_at) {_BEHIND_IT} LIMIT 1) THEN {NEAR} ELSE 1 END) AS next)"
).encode()
"""The next in the lane is due; if what ended began later, as one that was revived, it held up others, too."""


def lanes_at(db: Db, at: int) -> Lanes:
    """Who is held up at a moment."""

    def youngest(number: int) -> int | None:
        row = db.execute(_YOUNGEST_BEFORE, (number,)).fetchone()
        return None if row is None else row[0]

    return Lanes(at, youngest)


def park(db: Db, held: Mapping[int, tuple[int, int]]) -> None:
    """Put off what older ones hold up: each, by number, until its time, unless the one before it is ending just now.

    Whoever ends that one waits until this is committed, and wakes what was put off.
    """
    others = {before for _, before in held.values()} - held.keys()
    locked = db.execute(
        f"SELECT number FROM deliveries WHERE number = ANY (%s::bigint[]) AND {UNENDED} FOR UPDATE SKIP LOCKED",
        (sorted(others),),
    )
    there = {number for (number,) in locked} | held.keys()
    parked = {number: until for number, (until, before) in held.items() if before in there}
    db.execute(
        "UPDATE deliveries AS d SET held_until = held.until FROM unnest(%s::bigint[], %s::bigint[])"
        f" AS held (number, until) WHERE d.number = held.number AND d.{UNENDED}",
        (list(parked), list(parked.values())),
    )


def wake(db: Db, ended: Sequence[tuple[str, str, int]]) -> None:
    """What was put off behind deliveries that have ended is due: each given by its thread, channel and number."""
    if ended:
        db.execute(_WAKE, arrays(ended, 3))


def put_together(db: Db, now: datetime, head: int, thread: str, channel: str) -> tuple[int | None, Collection[int]]:
    """Settle what of the lane behind its head need not be sent: which is to be claimed, if any, and what is gone."""
    at = to_micros(now)
    if db.execute(_HAS_WAITED, (to_micros(now - WAITED), head)).fetchone() != (True,):
        return head, ()  # it has only just been planned
    lane = _locked(db, due_in_lane(db.execute(_LANE, (thread, channel)).fetchall(), head, now))
    if not lane or lane[0].number != head:
        return head, ()
    told = db.execute(_TOLD, (thread, channel)).fetchone() == (True,)
    dropped = coalesce(lane, told=told)
    if dropped:
        _settle_coalesced(db, dropped, at)
        wake(db, [(thread, channel, max(dropped))])
    return next((each.number for each in lane if each.number not in dropped), None), dropped.keys()


def _locked(db: Db, numbers: Sequence[int]) -> list[Waiting]:
    """These deliveries of a lane, up to the first that somebody else has in hand, or that cannot be read."""
    if not numbers:
        return []
    found: list[Waiting] = []
    for expected, (number, status, planned, may_repeat, event) in zip(
        numbers, db.execute(_LANE_LOCKED, (list(numbers),)).fetchall(), strict=False
    ):
        each = waiting(number, planned, event, may_have_arrived=may_repeat or status == "leased")
        if number != expected or each is None:
            break
        found.append(each)
    return found


def _settle_coalesced(db: Db, dropped: Mapping[int, str], at: int) -> None:
    with db.cursor() as cursor:
        cursor.executemany(
            "UPDATE deliveries SET status = 'delivered', owner = '', finished_at = %s, reason = %s, detail = %s"
            " WHERE number = %s",
            [(at, COALESCED, detail, number) for number, detail in dropped.items()],
        )
        cursor.executemany(
            "INSERT INTO attempts (delivery, token, at, took, outcome, reason, detail)"
            " SELECT number, token, %s, 0, %s, '', %s FROM deliveries WHERE number = %s",
            [(at, COALESCED, detail, number) for number, detail in dropped.items()],
        )
