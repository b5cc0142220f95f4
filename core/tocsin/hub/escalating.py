"""Escalations of open messages: begun with the first one, moved on by timers, put to sleep by an acknowledgement."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.hub.facts import StoredFacts
from tocsin.hub.groups import GROUP, MEMBER, items_of, write_group, write_member
from tocsin.hub.stages import Case, Ruling, silence, window
from tocsin.hub.turn import Turn, join
from tocsin.routing import escalation as steps
from tocsin.routing.escalation import EscalationMemory, Send
from tocsin.routing.grouping import Group, Log, Member, To, face_of, told
from tocsin.routing.router import Target
from tocsin.routing.windows import is_open
from tocsin.settings.alerts import Escalation
from tocsin.store.coding import load
from tocsin.store.records import Planned
from tocsin_hooks.messages import Action, Why

ESCALATION = "escalation"
"""The name of the documents."""


@dataclass(frozen=True, slots=True)
class Escalating:
    """How far the escalation of a group's message has come."""

    name: str
    group: str
    route: str
    memory: EscalationMemory


def start(turn: Turn, group: Group, route: str) -> None:
    """Begin the escalation that a route asks for, or wake the one under way; its steps are taken with `look`."""
    name = turn.policy.options(route).escalate
    escalation = None if name is None else turn.policy.escalations.get(name)
    if name is None or escalation is None:
        return
    running = _running(turn, group)
    key = next((key for key, doc in running.items() if doc.name == name), join(group.thread, name))
    turn.escalate.append(key)
    if key not in running:
        begun = steps.start(escalation, turn.now)
        if begun.memory is not None:
            doc = Escalating(name, group.key, route, begun.memory)
            turn.remember(ESCALATION, key, doc, due=begun.next_at, parent=group.key)


def _running(turn: Turn, group: Group) -> dict[str, Escalating]:
    """The escalations of a group, one for each that its routes ask for, by the keys of their documents."""
    return {cell.key: load(Escalating, cell.body) for cell in turn.tx.cells(ESCALATION, parent=group.key)}


def stop(turn: Turn, group: Group) -> None:
    """End the escalations of a group: it is over."""
    for key in _running(turn, group):
        turn.tx.drop(ESCALATION, key)


def look(turn: Turn, key: str) -> None:
    """Take the steps that are due."""
    doc = turn.memory(Escalating, ESCALATION, key)
    if doc is None:
        return
    group, escalation = turn.memory(Group, GROUP, doc.group), turn.policy.escalations.get(doc.name)
    members = turn.memories(Member, MEMBER, parent=doc.group)
    firing = [m for m in members if not m.recovered]
    if group is None or escalation is None or not firing:
        turn.tx.drop(ESCALATION, key)
        return
    if _is_held_up(turn, key, doc, firing):
        return
    acked = all(m.acked_by for m in firing)
    advanced = steps.advance(
        doc.memory, escalation, acked=acked, window_open=_window_open(turn, escalation), now=turn.now
    )
    if advanced.lapsed:
        firing = [_unacknowledged(turn, member) for member in firing]
    for send in advanced.sends:
        _send(turn, group, firing, doc, send)
    for reason in advanced.skipped:
        turn.suppress(_newest(firing).event, "escalation", reason, rule=doc.name, route=doc.route)
    if advanced.memory is None:
        turn.tx.drop(ESCALATION, key)
    else:
        doc = replace(doc, memory=advanced.memory)
        turn.remember(ESCALATION, key, doc, due=advanced.next_at, parent=doc.group)


def acknowledged(turn: Turn, group: Group, by: str) -> None:
    """Put the escalations of a group to sleep once all that is wrong in it is acknowledged."""
    if not all(m.acked_by for m in turn.memories(Member, MEMBER, parent=group.key) if not m.recovered):
        return
    for key, doc in _running(turn, group).items():
        if (escalation := turn.policy.escalations.get(doc.name)) is not None:
            _sleep(turn, key, doc, escalation, by)


def _sleep(turn: Turn, key: str, doc: Escalating, escalation: Escalation, by: str) -> None:
    advanced = steps.acknowledge(doc.memory, escalation, by=by, now=turn.now)
    for reason in advanced.skipped:
        turn.note("escalation", "suppressed", reason, route=doc.route, rule=doc.name)
    if advanced.memory is None:
        turn.tx.drop(ESCALATION, key)
    else:
        doc = replace(doc, memory=advanced.memory)
        turn.remember(ESCALATION, key, doc, due=advanced.next_at, parent=doc.group)


