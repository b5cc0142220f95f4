"""Whether a run did not come when it should have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.routing import occurrences
from tocsin.routing.moments import later, moment_text, span_text, utc
from tocsin.settings.alerts import Watch

_TICK = timedelta(microseconds=1)
_LEAST_SLACK = timedelta(minutes=1)  # clocks of two hosts differ; schedulers start a little early


class WatchVerdict(StrEnum):
    """What a look at a watch finds."""

    OK = "ok"
    MISSED = "missed"
    """A run is missing: the alarm of this episode."""
    AGAIN = "again"
    """One more is missing, of which the alarm of this episode told already."""


@dataclass(frozen=True, slots=True)
class WatchMemory:
    """What a `missed` watch remembers."""

    after: datetime
    """The next run is expected at the first time after this: that of the last run expected, come or missed."""
    last_run_at: datetime | None = None
    alarmed_since: datetime | None = None
    missed: int = 0
    """Runs missed in this episode."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """When a run should begin, and when it is missed."""

    expected_at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a watch found. `ask_again_at`: the next deadline."""

    memory: WatchMemory
    verdict: WatchVerdict
    reason: str
    ask_again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What a run means. `ends_alarm`: it recovers the alarm that was given."""

    memory: WatchMemory
    ends_alarm: bool
    reason: str
    ask_again_at: datetime | None = None


def expectation(watch: Watch, *, last_run_at: datetime | None, since: datetime) -> Expectation | None:
    """When the next run is due, watched `since` then; None if never.

    >>> from datetime import UTC
    >>> from tocsin.settings.alerts import WatchKind
    >>> daily = Watch("daily", WatchKind.MISSED, flow="etl", cron="30 5 * * *", grace=timedelta(hours=1))
    >>> due = expectation(daily, last_run_at=None, since=datetime(2026, 1, 1, 12, tzinfo=UTC))
    >>> str(due.expected_at), str(due.deadline)
    ('2026-01-02 05:30:00+00:00', '2026-01-02 06:30:00+00:00')
    """
    return _due(begin(watch, since=since, last_run_at=last_run_at), watch)


def begin(watch: Watch, *, since: datetime, last_run_at: datetime | None = None) -> WatchMemory:
    """The memory of a watch that begins to watch."""
    memory = WatchMemory(utc(since))
    return memory if last_run_at is None else satisfied(memory, watch, last_run_at).memory


def satisfied(memory: WatchMemory | None, watch: Watch, run_started_at: datetime) -> RunSeen:
    """Take note of a run.

    It is the one expected if it begins by the deadline, and early by no more than `grace` (at least a minute, at most
    half the time since the occurrence before): a repetition of yesterday's run does not stand for today's. Every run
    ends an alarm, but one that began before what was missed and is only now told of.
    """
    began = utc(run_started_at)
    memory = memory or WatchMemory(began)
    ends = memory.alarmed_since is not None and _is_new(memory, watch, began)
    seen = replace(
        memory,
        after=_covered(memory, watch, began),
        last_run_at=began if memory.last_run_at is None else max(memory.last_run_at, began),
        alarmed_since=None if ends else memory.alarmed_since,
        missed=0 if ends else memory.missed,
    )
    due = _due(seen, watch)
    reason = f"a run began at {moment_text(began, began, watch.timezone)}"
    if ends:
        reason += f", after {_runs(memory.missed)} missed"
    return RunSeen(seen, ends, reason, due.deadline if due else None)


def check(memory: WatchMemory | None, watch: Watch, now: datetime) -> Checked:
    """Look whether a run is missing at `now`: one alarm for all that are, until the next run begins.

    Runs that began by then must have been told to `satisfied` before.
    """
    now = utc(now)
    memory = memory or WatchMemory(now)
    last, count = _missed(memory, watch, now)
    if last is not None:
        alarmed = memory.alarmed_since
        missed = memory.missed + count
        memory = replace(memory, after=last, alarmed_since=alarmed or now, missed=missed)
        verdict = WatchVerdict.MISSED if alarmed is None else WatchVerdict.AGAIN
        reason = f"{_runs(missed)} missed: {_lacking(memory, watch, last, now)}"
    else:
        verdict = WatchVerdict.OK
        reason = _awaiting(memory, watch, now)
    due = _due(memory, watch)
    return Checked(memory, verdict, reason, due.deadline if due else None)


def _due(memory: WatchMemory, watch: Watch) -> Expectation | None:
    expected_at = _next(watch, memory.after)
    return None if expected_at is None else Expectation(expected_at, later(expected_at, watch.grace))


def _next(watch: Watch, after: datetime) -> datetime | None:
    if watch.cron is not None:
        return occurrences.next_after(watch.cron, watch.timezone, after)
    return None if watch.every is None else later(after, watch.every)


def _missed(memory: WatchMemory, watch: Watch, now: datetime) -> tuple[datetime | None, int]:
    """The last expected time whose deadline has come by `now`, and how many such there are."""
    passed = now - watch.grace
    if watch.cron is not None:
        return occurrences.missed(watch.cron, watch.timezone, memory.after, passed)
    if not watch.every or passed - memory.after < watch.every:
        return None, 0
    count = (passed - memory.after) // watch.every
    return memory.after + count * watch.every, count


def _covered(memory: WatchMemory, watch: Watch, began: datetime) -> datetime:
    """The `after` of a memory once a run began: the occurrence it stands for, or the last one that is over anyway."""
    if watch.cron is None:
        return began if memory.last_run_at is None or began > memory.last_run_at else memory.after
    due = _due(memory, watch)
    if due is None:
        return memory.after
    after = memory.after
    if due.deadline < began:
        over = occurrences.last_until(watch.cron, watch.timezone, began - watch.grace - _TICK)
        after = over or after
    expected_at = _next(watch, after)
    if expected_at is not None and began >= expected_at - _slack(watch, watch.cron, expected_at):
        return expected_at
    return after


def _slack(watch: Watch, cron: str, expected_at: datetime) -> timedelta:
    """How early a run may begin and still be the one expected then."""
    slack = max(watch.grace, _LEAST_SLACK)
    before = occurrences.last_until(cron, watch.timezone, expected_at - _TICK)
    return slack if before is None else min(slack, (expected_at - before) / 2)


def _is_new(memory: WatchMemory, watch: Watch, began: datetime) -> bool:
    """Whether a run is not one from before the last that was missed, reported late."""
    if watch.cron is not None:
        return began >= memory.after - _slack(watch, watch.cron, memory.after)
    return memory.last_run_at is None or began > memory.last_run_at


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _lacking(memory: WatchMemory, watch: Watch, expected_at: datetime, now: datetime) -> str:
    zone = watch.timezone
    last = memory.last_run_at
    since = "none was seen" if last is None else f"the last one began at {moment_text(last, now, zone)}"
    grace = f" and {span_text(watch.grace)} have passed" if watch.grace else ""
    return f"one of '{watch.flow}' was expected at {moment_text(expected_at, now, zone)}{grace}; {since}"


def _awaiting(memory: WatchMemory, watch: Watch, now: datetime) -> str:
    due = _due(memory, watch)
    if due is None:
        return f"no run of '{watch.flow}' is ever expected"
    missing = f", {_runs(memory.missed)} missed" if memory.missed else ""
    return f"the next run of '{watch.flow}' is expected by {moment_text(due.deadline, now, watch.timezone)}{missing}"
