"""What a group tells its channels when its time has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tocsin.hub import escalating, throttling
from tocsin.hub.groups import (
    DIGESTED,
    GROUP,
    MEMBER,
    Digested,
    drop_member,
    idle_until,
    items_of,
    suppress_untold,
    write_group,
    write_member,
)
from tocsin.hub.muting import muted_by_now, put_off
from tocsin.hub.turn import Turn, join
from tocsin.routing.grouping import (
    RECOVERED,
    Group,
    Kind,
    Log,
    Member,
    Telling,
    dedup,
    is_over,
    recovery_wanted,
    repeat_due,
    told,
)
from tocsin.routing.past import told_before, with_past
from tocsin.store.records import Planned
from tocsin_hooks.channels import Capability
from tocsin_hooks.messages import Action, Why


def flush(turn: Turn, key: str, *, timed: bool = False) -> None:
    """Tell the channels of a group what is to be told now; `timed`: after a while, in which it may have been muted."""
    group = turn.memory(Group, GROUP, key)
    if group is None:
        return
    members = turn.memories(Member, MEMBER, parent=key)
    if group.kind in (Kind.EVENTS, Kind.DIGEST):
        if not (timed and group.kind is Kind.DIGEST and put_off(turn, group, members)):
            _tell_collected(turn, group, members, muted_by_now(turn, members) if timed else set())
        return
    options = turn.policy.options(group.route).group if group.kind is Kind.GROUP else None
    out = muted_by_now(turn, members) if timed and group.kind is Kind.GROUP else set()
    telling = _Telling(turn, group, {m.key: m for m in members})
    repeat = None if options is None else options.repeat
    channels = [*group.channels, *(channel for m in members for channel in m.targets)]
    for channel in dict.fromkeys(channels):  # in the order in which they were told, or the config names them
        settled = False
        while not settled:
            shown = [m for m in telling.members.values() if (m.key, channel) not in out]
            found = dedup(telling.group, shown, channel, repeat=repeat, now=turn.now)
            settled = isinstance(found, str) or telling.tell(channel, found)
        if isinstance(found, str):
            turn.note("dedup", "suppressed", found, route=group.route, channel=channel, rule=group.name)
    telling.finish({key for key, _ in out})


class _Telling:
    """The telling of one group: it changes as its channels are told."""

    def __init__(self, turn: Turn, group: Group, members: dict[str, Member]) -> None:
        self.turn = turn
        self.group = group
        self.members = members
        self._told_any = False

    def tell(self, channel: str, telling: Telling) -> bool:
        """Plan the delivery, unless something is against it even now; False: there may be other news to tell."""
        news = telling.news[0]
        target = news.targets[channel]
        withheld = self._withheld(channel, telling)
        if withheld is not None:
            stage, reason, settled = withheld
            for member in telling.news:
                self.turn.suppress(member.event, stage, reason, rule=target.route, route=target.route, channel=channel)
            if settled:
                self._pass_over(channel, telling)
            else:
                self._cut(channel, telling)
            self._log(channel, sent=stage == "throttle" and channel in self.group.channels)
            return not settled
        event = self.turn.event(news.event)
        if event is None:  # pruned: an incident open for longer than history is kept
            self.turn.note("plan", "suppressed", "its event is no longer in history", channel=channel)
            return True
        log = self.group.channels.get(channel)
        number = 1 if log is None else log.count + 1
        before = told_before(self.group, self.members.values(), telling, channel)
        several = (*telling.members, *before)
        count = len(several) + (self.group.forgotten.get(channel, 0) if telling.action is Action.RECOVER else 0)
        usual = self.group.kind is Kind.SINGLE and telling.action is not Action.REPEAT and telling.reason != Why.CALM
        planned = Planned(
            channel,
            target.route,
            telling.action,
            target.template,
            telling.reason,
            self.group.thread,
            self.group.name,
            min(m.since for m in several),
            nonce="" if usual else f"{self.group.thread} {number}",
            group=self.group.labels if self.group.kind is Kind.GROUP else {},
            events=tuple(dict.fromkeys(m.event for m in several)),
            items=items_of(several),
            count=count,
            recovered=sum(1 for m in telling.members if m.recovered) + count - len(telling.members),
            silent=telling.silent,
            hides=max(m.hides for m in telling.members),
            acknowledged_by=next((m.acked_by for m in telling.members if m.acked_by), ""),
        )
        if self.turn.plan(event, planned, news.number):
            self._mark(channel, telling)
            self._log(channel, sent=True)
            if telling.reason == RECOVERED:
                self.group = replace(self.group, last_recovery=self.turn.now)
            if telling.reason in (Why.FIRST, Why.NEW):
                escalating.start(self.turn, self.group, target.route)
        return True

    def _withheld(self, channel: str, telling: Telling) -> tuple[str, str, bool] | None:
        """The stage that is against it, why, and whether that settles it."""
        target = telling.news[0].targets[channel]
        options = self.turn.policy.options(target.route)
        if telling.action is Action.RECOVER or telling.reason == RECOVERED:
            if not recovery_wanted(options.recover, telling.news):
                return "recover", "recoveries of this sort are not told on this route", True
            return None
        if telling.silent and telling.action is Action.OPEN:
            return "silent", "the route only updates an open message, and there is none", False
        if telling.silent and not self.turn.policy.can(channel, Capability.EDIT):
            if target.silent:
                return "silent", "the route is silent, and the channel cannot edit its message", True
            return "dedup", f"it was told already, and acknowledged by {telling.news[0].acked_by}", True
        if options.throttle is not None:
            event = self.turn.event(telling.news[0].event)
            if event is not None and (reason := throttling.cut(self.turn, event, channel, target.route)) is not None:
                return "throttle", reason, False
        return None

    def _mark(self, channel: str, telling: Telling) -> None:
        for member in telling.members:
            self.members[member.key] = told(self.members[member.key], channel)

    def _cut(self, channel: str, telling: Telling) -> None:
        for member in telling.news:
            self.members[member.key] = replace(member, cut={**member.cut, channel: member.event})

    def _pass_over(self, channel: str, telling: Telling) -> None:
        """Let news be no news any more. A member of which the channel never heard is none of its business then."""
        for member in telling.news:
            if channel in member.told:
                self.members[member.key] = told(member, channel)
            else:
                targets = {name: to for name, to in member.targets.items() if name != channel}
                self.members[member.key] = replace(member, targets=targets)

    def _log(self, channel: str, *, sent: bool) -> None:
        if sent:
            before = self.group.channels.get(channel)
            log = Log(self.turn.now, 1 if before is None else before.count + 1, before is not None and before.extra)
            self.group = replace(self.group, channels={**self.group.channels, channel: log})
        first = self.group.first_flush or self.turn.now
        self.group = replace(self.group, first_flush=first, last_flush=self.turn.now)

    def finish(self, out: Iterable[str]) -> None:
        """Forget what is over, and say when to look again."""
        turn, away = self.turn, set(out)
        for member in list(self.members.values()):
            if is_over(member) or (member.recovered and not member.told and not member.frozen):
                drop_member(turn, member)
                del self.members[member.key]
                self.group = with_past(self.group, member)
                suppress_untold(turn, self.group, member)
            else:
                write_member(turn, member)
        if not self.members:
            escalating.stop(turn, self.group)
            turn.tx.drop(GROUP, self.group.key)
            return
        options = turn.policy.options(self.group.route).group if self.group.kind is Kind.GROUP else None
        here = [m for m in self.members.values() if m.key not in away]
        write_group(turn, self.group, repeat_due(self.group, here, None if options is None else options.repeat))


# ---------------------------------------------------------------- digests and collected events


def _tell_collected(turn: Turn, group: Group, members: list[Member], out: set[tuple[str, str]]) -> None:
    options = turn.policy.options(group.route)
    if not members:
        turn.tx.drop(GROUP, group.key)
        return
    is_digest = group.kind is Kind.DIGEST
    ordered = sorted(members, key=lambda m: (m.at, m.key), reverse=True)
    for channel in dict.fromkeys(channel for m in ordered for channel in m.targets):  # in the order of the config
        mine = [m for m in ordered if channel in m.targets and (m.key, channel) not in out]
        if not mine:
            continue
        _tell_once(turn, group, channel, mine)
        for member in mine:
            if is_digest and member.number is not None and not member.recovered:
                rest = Digested(member.key, channel, member.targets[channel], member)
                key = join(group.route, channel, member.key)
                turn.remember(DIGESTED, key, rest, parent=group.route, subject=member.key)
    for member in members:
        drop_member(turn, member)
    group = replace(group, first_flush=group.first_flush or turn.now, last_flush=turn.now)
    idle = None if is_digest else idle_until(group, options.group, turn.now)
    if idle is None:
        turn.tx.drop(GROUP, group.key)
    else:
        write_group(turn, group, idle)


def _tell_once(turn: Turn, group: Group, channel: str, members: list[Member]) -> None:
    newest = members[0]
    target, event = newest.targets[channel], turn.event(newest.event)
    is_digest = group.kind is Kind.DIGEST
    if event is None:
        turn.note("plan", "suppressed", "its event is no longer in history", channel=channel)
        return
    throttle = None if is_digest else turn.policy.options(target.route).throttle
    if throttle is not None and (reason := throttling.cut(turn, event, channel, target.route)) is not None:
        for member in members:
            turn.suppress(member.event, "throttle", reason, rule=target.route, route=target.route, channel=channel)
        return
    several = is_digest or len(members) > 1
    planned = Planned(
        channel,
        target.route,
        Action.EVENT,
        target.template,
        Why.DIGEST if is_digest else "event",
        nonce=f"{group.kind} {group.thread}" if several else "",
        group=group.labels,
        events=tuple(m.event for m in members),
        items=items_of(members, at_least=1) if several else (),
        count=len(members),
        recovered=sum(1 for m in members if m.recovered),
    )
    turn.plan(event, planned, newest.number)
