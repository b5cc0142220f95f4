"""How workers claim deliveries on PostgreSQL, and what they can know of those that wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tocsin.store.lanes import LANE_PATIENCE, LOOKED_AT, Lanes, to_claim
from tocsin.store.postgres_lanes import BEFORE, BEHIND, FIRST_OR_PATIENT, UNENDED, lanes_at, park, put_together
from tocsin.store.postgres_schema import Db
from tocsin.store.records import NOTED, Leased, from_micros, to_micros
from tocsin.store.rows import CLAIMED, SET_BACK, TURN, leased

_EVER = 2**62
_ROUNDS = 8  # looks for more, when others have claimed in the meantime what was found

_FOUND = (
    f"WITH RECURSIVE each (channel) AS ((SELECT min(channel) FROM deliveries WHERE {UNENDED}) UNION ALL"
    f"  SELECT (SELECT min(d.channel) FROM deliveries AS d WHERE d.{UNENDED} AND d.channel > each.channel)"
    "  FROM each WHERE channel IS NOT NULL),"
    " found AS MATERIALIZED (SELECT due.turn, due.number FROM each CROSS JOIN LATERAL"
    f" (SELECT {TURN} AS turn, d.number FROM deliveries AS d"
    f"  WHERE d.{UNENDED} AND d.channel = each.channel AND {{due}}"
    f"   AND ({TURN}, d.number) > (%(after_turn)s, %(after)s)"
    f"  ORDER BY {TURN}, d.number LIMIT %(limit)s) AS due"
    " WHERE each.channel <> ALL (%(but)s::text[]) ORDER BY due.turn, due.number LIMIT %(limit)s)"
)
"""What is next in turn, the longest due first, as far as it is committed.

The channels for which anything waits are found in as many steps as there are of them.
"""
_IS_DUE = f"{TURN} <= %(at)s AND (d.status = 'pending' OR d.due_at <= %(expired)s OR d.owner = '')"
_LOCKED = (
    f"{_FOUND.format(due=_IS_DUE)}, locked AS (SELECT d.number, d.channel, d.thread, {BEFORE} AS ahead,"
    f"  {BEHIND} AS behind, found.turn FROM found JOIN deliveries AS d ON d.number = found.number"
    f"  WHERE d.status NOT IN ('delivered', 'dead') AND {_IS_DUE}"  # said so that no index but that of numbers fits
    "  ORDER BY found.turn, found.number FOR UPDATE OF d SKIP LOCKED)"
    " SELECT * FROM locked UNION ALL"
    " (SELECT number, NULL, NULL, NULL, (SELECT count(*) FROM found), turn FROM found"
    "  ORDER BY turn DESC, number DESC LIMIT 1)"
).encode()
"""What is due and in nobody's hand; after these rows comes that of the last which is due, with their count."""
_NEXT = (
    f"{_FOUND.format(due='true')} SELECT found.turn, d.number, d.thread, d.channel, d.held_until, {BEFORE}"
    " FROM found JOIN deliveries AS d ON d.number = found.number ORDER BY found.turn, found.number"
).encode()
_FIRST = {"after_turn": -_EVER, "after": 0}
_CLOCK = b"SELECT value FROM counters WHERE name = 'clock'"
_NOTE = f"UPDATE counters SET value = %(at)s WHERE name = 'clock' AND value < %(at)s - {NOTED}"
_CLAIM = (
    # a lease that ran out may have been sent: what is claimed again may be a repetition
    "WITH claimed AS (UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased',"
    "  token = token + 1, attempts = attempts + 1, due_at = %(until)s, wait = %(ttl)s, held_until = NULL,"
    f"  owner = %(owner)s WHERE number = ANY (%(numbers)s::bigint[]) RETURNING *), noted AS ({_NOTE})"
    f" SELECT {CLAIMED} FROM claimed AS d JOIN events AS e ON e.sequence = d.event"
    " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel"
).encode()
_CLAIMED = (
    f"SELECT {CLAIMED} FROM deliveries AS d JOIN events AS e ON e.sequence = d.event"
    " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel"
    " WHERE d.status = 'leased' AND d.owner = %(owner)s AND d.due_at = %(until)s ORDER BY d.number"
).encode()
_EFFECTIVE = "CASE WHEN d.due_at - d.wait > %(ahead)s THEN %(now)s + d.wait ELSE d.due_at END"
"""When `d` is due by a clock that was perhaps set back after that was written: nobody waits longer than was planned."""


def claim(
    db: Db,
    *,
    now: datetime,
    ttl: timedelta,
    limit: int,
    owner: str,
    but: Collection[str],
    expired: datetime | None = None,
    repeated: bool = False,
) -> list[Leased]:
    """Claim what is due. A lease is over at `expired`, where that is given, rather than now.

    `repeated`: this may have been committed before, when nobody heard of it; then that is what comes back.
    """
    values: dict[str, Any] = {
        "at": to_micros(now),
        "expired": to_micros(expired or now),
        "until": to_micros(now + ttl),
        "ttl": ttl // timedelta(microseconds=1),
        "owner": owner,
        "but": list(but),
    }
    if repeated and (mine := [leased(row) for row in db.execute(_CLAIMED, values)]):
        return mine
    heads, held = _heads(db, values, limit, now)
    if held:
        park(db, held)
    if not (numbers := to_claim(heads, partial(put_together, db, now))):
        return []
    rows = {row[0]: row for row in db.execute(_CLAIM, {**values, "numbers": numbers})}
    return [leased(rows[number]) for number in numbers]


