"""Cutting what is too much for people, and summing up what was cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.hub.turn import Turn, join
from tocsin.routing import throttle
from tocsin.routing.throttle import ThrottleMemory, throttle_key
from tocsin.settings.alerts import Over
from tocsin.store.records import Planned
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Why

THROTTLE = "throttle"
"""The name of the documents."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """What a route remembers of its messages to a channel, and the last event that it cut."""

    memory: ThrottleMemory
    route: str
    channel: str
    event: str = ""


def cut(turn: Turn, event: Event, channel: str, route: str) -> str | None:
    """Ask for a slot for a message: why there is none, or None when it may leave."""
    option = turn.policy.options(route).throttle
    assert option is not None, "asked only of routes that have a throttle"
    key = join(throttle_key(route, option.per, event), channel)
    before = turn.memory(Throttled, THROTTLE, key)
    asked = throttle.ask(None if before is None else before.memory, option, turn.now)
    last = event.id if not asked.allowed else "" if before is None else before.event
    until = asked.ask_again_at or turn.now + option.within  # then there is nothing left to remember
    turn.remember(THROTTLE, key, Throttled(asked.memory, route, channel, last), due=until, parent=route)
    return None if asked.allowed else asked.reason


def look(turn: Turn, key: str) -> None:
    """Sum up what was cut, once there is a slot for it; forget what no longer counts."""
    found = turn.memory(Throttled, THROTTLE, key)
    option = None if found is None else turn.policy.options(found.route).throttle
    if found is None or option is None:
        turn.tx.drop(THROTTLE, key)
        return
    if option.over is not Over.SUMMARY or not found.memory.cut:
        _rest(turn, key, found, turn.now + option.within)
        return
    summary = throttle.summarise(found.memory, option, turn.now)
    if not summary.count:
        _rest(turn, key, Throttled(summary.memory, found.route, found.channel, found.event), summary.ask_again_at)
        return
    event = turn.event(found.event)
    if event is not None:
        planned = Planned(
            found.channel, found.route, Action.EVENT, reason=Why.SUMMARY,
            nonce=f"summary {turn.now.isoformat()}",  # the event may be cut, and summed up, more than once
            count=summary.count, within=option.within,
        )  # fmt: skip
        turn.plan(event, planned)
    _rest(turn, key, Throttled(summary.memory, found.route, found.channel), turn.now + option.within)


def _rest(turn: Turn, key: str, found: Throttled, due: datetime | None) -> None:
    option = turn.policy.options(found.route).throttle
    if due is None or option is None or throttle.is_spent(found.memory, option, turn.now):
        turn.tx.drop(THROTTLE, key)
    else:
        turn.remember(THROTTLE, key, found, due=due, parent=found.route)
