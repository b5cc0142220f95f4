"""From which failure on an incident is told of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.routing.moments import moment_text, recent, span_text, utc
from tocsin.settings.alerts import OpenAfter


@dataclass(frozen=True, slots=True)
class OpenAfterMemory:
    """The failures of one incident so far. Whoever keeps it forgets it when the incident recovers."""

    failures: tuple[datetime, ...] = ()
    """The last ones, oldest first: as many as the option asks for at most."""
    total: int = 0
    reached_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """Whether the incident is told of."""

    memory: OpenAfterMemory
    reached: bool
    reason: str


def count(memory: OpenAfterMemory | None, option: OpenAfter, now: datetime) -> Counted:
    """Count one more failure. With the one that reaches the number the incident is told of, and stays so.

    A failure exactly `within` after another is not within it.

    >>> from datetime import UTC, timedelta
    >>> option, noon = OpenAfter(2, timedelta(hours=6)), datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> first = count(None, option, noon)
    >>> second = count(first.memory, option, noon + timedelta(hours=5))
    >>> first.reached, first.reason, second.reached, second.reason
    (False, 'failure 1 of 2 within 6h', True, 'failure 2 of 2 within 6h')
    """
    now = utc(now)
    memory = memory or OpenAfterMemory()
    times = (*memory.failures, now)[-max(option.failures, 1) :]
    if option.within is not None:
        times = recent(times, now, option.within) or (now,)
    total = memory.total + 1
    if memory.reached_at is not None:
        reason = f"failure {total}, told of since {moment_text(memory.reached_at, now)}"
        return Counted(OpenAfterMemory(times, total, memory.reached_at), True, reason)
    counted = total if option.within is None else len(times)
    reached = counted >= option.failures
    within = "" if option.within is None else f" within {span_text(option.within)}"
    reason = f"failure {counted} of {option.failures}{within}"
    return Counted(OpenAfterMemory(times, total, now if reached else None), reached, reason)
