"""What is told together: who joins which group, and when it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tocsin.hub.stages import Case
from tocsin.hub.turn import Turn, join
from tocsin.routing.grouping import (
    Group,
    Kind,
    Member,
    Past,
    To,
    due_after_problem,
    face_of,
    next_tick,
)
from tocsin.routing.moments import utc
from tocsin.routing.past import without_past
from tocsin.routing.router import Target
from tocsin.routing.words import one_line, reason_of, subject_of
from tocsin.settings.alerts import Grouping
from tocsin.store.records import Incident, delivery_id
from tocsin_hooks.events import Event
from tocsin_hooks.filters.labels import text_of, value_of
from tocsin_hooks.messages import Item

GROUP, MEMBER, DIGESTED = "group", "member", "digested"
"""The names of the documents: groups, their members, and incidents that a digest has told of."""

AT_ONCE = Grouping(("*",), wait=timedelta(0), interval=timedelta(0), repeat=None)
"""How an incident is told that no `group` collects."""
_TEXT = 200  # characters of an item's text


@dataclass(frozen=True, slots=True)
class Digested:
    """An incident that a digest has told of, so that a later one tells that it is over."""

    case_key: str
    channel: str
    to: To
    member: Member


def place(turn: Turn, case: Case) -> None:
    """Put an event that may be told where it is told: its incident's group, a digest, or a message of its own."""
    target, digest = case.target, case.target.options.digest
    if digest is not None and not (digest.urgent is not None and digest.urgent.matches(case.event)):
        until = turn.now + digest.every
        collect(turn, case, until)
        return
    if case.incident is None:
        _place_event(turn, case)
        return
    group = without_past(_named(home_of(turn, case), target.channel), case.key)
    write_member(turn, join_group(turn, group, case))
    _schedule(turn, group, case)
    turn.note("group", "passes", _words(group), route=target.route, channel=target.channel, rule=group.name)


def _named(group: Group, channel: str) -> Group:
    """The group, told to a channel that a route names: it hears more than an escalation tells."""
    log = group.channels.get(channel)
    if log is None or not log.extra:
        return group
    return replace(group, channels={**group.channels, channel: replace(log, extra=False)})


def join_group(turn: Turn, group: Group, case: Case) -> Member:
    """The member that an event makes of its incident. If an earlier one is over by then, untold, that is kept."""
    member = turn.memory(Member, MEMBER, join(group.key, case.key))
    if member is not None and member.recovered:
        suppress_untold(turn, group, member)
    return joined(group, member, case)


def suppress_untold(turn: Turn, group: Group, member: Member) -> None:
    """Keep which channels were not told of a member that is over."""
    if channels := [channel for channel in member.targets if channel not in member.told]:
        turn.suppress(
            member.problem or member.event, "dedup", "it was over before it was told", rule=group.name,
            route=group.route, channel=", ".join(channels),
        )  # fmt: skip


def collect(turn: Turn, case: Case, until: datetime | None, window: str = "") -> None:
    """Put an event into the digest of its route, or of the window that mutes it, which leaves at `until`."""
    key = join("digest", case.target.route, window)
    before = turn.tx.due(GROUP, key)
    group = turn.memory(Group, GROUP, key) or Group(
        key, Kind.DIGEST, case.target.route, delivery_id(case.event.id, key), f"digest of {case.target.route}",
        turn.now, window=window,
    )  # fmt: skip
    member = turn.memory(Member, MEMBER, join(key, case.key))
    if member is not None and member.recovered:
        _suppress_overtaken(turn, group, member)
    write_member(turn, joined(group, member, case))
    due = until if before is None else before
    write_group(turn, group, due)
    digest = case.target.options.digest
    turn.note("group", "collected", f"leaves with a digest at {due:%Y-%m-%d %H:%M:%S} UTC" if due else "collected",
              route=case.target.route, channel=case.target.channel)  # fmt: skip
    if digest is not None and not window and len(turn.tx.cells(MEMBER, parent=key)) >= digest.max:
        turn.flush.append(key)


def _suppress_overtaken(turn: Turn, digest: Group, member: Member) -> None:
    """Keep that a digest will not tell of a problem that was over when the same began anew: it tells of the newest."""
    reason, channel = "it failed again before the digest left, which tells of that", ", ".join(member.targets)
    for event in filter(None, (member.problem, member.event)):
        turn.suppress(event, "dedup", reason, rule=digest.name, route=digest.route, channel=channel)


def _place_event(turn: Turn, case: Case) -> None:
    options = case.target.options.group
    key = join("events", case.target.route, *([case.event.id] if options is None else _values(case.event, options)))
    if options is None and not case.held:  # a group of its own, for an event that was not there before
        turn.tx.none_yet(GROUP, key, below=MEMBER)
        turn.tx.none_yet(MEMBER, join(key, case.key))
    group = turn.memory(Group, GROUP, key) or Group(
        key, Kind.EVENTS, case.target.route, delivery_id(case.event.id, key), case.target.route, turn.now,
        {} if options is None else labels_of(case.event, options),
    )  # fmt: skip
    write_member(turn, joined(group, turn.memory(Member, MEMBER, join(key, case.key)), case))
    _schedule(turn, group, case)