def _heads(
    db: Db, values: dict[str, Any], limit: int, now: datetime
) -> tuple[list[tuple[int, str, str, bool]], dict[int, tuple[int, int]]]:
    """What is due, locked: which deliveries may go, with their lanes, and until when, behind which, others wait."""
    lanes = lanes_at(db, values["at"])
    heads: list[tuple[int, str, str, bool]] = []
    held: dict[int, tuple[int, int]] = {}
    wanted, rounds = limit, 1
    rows = _look_first(db, {**values, **_FIRST, "limit": wanted}, now)
    while rows:
        *locked, (last, _, _, _, count, turn) = rows
        for number, channel, thread, ahead, behind, _ in locked:
            until = None if ahead is None else lanes.held_until(number, thread, channel)
            if until is not None:
                held[number] = (until, ahead)
            elif len(heads) < limit:
                heads.append((number, thread, channel, behind is not None and ahead is None))
        if count < wanted or len(heads) >= limit or len(held) >= LOOKED_AT or rounds == _ROUNDS:
            break
        wanted, rounds = max(limit - len(heads), min(4 * len(held), LOOKED_AT - len(held))), rounds + 1
        rows = db.execute(_LOCKED, {**values, "after_turn": turn, "after": last, "limit": wanted}).fetchall()
    return heads, held


def _look_first(db: Db, values: dict[str, Any], now: datetime) -> list[tuple[Any, ...]]:
    clock, due = db.execute(_CLOCK), db.execute(_LOCKED, values)  # in a pipeline both are asked at once
    if _was_set_back(clock.fetchone(), now):
        _date_anew(db, values["at"])
        due = db.execute(_LOCKED, values)
    return due.fetchall()


# ---------------------------------------------------------------- a clock that is set back


def note(db: Db, at: int) -> None:
    """Remember that claims were written at a time, nearly: most calls write nothing."""
    db.execute(_NOTE.encode(), {"at": at})


def _was_set_back(clock: tuple[Any, ...] | None, now: datetime) -> bool:
    """Whether something that waits was written at a time that is yet to come."""
    return clock is not None and clock[0] > to_micros(now + SET_BACK)


def _date_anew(db: Db, now: int) -> None:
    """Let every wait that began at a time that is yet to come begin now."""
    for change, which in (
        ("due_at = %(now)s + wait", f"{UNENDED} AND due_at - wait > %(now)s"),
        ("held_until = NULL", f"{UNENDED} AND held_until > %(now)s"),
        (
            "since = %(now)s",
            f"{UNENDED} AND coalesce(since, created_at) > %(now)s",
        ),
    ):
        db.execute(
            f"UPDATE deliveries SET {change} WHERE number IN"
            f" (SELECT number FROM deliveries WHERE {which} ORDER BY number FOR UPDATE SKIP LOCKED)",
            {"now": now},
        )
    db.execute("UPDATE counters SET value = %s WHERE name = 'clock'", (now,))


# ---------------------------------------------------------------- looking


def next_due(db: Db, now: datetime, but: Collection[str]) -> datetime | None:
    """When there is next something to claim."""
    at = to_micros(now)
    values: dict[str, Any] = {**_FIRST, "but": list(but), "limit": 1}
    with db.pipeline():
        clock, first = db.execute(_CLOCK), db.execute(_NEXT, values)
    if _was_set_back(clock.fetchone(), now):
        row = db.execute(
            f"SELECT min({_EFFECTIVE}) FROM deliveries AS d WHERE d.{UNENDED} AND d.channel <> ALL (%(but)s::text[])",
            {"now": at, "ahead": at, "but": list(but)},
        ).fetchone()
        return None if row is None or row[0] is None else from_micros(row[0])
    lanes, turns = lanes_at(db, at), first.fetchall()
    if turns and not _may_go(lanes, turns[0]):  # mostly the first may
        turns = db.execute(_NEXT, {**values, "limit": 16}).fetchall()
    # where none of them may, a claim puts them off, and knows more then
    return next((from_micros(turn[0]) for turn in (*filter(partial(_may_go, lanes), turns), *turns[-1:])), None)


def _may_go(lanes: Lanes, turn: Sequence[Any]) -> bool:
    _, number, thread, channel, held, ahead = turn
    return held is not None or ahead is None or lanes.held_until(number, thread, channel) is None


def waiting(db: Db, *, before: datetime, owner: str, now: datetime, but: Collection[str]) -> int:
    """How many deliveries can be claimed before a time, or are claimed by `owner`."""
    row = db.execute(
        f"SELECT count(*) FROM deliveries AS d WHERE d.{UNENDED} AND {FIRST_OR_PATIENT}"
        " AND d.channel <> ALL (%(but)s::text[])"
        f" AND ({_EFFECTIVE} <= %(before)s OR d.status = 'leased' AND d.owner = %(owner)s)",
        {
            "now": to_micros(now),
            "ahead": to_micros(now + SET_BACK),
            "before": to_micros(before),
            "owner": owner,
            "patience": to_micros(now - LANE_PATIENCE),
            "but": list(but),
        },
    ).fetchone()
    return 0 if row is None else int(row[0])
