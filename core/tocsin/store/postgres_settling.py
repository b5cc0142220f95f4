"""How claims are held, given back and settled on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tocsin.crashpoints import Point, reached
from tocsin.store.postgres_claims import note
from tocsin.store.postgres_lanes import wake
from tocsin.store.postgres_schema import Db
from tocsin.store.postgres_text import arrays
from tocsin.store.records import Leased, Outcome, to_micros
from tocsin.store.rows import Ending, attempt, ended, ending, holds, receipts, settled
from tocsin.store.summary import DISABLED

_STILL_HELD = (
    "FROM unnest(%(numbers)s::bigint[], %(tokens)s::bigint[]) AS held (number, token)"
    " WHERE d.number = held.number AND d.token = held.token AND d.status = 'leased'"
)
_SETTLED = (
    "UPDATE deliveries AS d SET status = n.status, due_at = n.due_at, wait = n.wait, finished_at = n.finished_at,"
    " reason = n.reason, detail = n.detail, may_repeat = d.may_repeat OR n.unknown, owner = '', held_until = NULL"
    " FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::boolean[],"
    "  %s::bigint[], %s::bigint[]{more})"
    " AS n (status, due_at, wait, finished_at, reason, detail, unknown, number, token{columns})"
    " WHERE d.number = n.number AND d.token = n.token"
)
_SETTLED_AS_JUDGED = _SETTLED.format(more="", columns="").encode()
_SETTLED_IF_HELD = (
    (
        f"WITH settled AS ({_SETTLED} AND d.status = 'leased'"
        "  RETURNING n.number, n.token, n.at, n.took, n.outcome, n.reason, n.said),"
        " tried AS (INSERT INTO attempts (delivery, token, at, took, outcome, reason, detail) SELECT * FROM settled)"
        " SELECT number FROM settled"
    )
    .format(
        more=", %s::bigint[], %s::bigint[], %s::text[], %s::text[]",
        columns=", at, took, outcome, said",
    )
    .encode()
)
_ATTEMPTED = (
    b"INSERT INTO attempts (delivery, token, at, took, outcome, reason, detail)"
    b" SELECT n.delivery, n.token, n.at, n.took, n.outcome, n.reason, n.detail"
    b" FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])"
    b" WITH ORDINALITY AS n (delivery, token, at, took, outcome, reason, detail, place) ORDER BY n.place"
)
_RECEIVED = (
    b"INSERT INTO receipts (thread, channel, receipt, at)"
    b" SELECT n.thread, n.channel, n.receipt, n.at FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[])"
    b" WITH ORDINALITY AS n (thread, channel, receipt, at, place) ORDER BY n.place"
    b" ON CONFLICT (thread, channel) DO UPDATE SET receipt = excluded.receipt, at = excluded.at"
)
_STANDING = b"SELECT number, token, status FROM deliveries WHERE number = ANY (%s::bigint[]) ORDER BY number FOR UPDATE"


def _claims(deliveries: Sequence[Leased]) -> dict[str, list[int]]:
    return {"numbers": [each.number for each in deliveries], "tokens": [each.token for each in deliveries]}


def renew(db: Db, deliveries: Sequence[Leased], until: datetime, now: datetime | None) -> int:
    """Prolong claims that are still held."""
    at = None if now is None else to_micros(now)
    count = db.execute(
        "UPDATE deliveries AS d SET due_at = %(until)s,"
        f" wait = greatest(0, %(until)s - coalesce(%(now)s::bigint, d.due_at - d.wait)) {_STILL_HELD}",
        {"until": to_micros(until), "now": at, **_claims(deliveries)},
    ).rowcount
    if at is not None:
        note(db, at)
    return count


def give_back(db: Db, deliveries: Sequence[Leased], now: datetime) -> int:
    """Undo claims that came to nothing."""
    note(db, to_micros(now))
    return db.execute(
        "UPDATE deliveries AS d SET status = 'pending', owner = '', due_at = %(at)s, wait = 0,"
        f" attempts = d.attempts - 1 {_STILL_HELD}",
        {"at": to_micros(now), **_claims(deliveries)},
    ).rowcount


def owners(db: Db) -> list[str]:
    """Who holds claims, other than those that were released."""
    rows = db.execute("SELECT DISTINCT owner FROM deliveries WHERE status = 'leased' AND owner <> ''")
    return [owner for (owner,) in rows]


def release(db: Db, gone: Sequence[str], now: datetime) -> int:
    """Make due at once what owners that are gone had claimed."""
    note(db, to_micros(now))
    # the status stays 'leased', so that the next claim knows that this may be a repetition
    return db.execute(
        "UPDATE deliveries SET due_at = %s, wait = 0, owner = '' WHERE status = 'leased' AND owner = ANY (%s::text[])",
        (to_micros(now), list(gone)),
    ).rowcount


def revive(db: Db, numbers: Sequence[int], now: datetime) -> int:
    """Make dead deliveries due now, and switch their channels on."""
    values = {"kind": DISABLED, "numbers": list(numbers), "at": to_micros(now)}
    note(db, to_micros(now))
    dead = "number = ANY (%(numbers)s::bigint[]) AND status = 'dead'"
    db.execute(
        f"DELETE FROM cells WHERE kind = %(kind)s AND key IN (SELECT channel FROM deliveries WHERE {dead})", values
    )
    return db.execute(
        "UPDATE deliveries SET status = 'pending', attempts = 0, created_at = %(at)s, since = NULL, due_at = %(at)s,"
        f" wait = 0, finished_at = NULL WHERE {dead}",
        values,
    ).rowcount


# ---------------------------------------------------------------- settling


def settle(db: Db, outcomes: Sequence[Outcome], *, repeated: bool) -> list[bool]:
    """Write down how attempts ended; False for each whose lease was lost.

    `repeated`: this may have been committed before, when nobody heard of it; then it stays as it is.
    """
    endings = [ending(outcome) for outcome in outcomes]
    numbers = [each.outcome.delivery.number for each in endings]
    # nearly always all of them are held: whose they are need not be asked before
    settled_at_once = set() if repeated or len(set(numbers)) < len(numbers) else _settle_if_held(db, endings)
    left = [each for each, number in zip(endings, numbers, strict=True) if number not in settled_at_once]
    judged = iter(_settle_as_judged(db, left, repeated=repeated) if left else ())
    result: list[bool] = []
    settled_now: list[Ending] = []
    for each, number in zip(endings, numbers, strict=True):
        held, is_new = (True, True) if number in settled_at_once else next(judged)
        result.append(held)
        if held and is_new:
            settled_now.append(each)
    if kept := receipts(settled_now):
        db.execute(_RECEIVED, arrays(kept, 4))
    wake(db, ended(settled_now))
    note(db, max(each.at for each in endings))
    reached(Point.RECORD_INSIDE)
    return result


def _settle_if_held(db: Db, endings: Sequence[Ending]) -> set[int]:
    """Settle those that are still leased, each by another number; the numbers of these."""
    ordered = sorted(endings, key=lambda each: each.outcome.delivery.number)  # two that settle wait in one direction
    rows = [(*settled(each), *_tried(each)) for each in ordered]
    return {number for (number,) in db.execute(_SETTLED_IF_HELD, arrays(rows, 13))}


def _tried(ending: Ending) -> tuple[int, int, str, str]:
    _, _, at, took, outcome, _, detail = attempt(ending, held=True)
    return at, took, outcome, detail


def _settle_as_judged(db: Db, endings: Sequence[Ending], *, repeated: bool) -> list[tuple[bool, bool]]:
    """Settle each as those before it leave its delivery; whether it was held, and whether that is written only now."""
    numbers = sorted({each.outcome.delivery.number for each in endings})
    standing = {number: (token, status) for number, token, status in db.execute(_STANDING, (numbers,))}
    written = _written(db, numbers) if repeated else {}
    judged: list[tuple[bool, bool]] = []
    fresh: list[tuple[Ending, bool]] = []
    for each in endings:
        number, token = each.outcome.delivery.number, each.outcome.delivery.token
        known = written.get((number, token, each.at))
        held = known != "lease lost" if known else holds(each.outcome, *standing.get(number, (-1, "")))
        is_new = known is None and number in standing
        judged.append((held, is_new))
        if is_new:
            fresh.append((each, held))
            if held:
                standing[number] = (token, each.status)
    _write(db, fresh)
    return judged


def _written(db: Db, numbers: list[int]) -> dict[tuple[int, int, int], str]:
    rows = db.execute(
        "SELECT delivery, token, at, outcome FROM attempts WHERE delivery = ANY(%s::bigint[])", (numbers,)
    )
    return {(delivery, token, at): outcome for delivery, token, at, outcome in rows}


def _write(db: Db, endings: Sequence[tuple[Ending, bool]]) -> None:
    if held := [each for each, own in endings if own]:
        last = {each.outcome.delivery.number: settled(each) for each in held}  # a late receipt may follow a failure
        db.execute(_SETTLED_AS_JUDGED, arrays(list(last.values()), 9))
    if endings:
        db.execute(_ATTEMPTED, arrays([attempt(each, held=own) for each, own in endings], 7))
