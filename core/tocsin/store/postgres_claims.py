"""How workers claim deliveries on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.coalescing import COALESCED, Waiting, coalesce
from tocsin.store.coding import load
from tocsin.store.postgres_schema import Db
from tocsin.store.protocol import DISABLED
from tocsin.store.records import Leased, Planned, from_micros, to_micros
from tocsin.store.sqlite_claims import LANE_PATIENCE
from tocsin.store.unreadable import REASON, sift
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt

_LONGEST_LANE = 1000  # of one thread and channel looked at in one go

_HEADS_OF_LANES = (
    "FROM deliveries AS d WHERE d.status IN ('pending', 'leased') AND d.channel <> ALL (%(but)s::text[])"
    " AND (d.thread = '' OR"
    "  (SELECT ahead.number FROM deliveries AS ahead WHERE ahead.thread = d.thread AND ahead.thread <> ''"
    "   AND ahead.channel = d.channel AND ahead.number < d.number"
    "   AND ahead.status IN ('pending', 'leased') AND ahead.created_at > %(patience)s LIMIT 1) IS NULL)"
)
"""The deliveries that no older one of the same thread and channel holds up.

Asked for one by one, in the order in which they are due (so the LIMIT, which keeps the planner from a join over all
that wait). What is ahead is judged by what is committed, not by who has locked it: a head that another worker is just
claiming, and that this one therefore skips, still holds up what is behind it.
"""

_DUE = (
    "SELECT d.number, d.thread, d.channel, d.thread <> '' AND EXISTS (SELECT FROM deliveries AS o"
    "  WHERE o.thread = d.thread AND o.thread <> '' AND o.channel = d.channel"
    "  AND o.number > d.number AND o.status IN ('pending', 'leased'))"
    f" {_HEADS_OF_LANES} AND d.due_at <= %(at)s"
    " ORDER BY d.due_at, d.number LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED"
)
_LANE = (
    "SELECT number FROM deliveries WHERE thread = %(thread)s AND thread <> '' AND channel = %(channel)s"
    f" AND status IN ('pending', 'leased') ORDER BY number LIMIT {_LONGEST_LANE}"
)
_LANE_LOCKED = (
    "SELECT d.number, d.status, d.due_at, d.body, d.may_repeat, e.body FROM deliveries AS d"
    " JOIN events AS e ON e.sequence = d.event WHERE d.number = ANY (%(numbers)s::bigint[])"
    " AND d.status IN ('pending', 'leased') ORDER BY d.number FOR UPDATE OF d SKIP LOCKED"
)
_TOLD = "SELECT EXISTS (SELECT FROM receipts WHERE thread = %(thread)s AND channel = %(channel)s)"
_CLAIM = (
    # a lease that ran out may have been sent: what is claimed again may be a repetition
    "UPDATE deliveries SET may_repeat = may_repeat OR status = 'leased', status = 'leased', token = token + 1,"
    " attempts = attempts + 1, due_at = %(until)s, owner = %(owner)s WHERE number = ANY (%(numbers)s::bigint[])"
)
_CLAIMED = (
    "SELECT d.number, d.id, d.token, d.channel, d.route, d.action, d.template, d.attempts, d.created_at, d.body,"
    " d.may_repeat, e.body, e.sequence, r.receipt FROM deliveries AS d JOIN events AS e ON e.sequence = d.event"
    " LEFT JOIN receipts AS r ON r.thread = d.thread AND r.channel = d.channel"
    " WHERE d.number = ANY (%(numbers)s::bigint[])"
)
_MINE = "SELECT number FROM deliveries WHERE status = 'leased' AND owner = %(owner)s AND due_at = %(until)s"


def claim(
    db: Db,
    *,
    now: datetime,
    ttl: timedelta,
    limit: int,
    owner: str,
    but: Collection[str],
    repeated: bool = False,
) -> list[Leased]:
    """Claim what is due.

    `repeated`: this may have been committed before, when nobody heard of it; then that is what comes back.
    """
    values: dict[str, Any] = {
        "at": to_micros(now),
        "until": to_micros(now + ttl),
        "patience": to_micros(now - LANE_PATIENCE),
        "limit": limit,
        "owner": owner,
        "but": list(but),
    }
    if repeated and (mine := [number for (number,) in db.execute(_MINE, values)]):
        return _claimed(db, sorted(mine), values["at"])
    numbers = []
    gone: set[int] = set()  # an old head is no longer waited for, so that one lane may have several
    for head, thread, channel, crowded in db.execute(_DUE, values).fetchall():
        if head in gone:
            continue
        lane = {"thread": thread, "channel": channel}
        number, dropped = _put_together(db, head, lane, values["at"]) if crowded else (head, ())
        gone.update(dropped)
        if number is not None and number not in numbers:
            numbers.append(number)
    if not numbers:
        return []
    db.execute(_CLAIM, {**values, "numbers": numbers})
    return _claimed(db, numbers, values["at"])


def _put_together(db: Db, head: int, lane_of: Mapping[str, str], at: int) -> tuple[int | None, Collection[int]]:
    """Settle what of the lane behind its head need not be sent: which is to be claimed, if any, and what is gone."""
    numbers = [number for (number,) in db.execute(_LANE, lane_of)]
    if not numbers or numbers[0] != head:
        return head, ()  # an older one may still arrive: what is behind it cannot be judged
    locked = {row[0]: row for row in db.execute(_LANE_LOCKED, {"numbers": numbers})}
    lane: list[Waiting] = []
    for number in numbers:
        if number not in locked:  # somebody is doing something with it
            break
        _, status, due, planned, may_repeat, event = locked[number]
        if due > at or (status == "leased" and number != head):
            break
        waiting = _waiting(number, planned, event, may_have_arrived=may_repeat or status == "leased")
        if waiting is None:
            break
        lane.append(waiting)
    if not lane:
        return head, ()
    told = db.execute(_TOLD, lane_of).fetchone() == (True,)
    dropped = coalesce(lane, told=told)
    _settle_coalesced(db, dropped, at)
    return next((each.number for each in lane if each.number not in dropped), None), dropped.keys()


def _waiting(number: int, planned: str, event: str, *, may_have_arrived: bool) -> Waiting | None:
    try:
        told, plan = Event.from_json(event), load(Planned, planned)
    except Exception:
        return None  # its turn will come, and its end
    return Waiting(number, plan, told.is_a("Failed") and not told.will_retry, may_have_arrived)


def _settle_coalesced(db: Db, dropped: Mapping[int, str], at: int) -> None:
    if not dropped:
        return
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


def _claimed(db: Db, numbers: Sequence[int], at: int) -> list[Leased]:
    found, broken = sift(db.execute(_CLAIMED, {"numbers": list(numbers)}), _leased)
    if broken:
        _settle_broken(db, broken, at)
    return [found[number] for number in numbers if number in found]


def _settle_broken(db: Db, broken: Mapping[int, str], at: int) -> None:
    with db.cursor() as cursor:
        cursor.executemany(
            "UPDATE deliveries SET status = 'dead', owner = '', finished_at = %s, reason = %s, detail = %s"
            " WHERE number = %s",
            [(at, REASON, detail, number) for number, detail in broken.items()],
        )
        cursor.executemany(
            "INSERT INTO attempts (delivery, token, at, took, outcome, reason, detail)"
            " SELECT number, token, %s, 0, 'dead', %s, %s FROM deliveries WHERE number = %s",
            [(at, REASON, detail, number) for number, detail in broken.items()],
        )


def _leased(row: tuple[Any, ...]) -> Leased:
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
        may_repeat=may_repeat,
    )


# ---------------------------------------------------------------- while it is held


_STILL_HELD = (
    "FROM unnest(%(numbers)s::bigint[], %(tokens)s::bigint[]) AS held (number, token)"
    " WHERE d.number = held.number AND d.token = held.token AND d.status = 'leased'"
)


def _claims(deliveries: Sequence[Leased]) -> dict[str, list[int]]:
    return {"numbers": [each.number for each in deliveries], "tokens": [each.token for each in deliveries]}


def renew(db: Db, deliveries: Sequence[Leased], until: datetime) -> int:
    """Prolong claims that are still held."""
    return db.execute(
        f"UPDATE deliveries AS d SET due_at = %(until)s {_STILL_HELD}",
        {"until": to_micros(until), **_claims(deliveries)},
    ).rowcount


def give_back(db: Db, deliveries: Sequence[Leased], now: datetime) -> int:
    """Undo claims that came to nothing."""
    return db.execute(
        "UPDATE deliveries AS d SET status = 'pending', owner = '', due_at = %(at)s, attempts = d.attempts - 1"
        f" {_STILL_HELD}",
        {"at": to_micros(now), **_claims(deliveries)},
    ).rowcount


def owners(db: Db) -> list[str]:
    """Who holds claims, other than those that were released."""
    rows = db.execute("SELECT DISTINCT owner FROM deliveries WHERE status = 'leased' AND owner <> ''")
    return [owner for (owner,) in rows]


def release(db: Db, gone: Sequence[str], now: datetime) -> int:
    """Make due at once what owners that are gone had claimed."""
    # the status stays 'leased', so that the next claim knows that this may be a repetition
    return db.execute(
        "UPDATE deliveries SET due_at = %s, owner = '' WHERE status = 'leased' AND owner = ANY (%s::text[])",
        (to_micros(now), list(gone)),
    ).rowcount


def revive(db: Db, numbers: Sequence[int], now: datetime) -> int:
    """Make dead deliveries due now, and switch their channels on."""
    values = {"kind": DISABLED, "numbers": list(numbers), "at": to_micros(now)}
    dead = "number = ANY (%(numbers)s::bigint[]) AND status = 'dead'"
    db.execute(
        f"DELETE FROM cells WHERE kind = %(kind)s AND key IN (SELECT channel FROM deliveries WHERE {dead})", values
    )
    return db.execute(
        "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = %(at)s, due_at = %(at)s,"
        f" finished_at = NULL WHERE {dead}",
        values,
    ).rowcount


# ---------------------------------------------------------------- looking


def next_due(db: Db, now: datetime, but: Collection[str]) -> datetime | None:
    """When there is next something to claim."""
    row = db.execute(
        f"SELECT d.due_at {_HEADS_OF_LANES} ORDER BY d.due_at, d.number LIMIT 1",
        {"patience": to_micros(now - LANE_PATIENCE), "but": list(but)},
    ).fetchone()
    return None if row is None else from_micros(row[0])


def waiting(db: Db, *, before: datetime, owner: str, now: datetime, but: Collection[str]) -> int:
    """How many deliveries can be claimed before a time, or are claimed by `owner`."""
    which = "d.due_at <= %(before)s OR d.status = 'leased' AND d.owner = %(owner)s"
    row = db.execute(
        f"SELECT count(*) {_HEADS_OF_LANES} AND ({which})",
        {"before": to_micros(before), "owner": owner, "patience": to_micros(now - LANE_PATIENCE), "but": list(but)},
    ).fetchone()
    return 0 if row is None else int(row[0])
