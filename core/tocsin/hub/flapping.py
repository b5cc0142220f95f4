"""What flaps: the one notice, the quiet, and what is told when it is calm again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tocsin.hub.facts import FLAP
from tocsin.hub.groups import GROUP, MEMBER, home_of, join_group, write_group, write_member
from tocsin.hub.stages import Case
from tocsin.hub.turn import Turn, join
from tocsin.routing import flap
from tocsin.routing.flap import CalmVerdict, FlapMemory, FlapVerdict
from tocsin.routing.grouping import FLAPPING, Group, Log, Member
from tocsin.store.records import Planned
from tocsin_hooks.channels import Capability
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Why

MARK = "mark"
"""The name of the documents that say which groups have to show how many events they hide."""
_MARK_AFTER = timedelta(seconds=5)  # a burst of hidden events is told in one edit


def freeze(turn: Turn, case: Case) -> None:
    """Tell a channel that an incident is flapping, in place of the change that showed it, and then nothing more."""
    group = home_of(turn, case)
    member = join_group(turn, group, case)
    step = turn.memory(FlapMemory, FLAP, join(case.target.route, case.key))
    count = 0 if step is None else step.count
    group, member = _notice(turn, group, member, case.target.channel, case.event, count)
    _write(turn, group, _frozen(member, case.target.route, [case.target.channel]))


def follow(turn: Turn, case: Case) -> None:
    """Take note of how a flapping incident goes on, which is told when it is calm."""
    group = home_of(turn, case)
    member = join_group(turn, group, case)
    _write(turn, group, _frozen(member, case.target.route, [case.target.channel]))


def recovers(turn: Turn, key: str, event: Event) -> None:
    """Count the recovery of an incident, and freeze it where that makes it flapping."""
    for cell in turn.tx.cells(FLAP, subject=key):
        option = turn.policy.options(cell.parent).flap
        if option is None:
            _thaw(turn, key, cell.parent)
            turn.tx.drop(FLAP, cell.key)
            continue
        step = flap.change(turn.memory(FlapMemory, FLAP, cell.key), option, opens=False, now=turn.now)
        turn.remember(
            FLAP, cell.key, step.memory, due=step.calm_at or turn.now + option.within, parent=cell.parent, subject=key
        )
        if step.verdict is FlapVerdict.PASS:
            continue
        turn.suppress(event.id, "flap", step.reason, rule=cell.parent, route=cell.parent)
        for member in turn.memories(Member, MEMBER, subject=key):
            mine = [channel for channel, to in member.targets.items() if to.route == cell.parent]
            group = turn.memory(Group, GROUP, member.group)
            if not mine or group is None:
                continue
            for channel in mine if step.verdict is FlapVerdict.STARTS else ():
                if channel in member.told:
                    group, member = _notice(turn, group, member, channel, event, step.memory.count)  # noqa: PLW2901
            _write(turn, group, _frozen(member, cell.parent, mine))


def _frozen(member: Member, route: str, channels: list[str]) -> Member:
    return replace(member, frozen={**member.frozen, **dict.fromkeys(channels, route)})


def _thaw(turn: Turn, key: str, route: str) -> None:
    """Let an incident that was flapping on a route be news again, and tell what it left behind."""
    for member in turn.memories(Member, MEMBER, subject=key):
        frozen = {channel: by for channel, by in member.frozen.items() if by != route}
        if frozen != member.frozen:
            write_member(turn, replace(member, frozen=frozen))
            turn.flush.append(member.group)


def _notice(turn: Turn, group: Group, member: Member, channel: str, event: Event, count: int) -> tuple[Group, Member]:
    to = member.targets[channel]
    option = turn.policy.options(to.route).flap
    log = group.channels.get(channel)
    planned = Planned(
        channel, to.route, Action.UPDATE if channel in member.told else Action.OPEN, to.template, Why.FLAPPING,
        group.thread, group.name, member.since, nonce="flapping", group=group.labels, count=count,
        within=None if option is None else option.within,
    )  # fmt: skip
    turn.plan(event, planned, member.number)
    log = Log(turn.now, 1 if log is None else log.count + 1)
    return (
        replace(group, channels={**group.channels, channel: log}),
        replace(member, told={**member.told, channel: FLAPPING}),
    )


def look(turn: Turn, key: str) -> None:
    """See whether a flapping is over: then what it left behind is told."""
    cell, memory = turn.tx.cell(FLAP, key), turn.memory(FlapMemory, FLAP, key)
    if cell is None or memory is None:
        return
    option = turn.policy.options(cell.parent).flap
    found = None if option is None else flap.calm(memory, option, turn.now)
    if found is not None and found.verdict is CalmVerdict.WAITS:
        turn.remember(FLAP, key, memory, due=found.calm_at, parent=cell.parent, subject=cell.subject)
        return
    if found is not None and found.verdict is CalmVerdict.IDLE and option is not None:
        if flap.is_spent(memory, option, turn.now):
            turn.tx.drop(FLAP, key)
        else:
            due = memory.changes[-1] + option.within if memory.changes else None
            turn.remember(FLAP, key, memory, due=due, parent=cell.parent, subject=cell.subject)
        return
    turn.tx.drop(FLAP, key)
    _thaw(turn, cell.subject, cell.parent)


def _write(turn: Turn, group: Group, member: Member) -> None:
    write_group(turn, group, turn.tx.due(GROUP, group.key))
    write_member(turn, member)


# ---------------------------------------------------------------- how many are hidden


def mark_later(turn: Turn, group: str) -> None:
    """Let the message of a group show, in a moment, how many events it hides."""
    if turn.tx.cell(MARK, group) is None:
        turn.remember(MARK, group, {}, due=turn.now + _MARK_AFTER)


def mark(turn: Turn, key: str) -> None:
    """Edit the message of a group to show how many events it hides, where the channel can edit."""
    turn.tx.drop(MARK, key)
    group = turn.memory(Group, GROUP, key)
    members = [m for m in turn.memories(Member, MEMBER, parent=key) if m.hides and not m.recovered]
    if group is None or not members:
        return
    newest = max(members, key=lambda m: (m.at, m.key))
    event = turn.event(newest.event)
    for channel, to in newest.targets.items():
        if event is None or channel not in newest.told or not turn.policy.can(channel, Capability.EDIT):
            continue
        planned = Planned(
            channel, to.route, Action.UPDATE, to.template, "hides", group.thread, group.name, newest.since,
            nonce=f"hides {newest.hides}", group=group.labels, silent=True, hides=newest.hides,
        )  # fmt: skip
        turn.plan(event, planned, newest.number)
