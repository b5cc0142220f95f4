"""Whether a run takes longer than it should."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from tocsin.routing.moments import later, moment_text, span_text, utc
from tocsin.settings.alerts import Watch


@dataclass(frozen=True, slots=True)
class RunMemory:
    """What a `too_long` watch remembers of one run. Whoever keeps it forgets it when the run ends."""

    started_at: datetime
    flow: str
    told_at: datetime | None = None
    """When its length was told of; its end is a recovery then."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Whether a run is to be told of now."""

    memory: RunMemory
    tells: bool
    reason: str
    ask_again_at: datetime | None = None


def limit(watch: Watch, durations: Sequence[float]) -> tuple[timedelta | None, str]:
    """After how long a run is too long, and why; None: never. `durations` are those of its last runs, in seconds.

    >>> from tocsin.settings.alerts import WatchKind
    >>> slow = Watch("slow", WatchKind.TOO_LONG, fixed=timedelta(hours=2), times_median=3.0, min_runs=3)
    >>> limit(slow, [600, 540])[1], limit(slow, [600, 540, 660])[1]
    ('2h', '30m, 3 times the median of 3 runs, 10m')
    """
    by_median, why = _median_limit(watch, durations)
    if by_median is not None and (watch.fixed is None or by_median < watch.fixed):
        return by_median, why
    return watch.fixed, why if watch.fixed is None else span_text(watch.fixed)


def overdue(memory: RunMemory, watch: Watch, durations: Sequence[float], now: datetime) -> Overdue:
    """Whether the run, still going on at `now`, is too long: told once for each run."""
    now = utc(now)
    allowed, why = limit(watch, durations)
    if memory.told_at is not None:
        return Overdue(memory, False, f"too long, told of at {moment_text(memory.told_at, now)}")
    if allowed is None:
        return Overdue(memory, False, why)
    started = utc(memory.started_at)
    due = later(started, allowed)
    if now < due:
        return Overdue(memory, False, f"allowed until {moment_text(due, now)}: {why}", due)
    reason = f"running for {span_text(now - started)} since {moment_text(started, now)}; allowed: {why}"
    return Overdue(replace(memory, told_at=now), True, reason)


def _median_limit(watch: Watch, durations: Sequence[float]) -> tuple[timedelta | None, str]:
    if watch.times_median is None:
        return None, "no limit is set"
    known = [seconds for seconds in durations if math.isfinite(seconds) and seconds >= 0]
    needed = max(watch.min_runs, 1)
    if len(known) < needed:
        return None, f"no limit before {needed} runs have ended, {len(known)} so far"
    middle = median(known)
    try:
        allowed = timedelta(seconds=watch.times_median * middle)
    except OverflowError:
        allowed = timedelta(0)
    if allowed <= timedelta(0):  # runs that take no time at all, or for ever, say nothing of the next
        return None, f"no limit from a median of {middle:g}s"
    usual = span_text(timedelta(seconds=middle))
    return allowed, f"{span_text(allowed)}, {watch.times_median:g} times the median of {len(known)} runs, {usual}"
