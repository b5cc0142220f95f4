"""Whether a problem comes and goes so often that one notice says more than all its messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from tocsin.routing.moments import later, moment_text, recent, span_text, utc
from tocsin.settings.alerts import Flap


class FlapVerdict(StrEnum):
    """What becomes of the message about a change."""

    PASS = "pass"  # noqa: S105  (no password)
    """It goes its usual way."""
    STARTS = "starts"
    """One notice that the problem is flapping goes in its place."""
    QUIET = "quiet"
    """Nothing is sent."""


class CalmVerdict(StrEnum):
    """What is found when the calm was due."""

    CALM = "calm"
    """The flapping is over."""
    WAITS = "waits"
    """It changed again since: the calm is due later."""
    IDLE = "idle"
    """It is not flapping at all."""


@dataclass(frozen=True, slots=True)
class FlapMemory:
    """The recent changes of one incident key."""

    changes: tuple[datetime, ...] = ()
    """Oldest first: as many as make a flapping at most; only the last one while flapping."""
    is_open: bool = False
    """Where the last change left it."""
    flapping_since: datetime | None = None
    count: int = 0
    """Changes of this flapping, those that made it one included."""


@dataclass(frozen=True, slots=True)
class FlapStep:
    """What a change means. `calm_at`: when to ask `calm`."""

    memory: FlapMemory
    verdict: FlapVerdict
    reason: str
    calm_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Calmed:
    """Whether a flapping is over, and whether the problem is open or not since its last change."""

    memory: FlapMemory | None
    verdict: CalmVerdict
    is_open: bool
    reason: str
    calm_at: datetime | None = None


def change(memory: FlapMemory | None, flap: Flap, *, opens: bool, now: datetime) -> FlapStep:
    """Take note that an incident of the key opens, or recovers.

    The `changes`-th change less than `within` after the first of them starts a flapping, which every change keeps up
    until `calm` passed without one.

    >>> from datetime import UTC, timedelta
    >>> flap, noon, memory, verdicts = Flap(changes=3), datetime(2026, 1, 1, 12, tzinfo=UTC), None, []
    >>> for minutes in (0, 5, 10, 15, 50):
    ...     step = change(memory, flap, opens=minutes % 10 == 0, now=noon + timedelta(minutes=minutes))
    ...     memory, verdicts = step.memory, [*verdicts, str(step.verdict)]
    >>> verdicts
    ['pass', 'pass', 'starts', 'quiet', 'pass']
    """
    now = utc(now)
    memory = memory or FlapMemory()
    ended = ""
    if memory.flapping_since is not None:
        if now < _calm_at(memory, flap):
            return _kept_up(memory, flap, opens, now)
        ended = f"; the flapping since {moment_text(memory.flapping_since, now)} is over"
        memory = FlapMemory()
    times = (*recent(memory.changes, now, flap.within), now)[-max(flap.changes, 1) :]
    if len(times) >= flap.changes:
        return _started(times, flap, opens, now)
    reason = f"change {len(times)} of {flap.changes} within {span_text(flap.within)}{ended}"
    return FlapStep(FlapMemory(times, opens), FlapVerdict.PASS, reason)


def calm(memory: FlapMemory | None, flap: Flap, now: datetime) -> Calmed:
    """Whether `calm` passed without a change: then the memory is cleared."""
    now = utc(now)
    if memory is None or memory.flapping_since is None:
        return Calmed(memory, CalmVerdict.IDLE, memory is not None and memory.is_open, "not flapping")
    due = _calm_at(memory, flap)
    if now < due:
        return Calmed(memory, CalmVerdict.WAITS, memory.is_open, _until(memory, due, now), due)
    since = moment_text(memory.flapping_since, now)
    reason = (
        f"no change for {span_text(flap.calm)}: the flapping since {since} is over after {memory.count} changes, "
        f"{'still open' if memory.is_open else 'recovered'}"
    )
    return Calmed(None, CalmVerdict.CALM, memory.is_open, reason)


def is_spent(memory: FlapMemory, flap: Flap, now: datetime) -> bool:
    """Whether nothing is left in `memory` that still bears on a change: it may be forgotten."""
    return memory.flapping_since is None and not recent(memory.changes, utc(now), flap.within)


def _started(times: tuple[datetime, ...], flap: Flap, opens: bool, now: datetime) -> FlapStep:
    memory = FlapMemory((now,), opens, flapping_since=now, count=len(times))
    reason = (
        f"{len(times)} changes within {span_text(flap.within)}: flapping, "
        f"quiet until {span_text(flap.calm)} pass without one"
    )
    return FlapStep(memory, FlapVerdict.STARTS, reason, _calm_at(memory, flap))


def _kept_up(memory: FlapMemory, flap: Flap, opens: bool, now: datetime) -> FlapStep:
    memory = replace(memory, changes=(now,), is_open=opens, count=memory.count + 1)
    due = _calm_at(memory, flap)
    return FlapStep(memory, FlapVerdict.QUIET, _until(memory, due, now), due)


def _calm_at(memory: FlapMemory, flap: Flap) -> datetime:
    assert memory.flapping_since is not None
    last = memory.changes[-1] if memory.changes else memory.flapping_since
    return later(last, flap.calm)


def _until(memory: FlapMemory, due: datetime, now: datetime) -> str:
    assert memory.flapping_since is not None
    return (
        f"flapping since {moment_text(memory.flapping_since, now)}, {memory.count} changes so far; "
        f"quiet until {moment_text(due, now)} unless it changes again"
    )
