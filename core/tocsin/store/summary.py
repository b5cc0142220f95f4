"""How an outbox stands: what waits on each channel, since when, what failed of late, and how much of it there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tocsin.store.records import from_micros, to_micros

DISABLED = "disabled"
"""The kind of the cells that name, as their keys, the channels to which nothing is sent until somebody mends them."""
LATELY = timedelta(hours=1)
"""For how long back failures are counted."""

Rows = Callable[..., Sequence[tuple[Any, ...]]]
"""Asks the database: `rows(query, *values)`, with a `?` for each value."""


@dataclass(frozen=True, slots=True)
class ChannelSummary:
    """What waits for one channel, and how it fares."""

    name: str
    pending: int = 0
    leased: int = 0
    due: int = 0
    """How many of them a worker could claim now, if nothing older of their thread holds them up."""
    dead: int = 0
    dead_reasons: Mapping[str, int] = field(default_factory=dict)
    oldest: datetime | None = None
    """When the oldest that waits was planned."""
    due_since: datetime | None = None
    """Since when the longest due has been due."""
    last_success: datetime | None = None
    failing_since: datetime | None = None
    """When the first try failed after the last success; None where none did."""
    last_failure: datetime | None = None
    """The last of those tries."""
    last_reason: str = ""
    failures: Mapping[str, int] = field(default_factory=dict)
    """How many tries failed lately, by reason."""
    off: bool = False
    """Whether it is switched off: it has refused for good."""

    @property
    def waiting(self) -> int:
        """How many deliveries have not ended."""
        return self.pending + self.leased

    @property
    def last_try(self) -> datetime | None:
        """When something was last tried there."""
        return max((each for each in (self.last_success, self.last_failure) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """How the outbox stands at a moment."""

    at: datetime
    channels: tuple[ChannelSummary, ...] = ()
    """Those that were asked for, and all with something that waits, is dead or failed lately; by name."""
    incidents_open: int = 0
    timers_due: int = 0
    """How many things are to be done because time has passed."""
    timers_due_since: datetime | None = None
    next_timer: datetime | None = None
    """When the next of them is to be done that is not due yet."""
    newest_event: datetime | None = None
    size: int | None = None
    """Bytes of the database; None where that is not known."""
    wal: int | None = None
    """Bytes of SQLite's write-ahead log; None where there is none."""

    def total(self, count: Callable[[ChannelSummary], int]) -> int:
        """A number summed over all channels."""
        return sum(count(channel) for channel in self.channels)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest delivery that waits was planned."""
        return min((each.oldest for each in self.channels if each.oldest is not None), default=None)


def summarise(rows: Rows, now: datetime, channels: Collection[str] = ()) -> StoreSummary:
    """How an outbox stands, as `rows` tells; the SQL is what SQLite and PostgreSQL have in common.

    What is delivered is never counted, and found by its time only, so that a long history costs nothing.
    """
    at = to_micros(now)
    found = {name: ChannelSummary(name) for name in channels}
    _add_unfinished(found, rows, at)
    _add_dead(found, rows)
    _add_failures(found, rows, to_micros(now - LATELY))
    off = {key for (key,) in rows("SELECT key FROM cells WHERE kind = ?", DISABLED)}
    told = [replace(_with_past(found[name], rows), off=name in off) for name in sorted(found)]
    [(incidents,)] = rows("SELECT count(*) FROM incidents WHERE closed_at IS NULL")
    [(due, since)] = rows("SELECT count(*), min(due_at) FROM cells WHERE due_at IS NOT NULL AND due_at <= ?", at)
    [(upcoming,)] = rows("SELECT min(due_at) FROM cells WHERE due_at IS NOT NULL AND due_at > ?", at)
    [(newest,)] = rows("SELECT max(at) FROM events")
    return StoreSummary(now, tuple(told), incidents, due, _time(since), _time(upcoming), _time(newest))


# CROSS JOIN: from the few deliveries that are looked for to their tries, never the other way round
_TRIES = "FROM deliveries AS d CROSS JOIN attempts AS a WHERE a.delivery = d.number"
_UNFINISHED = "d.status IN ('pending', 'leased')"
_ONE_CHANNELS_FAILURES = " UNION ALL ".join(
    f"SELECT a.at, a.reason {_TRIES} AND {where} AND d.channel = ? AND a.at > ? AND a.reason <> ''"
    for where in (f"{_UNFINISHED} AND d.token > 0", "d.status = 'dead'")
)
"""The tries after a time that failed: those of what was not delivered since."""


def _add_unfinished(found: dict[str, ChannelSummary], rows: Rows, at: int) -> None:
    for name, status, count, due, oldest, since in rows(
        "SELECT d.channel, d.status, count(*), sum(CASE WHEN d.due_at <= ? THEN 1 ELSE 0 END), min(d.created_at),"
        f" min(d.due_at) FROM deliveries AS d WHERE {_UNFINISHED} GROUP BY d.channel, d.status",
        at,
    ):
        before = found.get(name) or ChannelSummary(name)
        found[name] = replace(
            before,
            pending=before.pending + (count if status == "pending" else 0),
            leased=before.leased + (count if status == "leased" else 0),
            due=before.due + int(due),
            oldest=_earlier(before.oldest, _time(oldest)),
            due_since=_earlier(before.due_since, _time(since) if due else None),
        )


def _add_dead(found: dict[str, ChannelSummary], rows: Rows) -> None:
    for name, reason, count in rows(
        "SELECT d.channel, d.reason, count(*) FROM deliveries AS d WHERE d.status = 'dead' AND d.number > 0"
        " GROUP BY d.channel, d.reason ORDER BY d.channel, d.reason"
    ):
        before = found.get(name) or ChannelSummary(name)
        found[name] = replace(before, dead=before.dead + count, dead_reasons={**before.dead_reasons, reason: count})


def _add_failures(found: dict[str, ChannelSummary], rows: Rows, since: int) -> None:
    """Count what failed since a time: tries of what has ended after it, or has not ended."""
    for name, reason, count in rows(
        "SELECT channel, reason, count(*) FROM ("
        f"SELECT d.channel, a.reason {_TRIES} AND d.finished_at >= ? AND a.at >= ? AND a.reason <> '' UNION ALL"
        f" SELECT d.channel, a.reason {_TRIES} AND {_UNFINISHED} AND d.token > 0 AND a.at >= ? AND a.reason <> ''"
        ") AS lately GROUP BY channel, reason ORDER BY channel, reason",
        since,
        since,
        since,
    ):
        before = found.get(name) or ChannelSummary(name)
        found[name] = replace(before, failures={**before.failures, reason: count})


def _with_past(channel: ChannelSummary, rows: Rows) -> ChannelSummary:
    """The channel with its last success, and what failed since."""
    last = rows(
        "SELECT finished_at FROM deliveries WHERE finished_at IS NOT NULL AND channel = ? AND status = 'delivered'"
        " AND reason = '' ORDER BY finished_at DESC LIMIT 1",  # with a reason: it was put together with another
        channel.name,
    )
    success = last[0][0] if last else None
    if not (channel.waiting or channel.dead):
        return replace(channel, last_success=_time(success))
    where = (channel.name, success or 0) * 2
    [(since,)] = rows(f"SELECT min(at) FROM ({_ONE_CHANNELS_FAILURES}) AS failed", *where)
    newest = rows(f"SELECT at, reason FROM ({_ONE_CHANNELS_FAILURES}) AS failed ORDER BY at DESC LIMIT 1", *where)
    at, reason = newest[0] if newest else (None, "")
    return replace(
        channel,
        last_success=_time(success),
        failing_since=_time(since),
        last_failure=_time(at),
        last_reason=reason,
    )


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