def _is_held_up(turn: Turn, key: str, doc: Escalating, firing: list[Member]) -> bool:
    """Whether all that is wrong is silenced or muted by now: steps that are due are taken when it no longer is."""
    cell = turn.tx.cell(ESCALATION, key)
    if cell is None or (cell.due_at is not None and turn.now < cell.due_at):
        return False
    rulings = [_muted(turn, doc, member) for member in firing]
    held = [ruling for ruling in rulings if ruling is not None]
    if len(held) < len(firing):
        return False
    until = min((ruling.until for ruling in held if ruling.until is not None), default=None)
    turn.remember(ESCALATION, key, doc, due=until, parent=doc.group)
    turn.suppress(firing[0].event, held[0].stage, held[0].reason, rule=held[0].rule, route=doc.route, verdict="waits")
    return True


def _muted(turn: Turn, doc: Escalating, member: Member) -> Ruling | None:
    event, incident = turn.event(member.event), turn.incident(member.number)
    if event is None or incident is None:
        return None
    target = Target("", doc.route, options=turn.policy.options(doc.route))
    case, facts = Case(event, member.key, target, incident), StoredFacts(turn, event)
    return silence(case, facts) or window(case, facts)


def _window_open(turn: Turn, escalation: Escalation) -> bool | None:
    window = turn.policy.windows.get(escalation.outside_window or "")
    return None if window is None else is_open(window, turn.now)


def _unacknowledged(turn: Turn, member: Member) -> Member:
    incident = turn.incident(member.number)
    if incident is not None:
        turn.tx.put_incident(replace(incident, acked_at=None, acked_by=""))
    member = replace(member, acked_by="")
    write_member(turn, member)
    return member


def _send(turn: Turn, group: Group, firing: list[Member], doc: Escalating, send: Send) -> None:
    """Tell the channels of a step; one that hears of an incident in another group already is told there."""
    begun = f"escalation {doc.name} {group.thread} {doc.memory.started_at} {send.round}.{send.step}"
    for channel in send.channels:
        homes: dict[str, list[Member]] = {}
        for member in firing:
            home = _home(turn, member, channel)
            homes.setdefault(home.group, []).append(home)
        for key, members in homes.items():
            if (place := turn.memory(Group, GROUP, key)) is not None:
                _tell(turn, place, members, doc, send, channel, begun)


def _home(turn: Turn, member: Member, channel: str) -> Member:
    """The incident as a member of the group in which the channel hears of it; of its own, if it has not yet heard.

    The pages of two escalations, and the recovery, belong to one thread.
    """
    known = [m for m in turn.memories(Member, MEMBER, subject=member.key) if m.number == member.number]
    own = next((m for m in known if m.group == member.group), member)
    others = (m for m in known if channel in m.told and not m.recovered)
    return own if channel in own.told else next(others, own)


def _tell(
    turn: Turn, group: Group, members: list[Member], doc: Escalating, send: Send, channel: str, begun: str
) -> None:
    """Tell a channel of members of a group, unless it is told at this very moment anyway.

    One that only hears of the group by this hears of its recovery, too.
    """
    log, own = group.channels.get(channel), [m for m in members if channel in m.told]
    if log is not None and log.sent_at == turn.now and own:
        reason = f"{send.reason}: the channel is told of it at this very moment anyway"
        turn.suppress(_newest(own).event, "escalation", reason, rule=doc.name, route=doc.route, channel=channel)
        members = [m for m in members if m not in own]
    newest = _newest(members) if members else None
    event = None if newest is None else turn.event(newest.event)
    if newest is None or event is None:
        return
    planned = Planned(
        channel, doc.route, Action.REPEAT if own else Action.OPEN, reason=Why.ESCALATION, thread=group.thread,
        incident=group.name, opened_at=min(m.since for m in members), nonce=begun, group=group.labels,
        events=tuple(m.event for m in members), items=items_of(members), count=len(members), say=send.say,
        hides=max(m.hides for m in members),
    )  # fmt: skip
    if not turn.plan(event, planned, newest.number):
        return
    extra = log.extra if log is not None else not own
    log = Log(turn.now, 1 if log is None else log.count + 1, extra)
    group = replace(group, channels={**group.channels, channel: log})
    write_group(turn, group, turn.tx.due(GROUP, group.key))
    for member in members:
        write_member(turn, _told(group, member, channel, doc.route))


def _newest(members: list[Member]) -> Member:
    return max(members, key=lambda m: (m.at, m.key))


def _told(group: Group, member: Member, channel: str, route: str) -> Member:
    to = To(route, face=face_of(group.kind, member.event, member.state))
    return told(replace(member, targets={channel: to, **member.targets}), channel)
