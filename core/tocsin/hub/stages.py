"""Whether an event may be told to a channel: one stage after another, each a decision with its reason.

A stage is given the case and the facts, and changes nothing. `STAGES` is the order in which they are asked; the first
that rules is the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tocsin.routing.flap import FlapStep
from tocsin.routing.open_after import Counted
from tocsin.routing.router import Target
from tocsin.routing.silences import Silence
from tocsin.settings.alerts import Inhibition, Then
from tocsin.store.records import Incident
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event

DROP, WAIT, DIGEST, NOTICE = "drop", "wait", "digest", "notice"


@dataclass(frozen=True, slots=True)
class Case:
    """An event on its way to one channel."""

    event: Event
    key: str
    """Of the incident; of an event that stands by itself its id."""
    target: Target
    incident: Incident | None = None
    """The open incident that the event is part of; None for an event that stands by itself."""
    opening: bool = False
    """Whether this event opened it."""
    held: bool = False
    """Whether it has waited for a source already."""
    resumed: bool = False
    """Whether what muted it has ended: then it is told at once, whatever its group waits for."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What hides an event: an inhibition, and the open incident that is its source."""

    inhibition: Inhibition
    source: Incident


@dataclass(frozen=True, slots=True)
class Ruling:
    """That an event is not told now, by which stage, and what becomes of it."""

    stage: str
    rule: str
    reason: str
    then: str = DROP
    """`drop`; `wait` for `until`, or for `ended_by` to end; `digest` at `until`; `notice`: something else is told."""
    until: datetime | None = None
    ended_by: str = ""


class Facts(Protocol):
    """What the stages may know."""

    @property
    def now(self) -> datetime:
        """The one time of this turn."""

    def hidden_by(self, case: Case) -> Hidden | None:
        """The open incident that hides the event from the channel."""

    def awaited(self, case: Case) -> Inhibition | None:
        """The inhibition whose source may yet come."""

    def silence(self, case: Case) -> tuple[Silence, datetime | None] | None:
        """The silence in force on the event, and when it ends; None: on recovery."""

    def window(self, case: Case) -> tuple[str, datetime | None] | None:
        """The window that is open and mutes the route, and when none of its windows is open any more."""

    def flap(self, case: Case) -> FlapStep | None:
        """Whether the incident is flapping."""

    def failures(self, case: Case) -> Counted | None:
        """Whether it has failed often enough to be told."""


Stage = Callable[[Case, Facts], Ruling | None]


def inhibit(case: Case, facts: Facts) -> Ruling | None:
    """Not while a problem further up is open that explains this one."""
    if (hidden := facts.hidden_by(case)) is not None:
        inhibition, source = hidden.inhibition, hidden.source
        what = "because of" if inhibition.builtin else "while it is open, by"
        reason = f"hidden {what} incident '{source.key}'" + (
            "" if inhibition.builtin else f" of source '{inhibition.source}'"
        )
        # a run's own failures explain each other: when the source recovers, in the next run, this one is history
        lasting = inhibition.builtin or "run_id" in inhibition.equal or case.incident is None
        return Ruling(
            "inhibit", inhibition.name, reason, DROP if lasting else WAIT, ended_by=f"inhibit:{source.number}"
        )
    if not case.held and (inhibition_ := facts.awaited(case)) is not None:
        until = facts.now + inhibition_.hold
        reason = f"waits {format_duration(inhibition_.hold.total_seconds())} for a source that may come"
        return Ruling("inhibit", inhibition_.name, reason, WAIT, until, "hold")
    return None


def silence(case: Case, facts: Facts) -> Ruling | None:
    """Not while somebody has silenced it."""
    found = facts.silence(case)
    if found is None:
        return None
    silence_, ends = found
    words = f": {silence_.comment}" if silence_.comment else ""
    until = "until it recovers" if ends is None else f"until {_at(ends)}"
    reason = f"silenced {until} by {silence_.created_by or 'somebody'}{words}"
    then = DROP if case.incident is None else WAIT
    return Ruling("silence", silence_.id, reason, then, ends, f"silence:{silence_.id}")


def window(case: Case, facts: Facts) -> Ruling | None:
    """Not while a window is open that mutes the route."""
    mute, found = case.target.options.mute, facts.window(case)
    if mute is None or found is None:
        return None
    name, closes = found
    until = "for good" if closes is None else f"until {_at(closes)}"
    then = {Then.DROP: DROP, Then.HOLD: WAIT, Then.DIGEST: DIGEST}[mute.then]
    words = {DROP: "dropped", WAIT: "held", DIGEST: "kept for a digest"}[then]
    return Ruling("window", name, f"window '{name}' is open {until}; {words}", then, closes, f"window:{name}")


def flap(case: Case, facts: Facts) -> Ruling | None:
    """Not while it flaps; the change that makes it flapping is told as that."""
    step = facts.flap(case)
    if step is None or step.verdict == "pass":
        return None
    return Ruling(
        "flap", case.target.route, step.reason, NOTICE if step.verdict == "starts" else DROP, step.calm_at, "flap"
    )


def open_after(case: Case, facts: Facts) -> Ruling | None:
    """Not before it has failed as often as the route asks."""
    counted = facts.failures(case)
    if counted is None or counted.reached:
        return None
    return Ruling("open_after", case.target.route, counted.reason)


STAGES: tuple[Stage, ...] = (inhibit, silence, window, flap, open_after)
"""What an event goes through between its route and its group, in this order."""


def rule(case: Case, facts: Facts) -> Ruling | None:
    """The ruling of the first stage that has one; None: the event may be told."""
    return next((ruling for stage in STAGES if (ruling := stage(case, facts)) is not None), None)


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
