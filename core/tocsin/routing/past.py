"""What a group remembers of those of its members that are over, for its last message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tocsin.routing.grouping import RECOVERED, Group, Member, Past, Telling
from tocsin_hooks.messages import Action

MOST_PAST = 200
"""How many members that are over a group remembers."""


def with_past(group: Group, member: Member) -> Group:
    """The group, remembering a member that is over and was told of."""
    if not member.told:
        return group
    over = Past(
        member.key, member.event, member.at, member.since, member.subject, member.state, member.text,
        member.recovered, tuple(member.told),
    )  # fmt: skip
    past = (*without_past(group, member.key).past, over)
    forgotten = dict(group.forgotten)
    for oldest in past[:-MOST_PAST]:
        forgotten |= {channel: forgotten.get(channel, 0) + 1 for channel in oldest.channels}
    return replace(group, past=past[-MOST_PAST:], forgotten=forgotten)


def without_past(group: Group, key: str) -> Group:
    """The group, remembering nothing of a member that is in it again."""
    left = tuple(over for over in group.past if over.key != key)
    return group if len(left) == len(group.past) else replace(group, past=left)


def told_before(group: Group, members: Iterable[Member], telling: Telling, channel: str) -> tuple[Member | Past, ...]:
    """Beside those of the last message: what else the channel was told of and knows to be over, the newest first."""
    if telling.action is not Action.RECOVER:
        return ()
    knows = [m for m in members if m.told.get(channel) == RECOVERED and m not in telling.members]
    return (*knows, *(over for over in reversed(group.past) if channel in over.channels))
