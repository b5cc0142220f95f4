"""How attempts that ended are written down on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any

from tocsin.crashpoints import Point, reached
from tocsin.store.postgres_schema import Db
from tocsin.store.records import Outcome, Status, to_micros
from tocsin_hooks.messages import Receipt

_LATE = (Status.LEASED, Status.PENDING, Status.DEAD)  # a late receipt is one nevertheless


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
        held = known != "lease lost" if known else _holds(outcome, standing.get(number))
        result.append(held)
        if known is None and number in standing:
            fresh.append((outcome, held))
        if held and known is None:
            standing[number] = (token, outcome.status)
    _write(db, fresh)
    reached(Point.RECORD_INSIDE)
    return result


def _holds(outcome: Outcome, standing: tuple[int, str] | None) -> bool:
    if standing is None:
        return False
    token, status = standing
    return token == outcome.delivery.token and status in (_LATE if outcome.receipt is not None else (Status.LEASED,))


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
        if kept := sorted((_kept(outcome) for outcome in settled if _worth_keeping(outcome)), key=itemgetter(0, 1)):
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
