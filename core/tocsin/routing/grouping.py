"""What a group of events has told, what it has to tell now, and when it is looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.settings.alerts import Grouping, Recover
from tocsin_hooks.durations import format_duration
from tocsin_hooks.messages import Action


class Kind(StrEnum):
    """What sort of thing is told together."""

    SINGLE = "single"
    """One incident, told event by event as it comes."""
    GROUP = "group"
    """The incidents of a route that share the values of some labels."""
    EVENTS = "events"
    """Events that stand by themselves, collected."""
    DIGEST = "digest"
    """Everything, collected until its time comes."""


@dataclass(frozen=True, slots=True)
class To:
    """By which route, and in which words, a member is told to a channel."""

    route: str
    template: str = ""
    silent: bool = False
    face: str = ""
    """What the channel is to know of it, by the newest event that was for this channel."""


@dataclass(frozen=True, slots=True)
class Member:
    """An incident, or an event that stands by itself, in a group."""

    group: str
    key: str
    """Of the incident; of a plain event its id."""
    event: str
    """The id of its newest event."""
    at: datetime
    since: datetime
    subject: str
    state: str
    text: str = ""
    number: int | None = None
    """Of the incident."""
    targets: Mapping[str, To] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    """What each channel was last told of it: its face then, or `RECOVERED`."""
    recovered: str = ""
    """`retry` or `next_run`, after which sort of success it is over; empty while it is not."""
    problem: str = ""
    """Once it has recovered: the id of the last event before that."""
    cut: Mapping[str, str] = field(default_factory=dict)
    """By channel: the event that was withheld there for good; the next one is news again."""
    frozen: Mapping[str, str] = field(default_factory=dict)
    """By channel: the route on which it is flapping. Nothing of it is news there until it is calm."""
    hides: int = 0
    acked_by: str = ""
    again: bool = False
    """Its newest event shows what the one before it showed."""


@dataclass(frozen=True, slots=True)
class Log:
    """What a channel was sent for a group."""

    sent_at: datetime
    count: int = 1
    extra: bool = False
    """Told by an escalation only: it hears of the recovery, and of nothing else here."""


@dataclass(frozen=True, slots=True)
class Past:
    """A member that is over, as its group remembers it: the group's last message names it once more."""

    key: str
    event: str
    at: datetime
    since: datetime
    subject: str
    state: str
    text: str
    recovered: str
    channels: tuple[str, ...]
    """Those that were told of it."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group that has members; it is forgotten when all of them have recovered and that was told."""

    key: str
    kind: Kind
    route: str
    thread: str
    name: str
    """What messages call its incident."""
    opened_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    first_flush: datetime | None = None
    last_flush: datetime | None = None
    last_recovery: datetime | None = None
    """When a message left that told of the recovery of a part."""
    channels: Mapping[str, Log] = field(default_factory=dict)
    window: str = ""
    """Of a digest: the window at whose end it leaves."""
    past: tuple[Past, ...] = ()
    """Members that are over, the newest last; of very many the oldest are only counted."""
    forgotten: Mapping[str, int] = field(default_factory=dict)
    """By channel: how many more there were."""


RECOVERED, FLAPPING = "recovered", "flapping"
"""What a channel was told of a member, beside its faces."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a channel is to be told now: these members, as this action, for this reason."""

    action: Action
    reason: str
    members: tuple[Member, ...]
    news: tuple[Member, ...]
    """Those of them because of which it is told, the newest first."""
    silent: bool = False


def face_of(kind: Kind, event: str, state: str) -> str:
    """What must change about a problem for it to be told again: in a group its state, alone its event."""
    return event if kind is Kind.SINGLE else state


def face(member: Member, channel: str) -> str:
    """What `channel` is to know of a member now."""
    return RECOVERED if member.recovered else member.targets[channel].face


def dedup(
    group: Group, members: Iterable[Member], channel: str, *, repeat: timedelta | None, now: datetime
) -> Telling | str:
    """What `channel` is to be told of the group now, or why nothing.

    In this order: nothing was told yet, and something is wrong (`first`); something is wrong that it was not told of
    (`new`); all is over (`all recovered`); what it was told of has changed (`changed`, or `again` in the same state);
    a part is over (`recovered`); the reminder is due (`repeat`). The order is Alertmanager's, with `changed` added: its
    alerts have no states.
    """
    log = group.channels.get(channel)
    mine = sorted((m for m in members if channel in m.targets), key=lambda m: (m.at, m.key), reverse=True)
    live = [m for m in mine if channel not in m.frozen]
    firing = [m for m in live if not m.recovered]
    told = [m for m in mine if m.told.get(channel, RECOVERED) != RECOVERED]
    over = [m for m in live if m.recovered and m.told.get(channel, RECOVERED) != RECOVERED]
    shown = tuple(m for m in mine if not m.recovered or m in over)
    everything_over = bool(over) and not any(not m.recovered for m in mine)
    if log is not None and log.extra:
        if everything_over:
            return _telling(Action.RECOVER, "all recovered", tuple(over), over, channel)
        return "an escalation speaks here"
    if not told:
        if not firing:
            return "it was over before it was told" if mine and len(live) == len(mine) else "nothing is wrong"
        fresh = [m for m in firing if not is_cut(m, channel)]
        return _telling(Action.OPEN, "first", shown, fresh, channel) if fresh else "it was withheld"
    unseen = [m for m in firing if m.told.get(channel, RECOVERED) == RECOVERED and not is_cut(m, channel)]
    if unseen:
        return _telling(Action.UPDATE, "new", shown, unseen, channel)
    if everything_over:
        return _telling(Action.RECOVER, "all recovered", tuple(over), over, channel)
    changed = [m for m in firing if m.told.get(channel) != face(m, channel) and not is_cut(m, channel)]
    if changed:
        calm = all(m.told.get(channel) == FLAPPING for m in changed)
        reason = "calm" if calm else "again" if all(m.again for m in changed) else "changed"
        return _telling(Action.UPDATE, reason, shown, changed, channel)
    if over:
        return _telling(Action.UPDATE, "recovered", shown, over, channel)
    if not firing or log is None:
        return "nothing new"
    nobodys = [m for m in firing if not m.acked_by]
    reason = _no_reminder(log, firing, repeat, now)
    return reason or _telling(Action.REPEAT, "repeat", shown, nobodys, channel)


