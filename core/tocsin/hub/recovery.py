"""What becomes of an incident that is over: it is closed, and whoever was told of it is told so."""

from __future__ import annotations

from dataclasses import replace

from tocsin.hub import flapping
from tocsin.hub.facts import AFTER, SOURCE
from tocsin.hub.groups import DIGESTED, GROUP, MEMBER, Digested, collect, write_group, write_member
from tocsin.hub.muting import MUTED
from tocsin.hub.stages import Case
from tocsin.hub.turn import Turn, join
from tocsin.routing.grouping import Group, Kind, Member, due_after_recovery, recovery_wanted
from tocsin.routing.moments import utc
from tocsin.routing.router import Target
from tocsin.store.records import Incident, Planned
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Why


def recover(turn: Turn, incident: Incident, event: Event) -> set[str]:
    """End an incident: whoever was told of it is told that it is over. Returns the channels that know of it."""
    turn.tx.put_incident(replace(incident, closed_at=utc(event.time)))
    runs_known = bool(event.run_id and incident.run_id)
    in_run = event.run_id == incident.run_id if runs_known else not incident.failures
    how = "retry" if in_run else "next_run"
    for name in (SOURCE, AFTER):
        for cell in turn.tx.cells(name, subject=incident.key):
            turn.tx.drop(name, cell.key)
    for cell in turn.tx.cells(MUTED, subject=incident.key):
        turn.tx.drop(MUTED, cell.key)
        turn.note("dedup", "suppressed", "it was over before what muted it was", rule=cell.parent)
    flapping.recovers(turn, incident.key, event)
    knowing: set[str] = set()
    for before in turn.memories(Member, MEMBER, subject=incident.key):
        if before.recovered:
            continue  # it was another incident of this key, of which this one has told nothing there
        member = replace(before, recovered=how, event=event.id, at=utc(event.time), problem=before.event)
        knowing |= _hearing(turn, member)
        _recover_member(turn, member)
    return knowing | _recover_digested(turn, incident, event, how, knowing)


def _hearing(turn: Turn, member: Member) -> set[str]:
    """The channels that hear of the recovery of a member without being sent the event itself."""
    group = turn.memory(Group, GROUP, member.group)
    if group is not None and group.kind is Kind.DIGEST:
        return set(member.targets)

    def wanted(channel: str) -> bool:
        return recovery_wanted(turn.policy.options(member.targets[channel].route).recover, [member])

    return set(filter(wanted, member.told))


def _recover_member(turn: Turn, member: Member) -> None:
    write_member(turn, member)
    group, due_at = turn.memory(Group, GROUP, member.group), turn.tx.due(GROUP, member.group)
    if group is None or group.kind is Kind.DIGEST:
        return
    options = turn.policy.options(group.route).group if group.kind is Kind.GROUP else None
    if options is None:
        turn.flush.append(group.key)
        return
    if not member.told and group.first_flush is None and due_at is not None:
        others = turn.memories(Member, MEMBER, parent=group.key)
        if any(not m.recovered for m in others):
            return  # the rest of the group still waits for its first message
    members = turn.memories(Member, MEMBER, parent=group.key)
    due = due_after_recovery(group, members, options, due_at, turn.now)
    write_group(turn, group, due)
    if due <= turn.now:
        turn.flush.append(group.key)


def _recover_digested(turn: Turn, incident: Incident, event: Event, how: str, knowing: set[str]) -> set[str]:
    """Tell that something is over of which a digest told, but for `knowing` channels; the channels that hear of it."""
    channels = set()
    for cell, rest in zip(
        turn.tx.cells(DIGESTED, subject=incident.key),
        turn.memories(Digested, DIGESTED, subject=incident.key),
        strict=True,
    ):
        turn.tx.drop(DIGESTED, cell.key)
        if rest.channel in knowing:
            continue
        options = turn.policy.options(rest.to.route)
        if not options.recover.notice or how not in options.recover.on:
            reason = "recoveries of this sort are not told on this route"
            turn.suppress(event.id, "recover", reason, rule=rest.to.route, route=rest.to.route, channel=rest.channel)
            continue
        channels.add(rest.channel)
        if options.digest is None:  # it was the end of a window that told of it
            planned = Planned(
                rest.channel, rest.to.route, Action.RECOVER, rest.to.template, Why.ALL_RECOVERED,
                incident=rest.case_key, opened_at=rest.member.since,
            )  # fmt: skip
            turn.plan(event, planned, incident.number)
            continue
        target = Target(rest.channel, rest.to.route, rest.to.template, options)
        case = Case(event, rest.case_key, target, incident)
        collect(turn, case, turn.now + options.digest.every)
        key = join("digest", rest.to.route, "")
        member = turn.memory(Member, MEMBER, join(key, rest.case_key))
        if member is not None:
            state, text = rest.member.state, rest.member.text
            write_member(turn, replace(member, recovered=how, state=state, text=text))
    return channels
