"""Whom an escalation tells next, and when, while a problem stays open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tocsin.routing.moments import later, moment_text, span_text, utc
from tocsin.settings.alerts import Escalation, EscalationStep


@dataclass(frozen=True, slots=True)
class EscalationMemory:
    """How far the escalation of one incident has come. Whoever keeps it forgets it when the incident recovers."""

    started_at: datetime
    """When the first message left, or the last acknowledgement lapsed."""
    round_at: datetime
    """From when the steps of the present round are counted."""
    round: int = 1
    """The number of the present round. It grows through lapses too, so that no (round, step) is ever sent twice."""
    repeats: int = 0
    """Rounds gone by since `started_at`."""
    step: int = 0
    """Index of the next step of this round."""
    acked_at: datetime | None = None
    acked_by: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """One message to several channels. `step`, one of `of`, and `round` are counted from 1."""

    channels: tuple[str, ...]
    say: str
    step: int
    of: int
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """Where an escalation stands. A `memory` of None: it is over."""

    memory: EscalationMemory | None
    sends: tuple[Send, ...] = ()
    skipped: tuple[str, ...] = ()
    """Why steps that were due told nobody."""
    next_at: datetime | None = None
    """When to call `advance` again; None: nothing is going to happen by itself."""
    reason: str = ""
    lapsed: bool = False
    """Whether the acknowledgement ended by this: the incident has none any more."""


def start(escalation: Escalation, now: datetime) -> Advanced:
    """Begin with the first message of an incident. Nobody is told before `advance` is called at `next_at`.

    >>> from datetime import UTC, timedelta
    >>> oncall = Escalation("oncall", (EscalationStep(timedelta(minutes=15), ("phone",), "not acked"),))
    >>> begun = start(oncall, datetime(2026, 1, 1, 12, tzinfo=UTC))
    >>> begun.reason
    "escalation 'oncall': step 1 of 1 is due at 12:15:00 UTC"
    >>> told = advance(begun.memory, oncall, acked=False, window_open=None, now=begun.next_at)
    >>> told.sends[0].channels, told.memory
    (('phone',), None)
    """
    now = utc(now)
    return _standing(EscalationMemory(now, now), escalation, now)


def advance(
    memory: EscalationMemory, escalation: Escalation, *, acked: bool, window_open: bool | None, now: datetime
) -> Advanced:
    """Take all steps that are due by `now`.

    Where several are due, after an outage, each of their channels is told once, with the last thing they say.
    `acked` is whether the incident is acknowledged; `window_open` whether the escalation's window is, None if it has
    none. While acknowledged no further round begins. An acknowledgement that lapsed counts no more: the first step is
    next.
    """
    now = utc(now)
    fresh = acked and memory.acked_at is None
    memory = _acknowledged(memory, acked, now)
    lapse = lapsed(memory, escalation, memory.acked_at, now)
    if lapse is not None and lapse.memory is not None:
        memory, acked = lapse.memory, False
    memory, taken, skipped = _take(memory, escalation, acked, now)
    sends, silent = _sends(taken, escalation, window_open, now)
    skipped = (*skipped, *silent, *(_slept_through(memory, escalation) if fresh else ()))
    standing = _standing(memory, escalation, now)
    reasons = (lapse.reason if lapse else "", *(send.reason for send in sends), standing.reason)
    return replace(
        standing,
        sends=sends,
        skipped=skipped,
        reason="; ".join(reason for reason in reasons if reason),
        lapsed=lapse is not None,
    )


def acknowledge(memory: EscalationMemory, escalation: Escalation, *, by: str, now: datetime) -> Advanced:
    """Take note that `by` acknowledged the incident at `now`; once more is as good as the first time."""
    now = utc(now)
    memory = replace(memory, acked_at=now, acked_by=by)
    return replace(_standing(memory, escalation, now), skipped=_slept_through(memory, escalation))


def lapsed(
    memory: EscalationMemory, escalation: Escalation, acked_at: datetime | None, now: datetime
) -> Advanced | None:
    """The escalation anew if the acknowledgement of `acked_at` has lapsed by `now`, else None.

    It counts from the moment of the lapse. `advance` asks this by itself.
    """
    if acked_at is None or escalation.ack_lasts is None:
        return None
    ended_at, now = later(utc(acked_at), escalation.ack_lasts), utc(now)
    if now < ended_at:
        return None
    unused = memory.step == 0  # nothing was sent under the number of this round
    anew = EscalationMemory(ended_at, ended_at, memory.round if unused else memory.round + 1)
    of = f" of {memory.acked_by}" if memory.acked_by else ""
    reason = f"the acknowledgement{of} lapsed after {span_text(escalation.ack_lasts)}"
    return replace(_standing(anew, escalation, now), reason=reason, lapsed=True)


def _acknowledged(memory: EscalationMemory, acked: bool, now: datetime) -> EscalationMemory:
    if not acked:
        return replace(memory, acked_at=None, acked_by="")
    return memory if memory.acked_at is not None else replace(memory, acked_at=now)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step that is due, with its round and its place from 1."""

    step: EscalationStep
    number: int
    round: int