def _no_reminder(log: Log, firing: Sequence[Member], repeat: timedelta | None, now: datetime) -> str:
    """Why there is no reminder now; empty when one is due."""
    if repeat is None:
        return "it was told already"
    if all(m.acked_by for m in firing):
        return f"it was told already, and acknowledged by {firing[0].acked_by}"
    if (left := log.sent_at + repeat - now) <= timedelta(0):
        return ""
    return f"it was told already; a reminder is due in {format_duration(left.total_seconds())}"


def _telling(action: Action, reason: str, shown: Sequence[Member], news: Sequence[Member], channel: str) -> Telling:
    quiet = [m.targets[channel].silent or (m.again and bool(m.acked_by) and channel in m.told) for m in news]
    silent = all(quiet) and action in (Action.OPEN, Action.UPDATE)
    return Telling(action, reason, tuple(shown), tuple(news), silent)


def told(member: Member, channel: str) -> Member:
    """The member after `channel` was told of it."""
    return replace(member, told={**member.told, channel: face(member, channel)})


def is_cut(member: Member, channel: str) -> bool:
    """Whether the newest event of a member was withheld from `channel` for good."""
    return member.cut.get(channel) == member.event


def is_over(member: Member) -> bool:
    """Whether nothing more is to be told of a member: it recovered, and whoever was told of it knows."""
    return bool(member.recovered) and not member.frozen and all(known == RECOVERED for known in member.told.values())


def recovery_wanted(recover: Recover, members: Iterable[Member]) -> bool:
    """Whether the recovery of these members is to be told."""
    return recover.notice and any(m.recovered in recover.on for m in members if m.recovered)


# ---------------------------------------------------------------- time


def due_after_problem(
    group: Group, options: Grouping, due: datetime | None, event_at: datetime, now: datetime
) -> datetime:
    """When a group is told that has a new or changed member.

    The first time after `wait` (at once if the event is older than that), later at the next of the moments that lie
    whole `interval`s after the first.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> fresh = Group("k", Kind.GROUP, "r", "t", "n", noon)
    >>> due_after_problem(fresh, Grouping(), None, noon, noon) - noon
    datetime.timedelta(seconds=10)
    >>> told = replace(fresh, first_flush=noon, last_flush=noon)
    >>> late = noon + timedelta(minutes=3)
    >>> due_after_problem(told, Grouping(), None, late, late) - noon
    datetime.timedelta(seconds=240)
    """
    if group.first_flush is None:
        wanted = now if event_at + options.wait <= now else now + options.wait
    else:
        wanted = next_tick(group.first_flush, options.interval, now)
    return wanted if due is None else min(due, wanted)


def next_tick(first: datetime, interval: timedelta, now: datetime) -> datetime:
    """The first moment after `now` that lies whole `interval`s after `first`; `now` itself for no interval."""
    if not interval:
        return now
    return first + ((now - first) // interval + 1) * interval


def due_after_recovery(
    group: Group, members: Iterable[Member], options: Grouping, due: datetime | None, now: datetime
) -> datetime:
    """When a group is told that a member has recovered: at once if it was the last, or the first in a while.

    Those that follow a message about another within `wait` are collected: a run that succeeds after many failures ends
    many incidents at a time.
    """
    last = group.last_recovery
    wanted = now if last is None or all(m.recovered for m in members) else max(now, last + options.wait)
    return wanted if due is None else min(due, wanted)


def repeat_due(group: Group, members: Iterable[Member], repeat: timedelta | None) -> datetime | None:
    """When the next reminder is due, exactly `repeat` after the last message; None when nobody needs one."""
    if repeat is None:
        return None
    firing = [m for m in members if not m.recovered and not m.acked_by]
    times = [
        log.sent_at + repeat
        for channel, log in group.channels.items()
        if not log.extra and any(channel in m.told and channel not in m.frozen for m in firing)
    ]
    return min(times, default=None)
