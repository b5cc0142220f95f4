"""Whether one more message is too many for people, and when those that were cut are summed up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tocsin.routing.moments import later, moment_text, recent, span_text, utc
from tocsin.settings.alerts import Over, Throttle
from tocsin_hooks.events import Event
from tocsin_hooks.filters.labels import text_of, value_of
from tocsin_hooks.text import whole


@dataclass(frozen=True, slots=True)
class ThrottleMemory:
    """What one key of a throttle remembers."""

    sent: tuple[datetime, ...] = ()
    """When messages left, oldest first: as many as the limit at most."""
    cut: int = 0
    """Messages cut and not yet told of."""
    first_cut_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether a message may leave."""

    memory: ThrottleMemory
    allowed: bool
    reason: str
    ask_again_at: datetime | None = None
    """When `summarise` is due; it may be the very moment of asking. None: nothing waits to be summed up."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the message that stands for the cut ones says. With a `count` of 0 there is none to send."""

    memory: ThrottleMemory
    count: int
    reason: str
    ask_again_at: datetime | None = None


def ask(memory: ThrottleMemory | None, throttle: Throttle, now: datetime) -> Asked:
    """Whether a message may leave at `now`: at most `limit` leave in any span of the length `within`.

    One that leaves exactly `within` after another is not in one span with it. Where what was cut is to be summed up,
    the first free slot is kept for that.

    >>> from datetime import UTC, timedelta
    >>> twice = Throttle(limit=1, within=timedelta(minutes=30), over=Over.SUMMARY)
    >>> first = ask(None, twice, datetime(2026, 1, 1, 12, 0, tzinfo=UTC))
    >>> second = ask(first.memory, twice, datetime(2026, 1, 1, 12, 10, tzinfo=UTC))
    >>> first.reason, second.reason
    ('message 1 of 1 in the last 30m', '1 message in the last 30m, the limit; the next slot is free at 12:30:00 UTC')
    """
    now = utc(now)
    memory = _current(memory, throttle, now)
    owed = throttle.over is Over.SUMMARY and memory.cut > 0
    allowed = len(memory.sent) + owed < throttle.limit
    after = _sending(memory, throttle, now) if allowed else _cutting(memory, now)
    free_at = _free_at(after, throttle, now)
    waits = throttle.over is Over.SUMMARY and after.cut > 0
    return Asked(after, allowed, _reason(memory, throttle, now, allowed), free_at if waits else None)


def summarise(memory: ThrottleMemory | None, throttle: Throttle, now: datetime) -> Summary:
    """Take the count of what was cut, if a slot is free for the message that tells of it."""
    now = utc(now)
    memory = _current(memory, throttle, now)
    if not memory.cut:
        return Summary(memory, 0, "nothing was cut")
    free_at = _free_at(memory, throttle, now)
    if free_at is None or free_at > now:
        return Summary(memory, 0, _full(memory, throttle, now), free_at)
    since = "" if memory.first_cut_at is None else f" since {moment_text(memory.first_cut_at, now)}"
    count = memory.cut
    return Summary(_sending(replace(memory, cut=0), throttle, now), count, f"{_messages(count)} cut{since}")


def is_spent(memory: ThrottleMemory, throttle: Throttle, now: datetime) -> bool:
    """Whether nothing is left in `memory` that still bears on a message: it may be forgotten."""
    owed = throttle.over is Over.SUMMARY and memory.cut > 0
    return not owed and not recent(memory.sent, utc(now), throttle.within)


def throttle_key(route: str, per: Sequence[str], event: Event) -> str:
    """Under which key the messages of `route` about `event` are counted: one for each value of the labels `per`.

    >>> from tocsin_hooks.testing import sample_event
    >>> throttle_key("pages", ["flow", "task"], sample_event())
    '["pages",{"flow":"etl","task":"load"}]'
    """
    values = {label: text_of(value_of(event, label)) for label in sorted(set(per))}
    return whole(json.dumps([route, values], ensure_ascii=False, separators=(",", ":")))


def _current(memory: ThrottleMemory | None, throttle: Throttle, now: datetime) -> ThrottleMemory:
    memory = memory or ThrottleMemory()
    return replace(memory, sent=recent(memory.sent, now, throttle.within))


def _sending(memory: ThrottleMemory, throttle: Throttle, now: datetime) -> ThrottleMemory:
    """The memory once a message leaves. What was cut under `drop` is over with it; a summary is still owed."""
    kept = (*memory.sent, now)[-max(throttle.limit, 1) :]
    if throttle.over is Over.SUMMARY and memory.cut:
        return replace(memory, sent=kept)
    return ThrottleMemory(kept)


def _cutting(memory: ThrottleMemory, now: datetime) -> ThrottleMemory:
    return replace(memory, cut=memory.cut + 1, first_cut_at=memory.first_cut_at or now)


def _free_at(memory: ThrottleMemory, throttle: Throttle, now: datetime) -> datetime | None:
    """When fewer than `limit` messages lie in the span; None: never."""
    if throttle.limit < 1:
        return None
    if len(memory.sent) < throttle.limit:
        return now
    return later(memory.sent[-throttle.limit], throttle.within)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _full(memory: ThrottleMemory, throttle: Throttle, now: datetime) -> str:
    free_at = _free_at(memory, throttle, now)
    when = "no slot is ever free" if free_at is None else f"the next slot is free at {moment_text(free_at, now)}"
    return f"{_messages(len(memory.sent))} in the last {span_text(throttle.within)}, the limit; {when}"


def _reason(memory: ThrottleMemory, throttle: Throttle, now: datetime, allowed: bool) -> str:
    within = span_text(throttle.within)
    if allowed:
        cut = f", after {memory.cut} cut" if memory.cut else ""
        return f"message {len(memory.sent) + 1} of {throttle.limit} in the last {within}{cut}"
    if len(memory.sent) < throttle.limit:
        return (
            f"{_messages(len(memory.sent))} of {throttle.limit} in the last {within}; "
            f"the last slot is kept for a summary of the {memory.cut} cut before"
        )
    return _full(memory, throttle, now)
