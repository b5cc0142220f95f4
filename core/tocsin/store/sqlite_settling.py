"""How claims are held, given back and settled on SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tocsin.crashpoints import Point, reached
from tocsin.store.records import Leased, Outcome, to_micros
from tocsin.store.rows import Ending, attempt, ended, ending, holds, receipts, settled
from tocsin.store.sqlite_lanes import wake
from tocsin.store.sqlite_transaction import note
from tocsin.store.summary import DISABLED

_STILL_HELD = (
    "FROM (SELECT json_extract(value, '$[0]') AS held, json_extract(value, '$[1]') AS by FROM json_each(:held))"
    " WHERE number = held AND token = by AND status = 'leased'"
)


def _claims(deliveries: Sequence[Leased]) -> str:
    return json.dumps([(each.number, each.token) for each in deliveries])


def renew(db: sqlite3.Connection, deliveries: Sequence[Leased], until: datetime, now: datetime | None) -> int:
    """Prolong claims that are still held."""
    if now is not None:
        note(db, to_micros(now))
    return db.execute(
        f"UPDATE deliveries SET wait = max(0, :until - coalesce(:now, due_at - wait)), due_at = :until {_STILL_HELD}",
        {
            "until": to_micros(until),
            "now": None if now is None else to_micros(now),
            "held": _claims(deliveries),
        },
    ).rowcount


def give_back(db: sqlite3.Connection, deliveries: Sequence[Leased], now: datetime) -> int:
    """Undo claims that came to nothing."""
    note(db, to_micros(now))
    return db.execute(
        "UPDATE deliveries SET status = 'pending', owner = '', due_at = :now, wait = 0, attempts = attempts - 1"
        f" {_STILL_HELD}",
        {"now": to_micros(now), "held": _claims(deliveries)},
    ).rowcount


def release(db: sqlite3.Connection, gone: Sequence[str], now: datetime) -> int:
    """Make due at once what owners that are gone had claimed."""
    note(db, to_micros(now))
    return db.execute(
        # the status stays 'leased', so that the next claim knows that this may be a repetition
        "UPDATE deliveries SET due_at = ?, wait = 0, owner = '' WHERE status = 'leased'"
        " AND owner IN (SELECT value FROM json_each(?))",
        (to_micros(now), json.dumps(list(gone))),
    ).rowcount


_SETTLED = (
    "UPDATE deliveries SET status = ?, due_at = ?, wait = ?, finished_at = ?, reason = ?, detail = ?,"
    " may_repeat = may_repeat OR ?, owner = '', held_until = NULL WHERE number = ? AND token = ?"
)


def settle(db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> list[bool]:
    """Write down how attempts ended; False for each whose lease was lost."""
    endings = [ending(outcome) for outcome in outcomes]
    held, there = [True] * len(endings), {each.outcome.delivery.number for each in endings}
    if not _all_were_held(db, endings):
        held, there = _judged(db, endings)
        db.executemany(_SETTLED, [settled(each) for each, own in zip(endings, held, strict=True) if own])
    rows = [
        attempt(each, held=own)
        for each, own in zip(endings, held, strict=True)
        if each.outcome.delivery.number in there  # what was pruned meanwhile has no history any more
    ]
    db.executemany(
        "INSERT INTO attempts (delivery, at, took, outcome, reason, detail) VALUES (?, ?, ?, ?, ?, ?)",
        [(delivery, *rest) for delivery, _, *rest in rows],
    )
    _keep_and_wake(db, [each for each, own in zip(endings, held, strict=True) if own])
    note(db, max(each.at for each in endings))
    reached(Point.RECORD_INSIDE)
    return held


def _all_were_held(db: sqlite3.Connection, endings: Sequence[Ending]) -> bool:
    """Settle them, if none has lost its lease: so it is nearly always, and whose it is need not be asked before."""
    db.execute("SAVEPOINT settling")
    count = db.executemany(f"{_SETTLED} AND status = 'leased'", [settled(each) for each in endings]).rowcount
    if count != len(endings):
        db.execute("ROLLBACK TO settling")
    db.execute("RELEASE settling")
    return count == len(endings)


def _judged(db: sqlite3.Connection, endings: Sequence[Ending]) -> tuple[list[bool], set[int]]:
    """Which of them still have their claims, each as those before it leave its delivery; and which deliveries exist."""
    numbers = json.dumps([each.outcome.delivery.number for each in endings])
    query = "SELECT number, token, status FROM deliveries WHERE number IN (SELECT value FROM json_each(?))"
    standing = {number: (token, status) for number, token, status in db.execute(query, (numbers,))}
    held, there = [], set(standing)
    for each in endings:
        number = each.outcome.delivery.number
        token, status = standing.get(number, (-1, ""))
        held.append(holds(each.outcome, token, status))
        if held[-1]:
            standing[number] = (token, each.status)
    return held, there


def _keep_and_wake(db: sqlite3.Connection, held: Sequence[Ending]) -> None:
    if kept := receipts(held):
        db.executemany(
            "INSERT INTO receipts (thread, channel, receipt, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (thread, channel) DO UPDATE SET receipt = excluded.receipt, at = excluded.at",
            kept,
        )
    if gone := ended(held):
        wake(db, gone)


def revive(db: sqlite3.Connection, numbers: Sequence[int], now: datetime) -> int:
    """Make dead deliveries due now, and switch their channels on."""
    dead = "number IN (SELECT value FROM json_each(?)) AND status = 'dead'"
    db.execute(
        f"DELETE FROM cells WHERE kind = ? AND key IN (SELECT channel FROM deliveries WHERE {dead})",
        (DISABLED, json.dumps(list(numbers))),
    )
    note(db, to_micros(now))
    return db.execute(
        "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = ?, since = NULL, due_at = ?, wait = 0,"
        f" finished_at = NULL WHERE {dead}",
        (to_micros(now), to_micros(now), json.dumps(list(numbers))),
    ).rowcount
