"""How workers claim deliveries on PostgreSQL, and settle what they claimed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.coding import load
from tocsin.store.postgres_schema import Db
from tocsin.store.records import Leased, Outcome, Planned, from_micros, to_micros
from tocsin.store.sqlite import LANE_PATIENCE
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt

_HEADS_OF_LANES = (
    "FROM deliveries AS d WHERE d.status IN ('pending', 'leased') AND (d.thread = '' OR"
    " (SELECT ahead.number FROM deliveries AS ahead WHERE ahead.thread = d.thread AND ahead.thread <> ''"
    "  AND ahead.channel = d.channel AND ahead.number < d.number"
    "  AND ahead.status IN ('pending', 'leased') AND ahead.created_at > %(patience)s LIMIT 1) IS NULL)"
)
"""The deliveries that no older one of the same thread and channel holds up.

Asked for one by one, in the order in which they are due (so the LIMIT, which keeps the planner from a join over all
that wait). What is ahead is judged by what is committed, not by who has locked it: a head that another worker is just
claiming, and that this one therefore skips, still holds up what is behind it.
"""

_CLAIM = (
    f"WITH heads AS (SELECT d.number, d.due_at AS since {_HEADS_OF_LANES} AND d.due_at <= %(at)s"
    "  ORDER BY d.due_at, d.number LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED),"
    # a lease that ran out may have been sent: what is claimed again may be a repetition
    " claimed AS (UPDATE deliveries AS d SET may_repeat = d.may_repeat OR d.status = 'leased', status = 'leased',"
    "  token = d.token + 1, attempts = d.attempts + 1, due_at = %(until)s, owner = %(owner)s"
    "  FROM heads WHERE d.number = heads.number RETURNING d.*, heads.since)"
    " SELECT c.number, c.id, c.token, c.channel, c.route, c.action, c.template, c.attempts, c.created_at, c.body,"
    "  c.may_repeat, e.body, e.sequence, r.receipt FROM claimed AS c JOIN events AS e ON e.sequence = c.event"
    "  LEFT JOIN receipts AS r ON r.thread = c.thread AND r.channel = c.channel ORDER BY c.since, c.number"
)


def claim(db: Db, *, now: datetime, ttl: timedelta, limit: int, owner: str) -> list[Leased]:
    """Claim what is due, in one statement."""
    values = {
        "at": to_micros(now),
        "until": to_micros(now + ttl),
        "patience": to_micros(now - LANE_PATIENCE),
        "limit": limit,
        "owner": owner,
    }
    return [_leased(row) for row in db.execute(_CLAIM, values)]


def next_due(db: Db, now: datetime) -> datetime | None:
    """When there is next something to claim."""
    row = db.execute(
        f"SELECT d.due_at {_HEADS_OF_LANES} ORDER BY d.due_at, d.number LIMIT 1",
        {"patience": to_micros(now - LANE_PATIENCE)},
    ).fetchone()
    return None if row is None else from_micros(row[0])


def waiting(db: Db, *, before: datetime, owner: str, now: datetime) -> int:
    """How many deliveries can be claimed before a time, or are claimed by `owner`."""
    row = db.execute(
        f"SELECT count(*) {_HEADS_OF_LANES}"
        " AND (d.due_at <= %(before)s OR d.status = 'leased' AND d.owner = %(owner)s)",
        {"before": to_micros(before), "owner": owner, "patience": to_micros(now - LANE_PATIENCE)},
    ).fetchone()
    return 0 if row is None else int(row[0])


def release(db: Db, gone: Sequence[str], now: datetime) -> int:
    """Make due at once what owners that are gone had claimed."""
    # the status stays 'leased', so that the next claim knows that this may be a repetition
    return db.execute(
        "UPDATE deliveries SET due_at = %s, owner = '' WHERE status = 'leased' AND owner = ANY(%s)",
        (to_micros(now), list(gone)),
    ).rowcount


def owners(db: Db) -> list[str]:
    """Who holds claims, other than those that were released."""
    return [
        owner
        for (owner,) in db.execute("SELECT DISTINCT owner FROM deliveries WHERE status = 'leased' AND owner <> ''")
    ]


def revive(db: Db, numbers: Sequence[int], now: datetime) -> int:
    """Make dead deliveries due now."""
    return db.execute(
        "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = %(at)s, due_at = %(at)s,"
        " finished_at = NULL WHERE number = ANY(%(numbers)s::bigint[]) AND status = 'dead'",
        {"at": to_micros(now), "numbers": list(numbers)},
    ).rowcount


# ---------------------------------------------------------------- settling


def settle(db: Db, outcomes: Sequence[Outcome], *, repeated: bool) -> list[bool]:
    """Write down how attempts ended; False for each whose lease was lost.

    `repeated`: this may have been committed before, when nobody heard of it; then it stays as it is.
    """
    numbers = sorted({outcome.delivery.number for outcome in outcomes})
    standing = {
        number: (token, status)
        for number, token, status in db.execute(
            "SELECT number, token, status FROM deliveries WHERE number = ANY(%s::bigint[]) ORDER BY number FOR UPDATE",
            (numbers,),
        )
    }
    written = _written(db, numbers) if repeated else {}
    result, fresh = [], []
    for outcome in outcomes:
        number, token = outcome.delivery.number, outcome.delivery.token
        known = written.get((number, token, to_micros(outcome.at)))
        held = known != "lease lost" if known else standing.get(number) == (token, "leased")
        result.append(held)
        if known is None and number in standing:
            fresh.append((outcome, held))
        if held and known is None:
            standing[number] = (token, outcome.status)
    _write(db, fresh)
    return result


def _written(db: Db, numbers: list[int]) -> dict[tuple[int, int, int], str]:
    rows = db.execute(
        "SELECT delivery, token, at, outcome FROM attempts WHERE delivery = ANY(%s::bigint[])", (numbers,)
    )
    return {(delivery, token, at): outcome for delivery, token, at, outcome in rows}


def _write(db: Db, outcomes: Sequence[tuple[Outcome, bool]]) -> None:
    settled = [outcome for outcome, held in outcomes if held]
    with db.cursor() as cursor:
        if settled:
            cursor.executemany(
                "UPDATE deliveries SET status = %s, due_at = %s, owner = '', finished_at = %s, reason = %s,"
                " detail = %s, receipt = %s, may_repeat = may_repeat OR %s WHERE number = %s",
                [_settled(outcome) for outcome in settled],
            )
        if outcomes:
            cursor.executemany(
                "INSERT INTO attempts (delivery, token, at, took, outcome, reason, detail)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [_attempt(outcome, held=held) for outcome, held in outcomes],
            )
        if kept := [_kept(outcome) for outcome in settled if _worth_keeping(outcome)]:
            cursor.executemany(
                "INSERT INTO receipts (thread, channel, receipt, at) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (thread, channel) DO UPDATE SET receipt = excluded.receipt, at = excluded.at",
                kept,
            )


def _settled(outcome: Outcome) -> tuple[Any, ...]:
    return (
        outcome.status,
        to_micros(outcome.retry_at or outcome.at),
        None if outcome.retry_at else to_micros(outcome.at),
        outcome.reason or "",
        outcome.detail,
        _json(outcome.receipt),
        outcome.unknown,
        outcome.delivery.number,
    )


def _attempt(outcome: Outcome, *, held: bool) -> tuple[Any, ...]:
    return (
        outcome.delivery.number,
        outcome.delivery.token,
        to_micros(outcome.at),
        outcome.took // timedelta(microseconds=1),
        "lease lost" if not held else "unknown" if outcome.unknown else outcome.status,
        outcome.reason or "",
        outcome.detail,
    )


def _worth_keeping(outcome: Outcome) -> bool:
    # one that sent nothing, and remembers nothing, must not take the place of one that did
    receipt = outcome.receipt
    return bool(receipt is not None and (receipt.sent or receipt.reference) and outcome.delivery.planned.thread)


def _kept(outcome: Outcome) -> tuple[Any, ...]:
    return (outcome.delivery.planned.thread, outcome.delivery.channel, _json(outcome.receipt), to_micros(outcome.at))


def _json(receipt: Receipt | None) -> str | None:
    return None if receipt is None else json.dumps(receipt.to_dict())


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