def _take(
    memory: EscalationMemory, escalation: Escalation, acked: bool, now: datetime
) -> tuple[EscalationMemory, tuple[_Taken, ...], tuple[str, ...]]:
    """The steps that are due and whose condition holds, and why others are skipped; with the memory after them."""
    taken: list[_Taken] = []
    skipped: dict[int, str] = {}  # by step: after a long outage one reason stands for the rounds before
    memory = _in_range(memory, escalation)
    while not (acked and _is_asleep(memory, escalation)):
        due = _due(memory, escalation)
        if due is None or due > now:
            break
        step, number = escalation.steps[memory.step], memory.step + 1
        if _holds(step.condition, acked):
            taken.append(_Taken(step, number, memory.round))
        else:
            skipped[number] = f"{_place(escalation, number, memory.round)} is skipped: {_state(memory)}"
        memory = _in_range(replace(memory, step=number), escalation)
    return memory, tuple(taken), tuple(skipped.values())


def _sends(
    taken: Sequence[_Taken], escalation: Escalation, window_open: bool | None, now: datetime
) -> tuple[tuple[Send, ...], tuple[str, ...]]:
    """One message for all steps taken, or why there is none."""
    if not taken:
        return (), ()
    outside = window_open is False and escalation.outside_window is not None
    last = taken[-1]
    named = escalation.outside_send if outside else (channel for due in taken for channel in due.step.send)
    channels = tuple(dict.fromkeys(named))
    where = f", outside the window '{escalation.outside_window}'" if outside else ""
    place = _place(escalation, last.number, last.round)
    if not channels:
        return (), (f"{place} tells nobody{where}",)
    say = next((due.step.say for due in reversed(taken) if due.step.say), "")
    reason = f"{place}{where}"
    if len(taken) > 1:
        reason += f", for {len(taken)} steps that were due by {moment_text(now, now)}"
    return (Send(channels, say, last.number, len(escalation.steps), last.round, reason),), ()


def _standing(memory: EscalationMemory, escalation: Escalation, now: datetime) -> Advanced:
    """What happens next, from `memory` alone."""
    memory = _in_range(memory, escalation)
    due = _due(memory, escalation)
    if due is None and escalation.ack_lasts is None:
        return Advanced(None, reason=f"escalation '{escalation.name}' is over")
    if memory.acked_at is None:
        if due is None:
            return Advanced(memory, reason=f"escalation '{escalation.name}' has no steps left")
        return Advanced(memory, next_at=due, reason=_next(memory, escalation, due, now))
    lapse_at = None if escalation.ack_lasts is None else later(memory.acked_at, escalation.ack_lasts)
    if due is not None and not _is_asleep(memory, escalation) and (lapse_at is None or due <= lapse_at):
        return Advanced(memory, next_at=due, reason=_next(memory, escalation, due, now))
    until = "" if lapse_at is None else f" until the acknowledgement lapses at {moment_text(lapse_at, now)}"
    return Advanced(memory, next_at=lapse_at, reason=f"escalation '{escalation.name}' sleeps{until}: {_state(memory)}")


def _in_range(memory: EscalationMemory, escalation: Escalation) -> EscalationMemory:
    """`memory` with the next round begun if this one has no step left: its first step is `every` after the last one."""
    steps, every = escalation.steps, escalation.repeat_every
    if not steps or memory.step < len(steps):
        return memory
    round_at = memory.round_at
    if every is not None:
        round_at = later(later(round_at, steps[-1].after), every - steps[0].after)
    return replace(memory, round_at=round_at, round=memory.round + 1, repeats=memory.repeats + 1, step=0)


def _due(memory: EscalationMemory, escalation: Escalation) -> datetime | None:
    """When the next step is due, acknowledged or not; None when there is none left."""
    rounds = 1 + (0 if escalation.repeat_every is None else escalation.repeat_times)
    if not escalation.steps or memory.repeats >= rounds:
        return None
    return later(memory.round_at, escalation.steps[memory.step].after)


def _is_asleep(memory: EscalationMemory, escalation: Escalation) -> bool:
    """Whether an acknowledgement leaves nothing to do in this round; further rounds do not begin under one."""
    if memory.repeats and memory.step == 0:
        return True
    return not any(_holds(step.condition, acked=True) for step in escalation.steps[memory.step :])


def _slept_through(memory: EscalationMemory, escalation: Escalation) -> tuple[str, ...]:
    """The steps of the present round that an acknowledgement keeps from being told, each with the reason."""
    if memory.acked_at is None or (memory.repeats and memory.step == 0) or not _is_asleep(memory, escalation):
        return ()
    numbers = range(memory.step + 1, len(escalation.steps) + 1)
    return tuple(f"{_place(escalation, number, memory.round)} is skipped: {_state(memory)}" for number in numbers)


def _holds(condition: str, acked: bool) -> bool:
    return {"acked": acked, "not acked": not acked}.get(condition, True)


def _place(escalation: Escalation, number: int, round_: int) -> str:
    again = f", round {round_}" if round_ > 1 else ""
    return f"escalation '{escalation.name}': step {number} of {len(escalation.steps)}{again}"


def _next(memory: EscalationMemory, escalation: Escalation, due: datetime, now: datetime) -> str:
    return f"{_place(escalation, memory.step + 1, memory.round)} is due at {moment_text(due, now)}"


def _state(memory: EscalationMemory) -> str:
    if memory.acked_at is None:
        return "not acknowledged"
    return f"acknowledged by {memory.acked_by}" if memory.acked_by else "acknowledged"
