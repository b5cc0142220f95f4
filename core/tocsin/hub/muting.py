"""What is not told now: kept with its reason, and waiting where there is something to wait for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.hub.facts import StoredFacts
from tocsin.hub.groups import collect, drop_member, write_group
from tocsin.hub.stages import DIGEST, WAIT, Case, Ruling, inhibit, silence, window
from tocsin.hub.turn import Turn, join
from tocsin.routing.grouping import Group, Member, face
from tocsin.routing.router import Target
from tocsin.routing.windows import all_closed_at, covering
from tocsin.settings.alerts import Then

MUTED = "muted"
"""The name of the documents of what waits for the end of what mutes it."""


@dataclass(frozen=True, slots=True)
class Muted:
    """An event that is not told to a channel until something ends."""

    event: str
    channel: str
    route: str
    template: str
    key: str
    stage: str
    rule: str
    is_incident: bool
    held: bool = False


def mute(turn: Turn, case: Case, ruling: Ruling) -> None:
    """Keep that an event is not told, and let it wait if there is something to wait for."""
    target = case.target
    turn.suppress(
        case.event.id, ruling.stage, ruling.reason, rule=ruling.rule, route=target.route, channel=target.channel,
        verdict="suppressed" if ruling.then == "drop" else "waits",
    )  # fmt: skip
    if ruling.then == WAIT:
        muted = Muted(
            case.event.id, target.channel, target.route, target.template, case.key, ruling.stage, ruling.rule,
            is_incident=case.incident is not None, held=ruling.ended_by == "hold",
        )  # fmt: skip
        key = join(target.route, target.channel, case.key)
        turn.remember(MUTED, key, muted, due=ruling.until, parent=ruling.ended_by, subject=case.key)


def muted_by_now(turn: Turn, members: Iterable[Member]) -> set[tuple[str, str]]:
    """The members, by channel, that have been muted since they joined; each waits for the end of what mutes it."""
    out = set()
    for member in members:
        event, incident = None if member.recovered else turn.event(member.event), turn.incident(member.number)
        if event is None or (member.number is not None and (incident is None or incident.closed_at is not None)):
            continue
        facts = StoredFacts(turn, event)
        for channel, to in member.targets.items():
            if channel in member.frozen:
                continue
            target = Target(channel, to.route, to.template, turn.policy.options(to.route))
            case = Case(event, member.key, target, incident, held=True)
            ruling = next((r for stage in (inhibit, silence, window) if (r := stage(case, facts)) is not None), None)
            if ruling is None:
                continue
            out.add((member.key, channel))
            mute(turn, case, ruling)
            if ruling.then == DIGEST and member.told.get(channel) != face(member, channel):
                collect(turn, case, ruling.until, window=ruling.rule)
    return out


def put_off(turn: Turn, digest: Group, members: Iterable[Member]) -> bool:
    """Whether a digest is not to leave now because a window is open that mutes its route."""
    mute, windows = turn.policy.options(digest.route).mute, turn.policy.windows
    if mute is None or digest.window or (name := covering(windows, mute.windows, turn.now)) is None:
        return False
    collected = list(members)
    events = [event for member in collected if (event := turn.event(member.event)) is not None]
    if mute.urgent is not None and any(mute.urgent.matches(event) for event in events):
        return False
    words = "the digest is dropped" if mute.then is Then.DROP else "the digest waits for its end"
    for member in collected:
        for event_id in dict.fromkeys(each for each in (member.problem, member.event) if each):
            turn.suppress(event_id, "window", f"window '{name}' is open; {words}", rule=name, route=digest.route)
    if mute.then is Then.DROP:
        for member in collected:
            drop_member(turn, member)
    write_group(turn, digest, all_closed_at(windows, mute.windows, turn.now))
    return True
