"""What becomes of an event: which incident it belongs to, whom it is for, and what keeps it from being told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tocsin.hub import escalating, flapping, watching
from tocsin.hub.facts import SOURCE, StoredFacts, standing
from tocsin.hub.flush import flush
from tocsin.hub.groups import MEMBER, collect, place, write_member
from tocsin.hub.incidents import OWN, WATCH, ends_incident, incident_key
from tocsin.hub.muting import MUTED, Muted, mute
from tocsin.hub.recovery import recover
from tocsin.hub.rerouting import Rerouting, rerouted
from tocsin.hub.silencing import end, over_with
from tocsin.hub.stages import DIGEST, NOTICE, Case, rule
from tocsin.hub.turn import Result, Turn, join
from tocsin.routing.grouping import Member
from tocsin.routing.moments import utc
from tocsin.routing.router import DEFAULTS, Decision, Route, Target
from tocsin.settings.alerts import Mode
from tocsin.store.records import Incident
from tocsin_hooks.events import Event

_SKEW = timedelta(minutes=1)  # by which the clocks of two hosts may differ


@dataclass(frozen=True, slots=True)
class Taken:
    """How an event stands to the incident of its key."""

    incident: Incident | None
    opening: bool = False
    closing: bool = False


def take(
    turn: Turn,
    event: Event,
    extra: Sequence[Route] = (),
    targets: Sequence[Target] | None = None,
    moved: Rerouting | None = None,
) -> Result:
    """Decide what an event means and plan what follows. `extra` are routes from code, `moved` is what a plugin wants.

    With `targets` no route is asked: a watch says itself whom to tell.
    """
    policy, tx = turn.policy, turn.tx
    if (sequence := tx.sequence_of(event.id)) is not None:
        return Result(event.replace(sequence=sequence), known=True)
    decision = policy.router.decide(event, extra) if targets is None else Decision(tuple(targets), bool(targets))
    decision = rerouted(decision, moved, policy)
    key = incident_key(event, policy.key)
    before = tx.incident(key)
    problem = is_problem(turn, event, decision) or (before is not None and _goes_on(event, decision))
    closing = before is not None and _is_end(turn, event, before) and not _is_from_before(event, before)
    watched = watching.concerns(turn, event)
    if not (decision.matched or problem or closing or watched or policy.keep_all):
        return Result(event, kept=False)
    taken = Taken(before, closing=closing)
    if problem:
        incident = tx.put_incident(_with(before, event, key, decision.targets))
        taken = Taken(incident, opening=before is None)
    event = tx.add_event(event, None if taken.incident is None else taken.incident.number)
    turn.events[event.id] = event
    _note_routes(turn, event, decision, problem=problem)
    if watched:
        watching.take(turn, event)
    knowing: set[str] = set()
    if closing and before is not None:
        knowing = _close(turn, before, event)
    elif problem and taken.incident is not None:
        _stand_as_source(turn, event, taken.incident)
    facts = StoredFacts(turn, event)
    cases = [_case(event, key, target, taken, problem=problem) for target in decision.targets]
    for case in cases:
        facts.failures(case)  # counted whatever keeps it from being told
    for case in cases:
        if case.target.channel not in knowing:
            _offer_new(turn, case, facts)
    facts.keep(key)
    tell_all(turn)
    return turn.result(event)


def _is_end(turn: Turn, event: Event, incident: Incident) -> bool:
    """Whether an event ends an incident of its key: what has no state says nothing of what has one."""
    return (bool(event.state) or not incident.state) and ends_incident(event, turn.policy.router.opens)


def _is_from_before(event: Event, incident: Incident) -> bool:
    """Whether an event is of a time before the incident began, and only heard of now: it says nothing of it."""
    return utc(event.time) < incident.opened_at - _SKEW


def is_problem(turn: Turn, event: Event, decision: Decision) -> bool:
    """Whether an event opens, or goes on with, an incident."""
    if event.source in (WATCH, OWN):
        return not ends_incident(event)
    opens = turn.policy.router.opens
    return opens is not None and (turn.policy.tracks or bool(decision.targets)) and opens.matches(event)


def _goes_on(event: Event, decision: Decision) -> bool:
    """Whether an event tells more of an incident that is open, though it is none that would open one."""
    failing = event.is_a("Retrying") or event.is_a("Failed")
    return failing and any(target.options.mode is Mode.INCIDENT for target in decision.targets)


def _with(incident: Incident | None, event: Event, key: str, targets: Iterable[Target]) -> Incident:
    failed = 0 if event.is_a("Retrying") else 1
    channels = {target.channel for target in targets}
    if incident is None:
        return Incident(
            key, utc(event.time), event=event.id, state=event.state, run_id=event.run_id, failures=failed,
            channels=tuple(sorted(channels)),
        )  # fmt: skip
    return replace(
        incident, event=event.id, state=event.state, failures=incident.failures + failed,
        channels=tuple(sorted(channels | set(incident.channels))),
    )  # fmt: skip


def _case(event: Event, key: str, target: Target, taken: Taken, *, problem: bool) -> Case:
    if problem and target.options.mode is Mode.INCIDENT:
        return Case(event, key, target, taken.incident, taken.opening)
    return Case(event, event.id, target)


def _note_routes(turn: Turn, event: Event, decision: Decision, *, problem: bool) -> None:
    for target in decision.targets:
        turn.note("route", "passes", "claims the event", route=target.route, channel=target.channel, rule=target.route)
    for target in decision.stopped:
        reason = "a route of the config stops, and the code respects that"
        turn.suppress(event.id, "route", reason, rule=target.route, route=target.route, channel=target.channel)
    for target in decision.kept_back:
        reason = f"plugin '{decision.plugin}' keeps it back"
        turn.suppress(event.id, "plugin", reason, rule=decision.plugin, route=target.route, channel=target.channel)
    for route in decision.nowhere:
        turn.suppress(event.id, "route", "the route sends nowhere, on purpose", rule=route, route=route)
    if problem and not decision.matched:
        reason = "no route claims it, and [defaults] sends nowhere"
        turn.suppress(event.id, "route", reason, rule=DEFAULTS, route=DEFAULTS)


def _stand_as_source(turn: Turn, event: Event, incident: Incident) -> None:
    """Let an incident hide what its newest event is the source of, and nothing else."""
    before = {cell.key: cell for cell in turn.tx.cells(SOURCE, subject=incident.key)}
    after = set()
    for cell in standing(turn.policy.inhibitors, event, incident):
        after.add(cell.key)
        if before.get(cell.key) != cell:  # most failures are the source of what the one before was
            turn.tx.put(cell)
    for key in before.keys() - after:
        turn.tx.drop(SOURCE, key)
    if before.keys() - after:
        _speak_after(turn, incident)


def _close(turn: Turn, incident: Incident, event: Event) -> set[str]:
    """End an incident, and what ends with it. Returns the channels that know of it."""
    knowing = recover(turn, incident, event)
    _speak_after(turn, incident)
    for silence in over_with(turn, incident):
        end(turn, silence, by="recovery", resume=resume)
    return knowing


def _speak_after(turn: Turn, source: Incident) -> None:
    """Offer again what an incident has hidden, which it may hide no longer."""
    for cell in turn.tx.cells(MUTED, parent=f"inhibit:{source.number}"):
        resume(turn, cell.key)


# ---------------------------------------------------------------- through the stages


def offer(turn: Turn, case: Case, facts: StoredFacts) -> None:
    """Take an event through the stages on its way to one channel."""
    ruling = rule(case, facts)
    if ruling is None:
        place(turn, case)
        if case.held or case.incident is not None:  # else it is new
            turn.tx.drop(MUTED, join(case.target.route, case.target.channel, case.key))
        return
    mute(turn, case, ruling)
    if ruling.stage == "inhibit" and (hidden := facts.hidden_by(case)) is not None:
        _count_hidden(turn, case, hidden.source, mark=hidden.inhibition.mark)
    if ruling.then == DIGEST:
        collect(turn, case, ruling.until, window=ruling.rule)
    elif ruling.then == NOTICE:
        facts.keep(case.key)
        flapping.freeze(turn, case)
    elif ruling.stage == "flap":
        flapping.follow(turn, case)


def _offer_new(turn: Turn, case: Case, facts: StoredFacts) -> None:
    """Offer an event that happens now, unless it could only update a message that is not there."""
    options = case.target.options
    if case.incident is None and options.silent and options.mode is Mode.INCIDENT:
        reason = "the route only updates an open message, and the event belongs to no incident"
        route = case.target.route
        turn.suppress(case.event.id, "silent", reason, rule=route, route=route, channel=case.target.channel)
    else:
        offer(turn, case, facts)


def _count_hidden(turn: Turn, case: Case, source: Incident, *, mark: bool) -> None:
    current, counted = turn.incident(source.number), (source.key, case.event.id)
    goes_on = case.incident is not None and case.incident.opened_at != utc(case.event.time)
    if current is None or goes_on or counted in turn.hidden:
        return  # a problem counts once, however many channels would hear of it, and however often it fails
    turn.hidden.add(counted)
    turn.tx.put_incident(replace(current, hides=current.hides + 1))
    for member in turn.memories(Member, MEMBER, subject=source.key):
        write_member(turn, replace(member, hides=current.hides + 1))
        if mark:
            flapping.mark_later(turn, member.group)


def resume(turn: Turn, key: str) -> None:
    """Offer again what waited for the end of what muted it, as it is now; nothing, if it is over by now."""
    muted = turn.memory(Muted, MUTED, key)
    turn.tx.drop(MUTED, key)
    if muted is None:
        return
    options = turn.policy.options(muted.route)
    target = Target(muted.channel, muted.route, muted.template, options)
    if not muted.is_incident:
        event = turn.event(muted.event)
        if event is not None:
            facts = StoredFacts(turn, event)
            offer(turn, Case(event, muted.key, target, held=True, resumed=not muted.held), facts)
        return
    incident = turn.tx.incident(muted.key)
    event = None if incident is None else turn.event(incident.event)
    if incident is None or event is None:
        return
    facts = StoredFacts(turn, event)
    offer(turn, Case(event, muted.key, target, incident, held=True, resumed=not muted.held), facts)
    facts.keep(muted.key)


def tell_all(turn: Turn, *, timed: bool = False) -> None:
    """Tell every group whose time is now."""
    while turn.flush or turn.escalate or turn.alarms:
        keys, turn.flush = list(dict.fromkeys(turn.flush)), []
        for key in keys:
            flush(turn, key, timed=timed)
        running, turn.escalate = list(dict.fromkeys(turn.escalate)), []
        for key in running:
            escalating.look(turn, key)
        alarms, turn.alarms = turn.alarms, []
        for alarm, targets in alarms:
            take(turn, alarm, targets=targets)
