"""What each stage made of an event on its way to each channel, those that let it pass included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.hub.policy import Policy
from tocsin.hub.rehearsal import Rehearsal, Wait
from tocsin.hub.stages import STAGES
from tocsin.routing.trace import Step
from tocsin.routing.windows import covering
from tocsin.settings.alerts import Mode, RouteOptions

STAGE_NAMES = tuple(stage.__name__ for stage in STAGES)
"""The stages between a route and its group, in their order."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a stage made of an event, at a time. An empty `channel`: not on the way to one."""

    at: datetime
    step: Step


def told_stages(policy: Policy, found: Rehearsal) -> list[Told]:
    """All that the stages said: first at the time of the event, channel by channel, then later."""
    steps: list[Step] = []
    trace = [step for step in found.result.trace if step.stage != "route" or step.verdict != "passes"]
    waiting = [step for wait in found.waits for step in _waiting(wait)]
    offered = {step.channel: step.route for step in found.result.trace if step.stage == "route" and step.channel}
    for channel, route in offered.items():
        own = [step for step in trace if step.channel == channel]
        passing = [] if channel in found.knowing and found.step == "close" else _stages(policy, found, channel, route)
        ruled = {step.stage for step in passing if step.verdict != "passes"}
        steps += passing
        steps += _after(policy, found, [step for step in own if step.stage not in ruled])
        steps += [step for step in waiting if step.channel == channel]
    steps += _after(policy, found, [step for step in (*trace, *waiting) if step.channel not in offered])
    return [
        *(Told(found.at, step) for step in steps),
        *(Told(moment.at, step) for moment in found.later for step in moment.trace),
    ]


def _stages(policy: Policy, found: Rehearsal, channel: str, route: str) -> Iterator[Step] | list[Step]:
    """What the stages before the group said, up to the first that ruled."""
    options = policy.options(route)
    in_incident = found.step in ("open", "update") and options.mode is Mode.INCIDENT
    ruling = next((s for s in found.result.trace if s.channel == channel and s.stage in STAGE_NAMES), None)
    steps: list[Step] = []
    for stage in STAGE_NAMES:
        if ruling is not None and ruling.stage == stage:
            return [*steps, ruling]
        reason = _why_it_passes(stage, policy, options, found, in_incident=in_incident)
        steps.append(Step(stage, "passes", reason, route, channel))
    return steps


def _why_it_passes(stage: str, policy: Policy, options: RouteOptions, found: Rehearsal, *, in_incident: bool) -> str:
    match stage:
        case "inhibit":
            concerned = policy.inhibitors.targets(found.event)
            return "no open incident hides it" if concerned else "no inhibition is about such events"
        case "silence":
            return "no silence is in force on it" if found.silences else "no silence is about it"
        case "window":
            return _why_no_window(policy, options, found.at)
        case "flap":
            return _not_counted(options.flap, in_incident=in_incident) or "it is not flapping"
        case _:
            return _not_counted(options.open_after, in_incident=in_incident) or "it has failed often enough"


def _why_no_window(policy: Policy, options: RouteOptions, at: datetime) -> str:
    if options.mute is None:
        return "the route is muted in no window"
    opened = covering(policy.windows, options.mute.windows, at)
    names = ", ".join(f"'{name}'" for name in options.mute.windows)
    return f"none of its windows is open: {names}" if opened is None else f"window '{opened}' is open; this is urgent"


def _not_counted(option: object | None, *, in_incident: bool) -> str:
    if option is None:
        return "the route does not ask for it"
    return "" if in_incident else "it belongs to no incident here"


def _after(policy: Policy, found: Rehearsal, steps: Sequence[Step]) -> Iterator[Step]:
    """What was said from the group on, with the dedup and the throttle that let a message pass."""
    sent = {(each.planned.channel, each.planned.route): each.planned for each in found.result.sent}
    for step in steps:
        planned = sent.get((step.channel, step.route)) if step.stage == "plan" and step.verdict == "sent" else None
        if planned is not None:
            yield Step("dedup", "passes", str(planned.reason), step.route, step.channel)
            throttle = policy.options(step.route).throttle
            if throttle is not None:
                yield Step("throttle", "passes", "there is room for it", step.route, step.channel)
        yield step


def _waiting(wait: Wait) -> Iterator[Step]:
    """When more comes of it.

    >>> from datetime import UTC
    >>> wait = Wait("reminder", "etl", "all", ("ops",), datetime(2026, 3, 1, 16, tzinfo=UTC))
    >>> [step.reason for step in _waiting(wait)]
    ['a reminder is due at 2026-03-01 16:00:00 UTC if it is not over by then']
    """
    time = f"{wait.until:%Y-%m-%d %H:%M:%S} UTC"
    stage, verdict, reason = {
        "reminder": ("group", "notes", f"a reminder is due at {time} if it is not over by then"),
        "escalation": ("escalation", "notes", f"the next step of '{wait.name}' is due at {time}"),
    }.get(wait.kind, ("group", "waits", f"'{wait.name}' is told at {time}"))
    for channel in wait.channels or ("",):
        yield Step(stage, verdict, reason, wait.route, channel, rule=wait.name)