def home_of(turn: Turn, case: Case) -> Group:
    """The group in which the channel was told of this incident before, by whichever route; else that of the route."""
    assert case.incident is not None, "asked only for what belongs to an incident"
    for member in turn.memories(Member, MEMBER, subject=case.key):
        if case.target.channel in member.told and (group := turn.memory(Group, GROUP, member.group)) is not None:
            return group
    return _group_of_incident(turn, case, case.incident)


def _group_of_incident(turn: Turn, case: Case, incident: Incident) -> Group:
    options = case.target.options.group
    if options is None:
        key = join("single", case.key)
        return turn.memory(Group, GROUP, key) or Group(
            key, Kind.SINGLE, case.target.route, f"i{incident.number}", case.key, incident.opened_at
        )
    labels = labels_of(case.event, options)
    apart = [case.key] if options.by == ("*",) else []
    key = join("group", case.target.route, *_values(case.event, options), *apart)
    return turn.memory(Group, GROUP, key) or Group(
        key, Kind.GROUP, case.target.route, "g" + delivery_id(case.event.id, key), _name(case.target, labels, apart),
        turn.now, labels,
    )  # fmt: skip


def labels_of(event: Event, options: Grouping) -> dict[str, str]:
    """The labels by which a group is told from another, with the event's values."""
    names = ("project", "flow", "task", *sorted(event.labels)) if options.by == ("*",) else options.by
    return {name: text_of(value_of(event, name)) for name in names}


def _values(event: Event, options: Grouping) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(labels_of(event, options).items())]


def _name(target: Target, labels: dict[str, str], apart: list[str]) -> str:
    if apart:
        return apart[0]
    inside = ", ".join(f"{name}={value}" for name, value in labels.items() if value)
    return f"{target.route} {{{inside}}}"


def joined(group: Group, member: Member | None, case: Case) -> Member:
    """The member of a group that an event makes, or makes of the one that is there."""
    event, target = case.event, case.target
    seen = face_of(group.kind, event.id, event.state)
    to = To(target.route, target.template, target.options.silent and case.incident is not None, seen)
    at = utc(event.time)
    opened = at if case.incident is None else case.incident.opened_at
    fresh = Member(
        group.key, case.key, event.id, at, opened, subject_of(event), event.state,
        one_line(reason_of(event))[:_TEXT],
        number=None if case.incident is None else case.incident.number,
        targets={target.channel: to},
        hides=0 if case.incident is None else case.incident.hides,
        acked_by="" if case.incident is None else case.incident.acked_by,
    )  # fmt: skip
    if member is None:
        return fresh
    again = member.again if member.event == event.id else member.state == event.state and not member.recovered
    kept = {channel: to for channel, to in member.targets.items() if channel in member.told or not member.recovered}
    return replace(
        fresh,
        targets={**kept, **fresh.targets},
        told=member.told,
        cut=member.cut,
        frozen=member.frozen,
        since=member.since if not member.recovered else opened,
        again=again,
    )


def _schedule(turn: Turn, group: Group, case: Case) -> None:
    options = case.target.options.group if group.kind in (Kind.GROUP, Kind.EVENTS) else None
    before = turn.tx.due(GROUP, group.key)
    due = due_after_problem(group, options or AT_ONCE, before, utc(case.event.time), turn.now)
    due = turn.now if case.resumed else due
    write_group(turn, group, due)
    if due <= turn.now:
        turn.flush.append(group.key)


def _words(group: Group) -> str:
    match group.kind:
        case Kind.SINGLE:
            return "told by itself, at once"
        case _:
            return f"told with the group {group.name}"


def idle_until(group: Group, options: Grouping | None, now: datetime) -> datetime | None:
    """Until when a group without members is kept, so that its interval holds; None: not at all."""
    if options is None or not options.interval or group.first_flush is None:
        return None
    return next_tick(group.first_flush, options.interval, now)


MOST_ITEMS = 50
"""How many of a group's members a message carries; it says how many there are."""


def items_of(members: Sequence[Member | Past], *, at_least: int = 2) -> tuple[Item, ...]:
    """What a message shows of several members; of fewer than `at_least` nothing: the event says it all."""
    if len(members) < at_least:
        return ()
    return tuple(
        Item(m.subject, m.state, m.at.isoformat(), m.text, recovered=bool(m.recovered)) for m in members[:MOST_ITEMS]
    )


# ---------------------------------------------------------------- documents


def write_group(turn: Turn, group: Group, due: datetime | None) -> None:
    """Write a group, to be looked at again when it is due."""
    turn.remember(GROUP, group.key, group, due=due, subject=group.thread)


def write_member(turn: Turn, member: Member) -> None:
    """Write a member of a group."""
    turn.remember(MEMBER, join(member.group, member.key), member, parent=member.group, subject=member.key)


def drop_member(turn: Turn, member: Member) -> None:
    """Forget a member of a group."""
    turn.tx.drop(MEMBER, join(member.group, member.key))
