"""How workers claim deliveries on PostgreSQL, and what they can know of those that wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.lanes import LANE_PATIENCE, LOOKED_AT, Lanes
from tocsin.store.postgres_lanes import BEFORE, BEHIND, FIRST_OR_PATIENT, UNENDED, lanes_at, park, put_together
from tocsin.store.postgres_schema import Db
from tocsin.store.records import NOTED, Leased, from_micros, to_micros
from tocsin.store.rows import CLAIMED, SET_BACK, TURN, leased

_EVER = 2**62
_ROUNDS = 8  # looks for more, when others have claimed in the meantime what was found

_CHANNELS = (
    f"WITH RECURSIVE each (channel) AS ((SELECT min(channel) FROM deliveries WHERE {UNENDED}) UNION ALL"
    f" SELECT (SELECT min(d.channel) FROM deliveries AS d WHERE d.{UNENDED} AND d.channel > each.channel)"
    " FROM each WHERE channel IS NOT NULL) SELECT channel FROM each WHERE channel IS NOT NULL"
)
"""The channels for which anything waits, found in as many steps as there are of them."""
_IS_DUE = f"{TURN} <= %(at)s AND (d.status = 'pending' OR d.due_at <= %(expired)s OR d.owner = '')"
_IN_TURN = (
    "SELECT due.turn, due.number FROM unnest(%(channels)s::text[]) AS c (channel) CROSS JOIN LATERAL"
    f" (SELECT {TURN} AS turn, d.number FROM deliveries AS d"
    f'  WHERE d.{UNENDED} AND d.channel = c.channel COLLATE "C" AND {_IS_DUE}'
    f"   AND ({TURN}, d.number) > (%(after_turn)s, %(after)s)"
    f"  ORDER BY {TURN}, d.number LIMIT %(limit)s) AS due ORDER BY due.turn, due.number LIMIT %(limit)s"
)
"""What these channels have to send by a time, the longest due first, as far as it is committed."""
_LOCKED = (
    f"SELECT d.number, d.channel, d.thread, {BEFORE}, {BEHIND} FROM deliveries AS d"
    f" WHERE d.number = ANY (%(numbers)s::bigint[]) AND d.{UNENDED} AND {_IS_DUE}"
    f" ORDER BY {TURN}, d.number FOR UPDATE OF d SKIP LOCKED"
)
_CLAIM = (
    # a lease that ran out may have been sent: what is claimed again may be a repetition
    "UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased', token = token + 1,"
    " attempts = attempts + 1, due_at = %(until)s, wait = %(ttl)s, held_until = NULL, owner = %(owner)s"
    " WHERE number = ANY (%(numbers)s::bigint[])"
)
_CLAIMED = (
    f"SELECT {CLAIMED} FROM unnest(%(numbers)s::bigint[]) WITH ORDINALITY AS n (number, place)"
    " JOIN deliveries AS d ON d.number = n.number JOIN events AS e ON e.sequence = d.event"
    " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel ORDER BY n.place"
)
_MINE = "SELECT number FROM deliveries WHERE status = 'leased' AND owner = %(owner)s AND due_at = %(until)s"
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
    }
    if repeated and (mine := [number for (number,) in db.execute(_MINE, values)]):
        return _claimed(db, sorted(mine))
    if _was_set_back(db, now):
        _date_anew(db, values["at"])
    values["channels"] = [channel for (channel,) in db.execute(_CHANNELS) if channel not in but]
    if not values["channels"] or not (numbers := _to_claim(db, values, limit, now)):
        return []
    db.execute(_CLAIM, {**values, "numbers": numbers})
    note(db, values["at"])
    return _claimed(db, numbers)


def _claimed(db: Db, numbers: Sequence[int]) -> list[Leased]:
    return [leased(row) for row in db.execute(_CLAIMED, {"numbers": list(numbers)})]


def _to_claim(db: Db, values: dict[str, Any], limit: int, now: datetime) -> list[int]:
    """What is to be claimed, after what can be put together was, and what is held up was put off."""
    heads, held = _heads(db, values, limit)
    if held:
        park(db, held)
    numbers: dict[int, None] = {}  # each once, in their order
    gone: set[int] = set()  # an old head is no longer waited for, so that one lane may have several
    for number, thread, channel, crowded in heads:
        if number in gone:
            continue
        claimed, dropped = put_together(db, number, thread, channel, now) if crowded else (number, ())
        gone.update(dropped)
        if claimed is not None:
            numbers[claimed] = None
    return [number for number in numbers if number not in gone]  # one that was to go may be told by a later one


def _heads(
    db: Db, values: dict[str, Any], limit: int
) -> tuple[list[tuple[int, str, str, bool]], dict[int, tuple[int, int]]]:
    """What is due, locked: which deliveries may go, with their lanes, and until when, behind which, others wait."""
    lanes, after = lanes_at(db, values["at"]), (-_EVER, 0)
    heads: list[tuple[int, str, str, bool]] = []
    held: dict[int, tuple[int, int]] = {}
    rounds = 0
    while len(heads) < limit and len(held) < LOOKED_AT and rounds < _ROUNDS:
        wanted = max(limit - len(heads), min(4 * len(held), LOOKED_AT - len(held)))
        found = db.execute(_IN_TURN, {**values, "limit": wanted, "after_turn": after[0], "after": after[1]}).fetchall()
        if not found:
            break
        after, rounds = found[-1], rounds + 1
        rows = db.execute(_LOCKED, {**values, "numbers": [number for _, number in found]}).fetchall()
        for number, channel, thread, before, behind in rows:
            until = None if before is None else lanes.held_until(number, thread, channel)
            if until is not None:
                held[number] = (until, before)
            elif len(heads) < limit:
                heads.append((number, thread, channel, behind is not None and before is None))
    return heads, held


# ---------------------------------------------------------------- a clock that is set back


def note(db: Db, at: int) -> None:
    """Remember that claims were written at a time, nearly: most calls write nothing."""
    db.execute(
        "UPDATE counters SET value = %s WHERE name = 'clock' AND value < %s",
        (at, at - NOTED),
    )


def _was_set_back(db: Db, now: datetime) -> bool:
    """Whether something that waits was written at a time that is yet to come."""
    row = db.execute("SELECT value FROM counters WHERE name = 'clock'").fetchone()
    return row is not None and row[0] > to_micros(now + SET_BACK)


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
    if _was_set_back(db, now):
        row = db.execute(
            f"SELECT min({_EFFECTIVE}) FROM deliveries AS d WHERE d.{UNENDED} AND d.channel <> ALL (%(but)s::text[])",
            {"now": at, "ahead": at, "but": list(but)},
        ).fetchone()
        return None if row is None or row[0] is None else from_micros(row[0])
    channels = [channel for (channel,) in db.execute(_CHANNELS) if channel not in but]
    values = {"channels": channels, "at": _EVER, "expired": _EVER, "after_turn": -_EVER, "after": 0}
    lanes, due = lanes_at(db, at), None
    for few in (1, 16):  # mostly the first is one
        for due, number in db.execute(_IN_TURN, {**values, "limit": few}).fetchall():
            if _may_go(db, number, lanes):
                return from_micros(due)
    return None if due is None else from_micros(due)  # a claim puts off what is held up, and knows more then


def _may_go(db: Db, number: int, lanes: Lanes) -> bool:
    row = db.execute(
        f"SELECT d.thread, d.channel, d.held_until, {BEFORE} FROM deliveries AS d WHERE d.number = %s", (number,)
    ).fetchone()
    if row is None:
        return True
    thread, channel, held, before = row
    return held is not None or before is None or lanes.held_until(number, thread, channel) is None


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
