"""What the hub would do with an event: verdicts of routes and stages, the incident's step, the messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum

from tocsin.assembly import Assembly, templates
from tocsin.cli.configured import opened
from tocsin.cli.explain_stages import Told, told_stages
from tocsin.delivery.envelopes import envelope_of
from tocsin.hub.policy import Policy
from tocsin.hub.rehearsal import Moment, Rehearsal, rehearse
from tocsin.routing.compose import compose
from tocsin.routing.moments import later
from tocsin.routing.router import DEFAULTS, Verdict
from tocsin.routing.windows import closes_at, describe, is_open, opens_at
from tocsin.settings.alerts import Window
from tocsin.store.protocol import Store
from tocsin.store.records import DeliveryRecord, Sent, Suppression
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Explanation
from tocsin_hooks.messages import Message

_NOWHERE = Path(":memory:")


@dataclass(frozen=True, slots=True)
class RouteExplained:
    """A route's verdict, and what its filter saw; None for a route without a filter."""

    verdict: Verdict
    filter: Explanation | None


@dataclass(frozen=True, slots=True)
class WindowExplained:
    """Whether a window is open, and when that changes; None: not in sight."""

    window: Window
    is_open: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class MessageExplained:
    """A message that would be sent, and when."""

    at: datetime
    sent: Sent
    message: Message


@dataclass(frozen=True, slots=True)
class History:
    """What came of an event that is in history, when it was published."""

    event: Event
    deliveries: tuple[DeliveryRecord, ...]
    suppressions: tuple[Suppression, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """An event, with all that would come of it."""

    event: Event
    """As it was given; `rehearsal` holds the copy that happens at the time asked about."""
    rehearsal: Rehearsal
    until: datetime
    """How far what follows was looked at."""
    routes: tuple[RouteExplained, ...]
    windows: tuple[WindowExplained, ...]
    stages: tuple[Told, ...]
    messages: tuple[MessageExplained, ...]
    prevented: tuple[MessageExplained, ...]
    """Those that would be sent without the event, and are not."""
    history: History | None = None


def explained(
    assembly: Assembly, event: Event, *, at: datetime | None = None, ahead: timedelta = timedelta(hours=1)
) -> Explained:
    """What the hub would do with `event`, if it happened `at` a time, by default now; nothing is stored or sent."""
    outbox, now = assembly.hub.outbox, assembly.clock.now()
    assert outbox is not None, "an assembly has a config, and so an outbox"
    at = now if at is None else at
    event = assembly.hub.enriched(event)
    with opened(assembly) as kept:
        store: Store = SqliteStore(_NOWHERE) if kept is None else kept
        past = history_of(store, event)
        copy = event.replace(id=assembly.clock.new_id(), time=pendulum.instance(at).in_timezone("UTC"))
        moved = assembly.hub.rerouting(copy)
        found = rehearse(store, outbox.policy, copy, now=now, at=at, ahead=ahead, moved=moved)
        if kept is None:
            store.close()
    return Explained(
        event=event,
        rehearsal=found,
        until=later(found.at, ahead),
        routes=_routes(assembly, outbox.policy, copy),
        windows=tuple(_windows(outbox.policy, at)),
        stages=tuple(told_stages(outbox.policy, found)),
        messages=tuple(_messages(assembly, (Moment(found.at, tuple(found.result.sent)), *found.later))),
        prevented=tuple(_messages(assembly, found.prevented)),
        history=past,
    )


def history_of(store: Store, event: Event) -> History | None:
    """What is known of an event that is in history; None for one that is not."""
    known = store.transact(lambda tx: tx.event(event.id), keep=False)
    if known is None:
        return None
    own = tuple(reversed(store.deliveries(event=known.id, limit=None)))
    return History(known, own, tuple(store.suppressions(event=known.id)))


def _routes(assembly: Assembly, policy: Policy, event: Event) -> tuple[RouteExplained, ...]:
    filters = {route.name: route.filter for route in assembly.config.routes}
    filters[DEFAULTS] = policy.router.opens

    def explain(verdict: Verdict) -> RouteExplained:
        found = filters.get(verdict.route)
        asked = found is not None and verdict.verdict != "not reached"
        return RouteExplained(verdict, found.explain(event) if found is not None and asked else None)

    return tuple(explain(verdict) for verdict in policy.router.explain(event))


def _windows(policy: Policy, at: datetime) -> Iterator[WindowExplained]:
    for window in policy.windows.values():
        now_open = is_open(window, at)
        yield WindowExplained(window, now_open, closes_at(window, at) if now_open else opens_at(window, at))


def _messages(assembly: Assembly, moments: Iterable[Moment]) -> Iterator[MessageExplained]:
    words = templates(assembly.config)
    for moment in moments:
        for sent in moment.sent:
            envelope = envelope_of(sent.planned, sent.id, at=moment.at, timezone=assembly.config.timezone)
            yield MessageExplained(moment.at, sent, compose(sent.event, envelope, words.get(sent.planned.template)))


# ---------------------------------------------------------------- as data


def as_data(found: Explained) -> dict[str, Any]:
    """The explanation as plain data."""
    rehearsal = found.rehearsal
    before, after = rehearsal.before, rehearsal.after
    return {
        "event": found.event.to_dict(),
        "at": rehearsal.at,
        "until": found.until,
        "complete": rehearsal.complete,
        "history": None if found.history is None else _history_data(found.history),
        "kept": rehearsal.result.kept,
        "routes": [_route_data(route) for route in found.routes],
        "incident": {
            "key": rehearsal.key,
            "number": None if before is None else before.number,
            "open_since": None if before is None else before.opened_at,
            "step": rehearsal.step,
            "failures": 0 if after is None else after.failures,
            "acknowledged_by": "" if before is None else before.acked_by,
        },
        "windows": [
            {"name": each.window.name, "when": describe(each.window), "open": each.is_open, "until": each.until}
            for each in found.windows
        ],
        "silences": [
            {
                "id": silence.id,
                "filter": silence.filter_text,
                "in_force": silence.in_force(rehearsal.at),
                "starts_at": silence.starts_at,
                "ends_at": silence.ends_at,
                "until_recovered": silence.until_recovered,
                "by": silence.created_by,
                "comment": silence.comment,
            }
            for silence in rehearsal.silences
        ],
        "stages": [_stage_data(told) for told in found.stages],
        "waits": [
            {"kind": wait.kind, "name": wait.name, "route": wait.route, "channels": wait.channels, "until": wait.until}
            for wait in rehearsal.waits
        ],
        "messages": [_message_data(each) for each in found.messages],
        "prevented": [_message_data(each) for each in found.prevented],
    }


def _history_data(history: History) -> dict[str, Any]:
    return {
        "sequence": history.event.sequence,
        "sent": [
            {
                "id": each.id, "at": each.created_at, "channel": each.channel, "route": each.route,
                "action": each.action, "status": str(each.status), "events": list(each.events),
            }
            for each in history.deliveries
        ],
        "suppressed": [
            {
                "at": each.at, "stage": each.stage, "rule": each.rule, "reason": each.reason,
                "route": each.route, "channel": each.channel,
            }
            for each in history.suppressions
        ],
    }  # fmt: skip


def _route_data(route: RouteExplained) -> dict[str, Any]:
    verdict = route.verdict
    return {
        "route": verdict.route,
        "depth": verdict.depth,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "send": list(verdict.channels),
        "filter": None if route.filter is None else _filter_data(route.filter),
    }


def _filter_data(part: Explanation) -> dict[str, Any]:
    return {
        "text": part.text,
        "holds": part.verdict,
        "saw": {label: sorted(value) if isinstance(value, frozenset) else value for label, value in part.values},
        "note": part.note,
        "parts": [_filter_data(child) for child in part.children],
    }


def _stage_data(told: Told) -> dict[str, Any]:
    step = told.step
    return {
        "at": told.at, "route": step.route, "channel": step.channel, "stage": step.stage, "verdict": step.verdict,
        "rule": step.rule, "reason": step.reason,
    }  # fmt: skip


def _message_data(each: MessageExplained) -> dict[str, Any]:
    planned, message = each.sent.planned, each.message
    return {
        "at": each.at,
        "channel": planned.channel,
        "route": planned.route,
        "action": str(planned.action),
        "reason": str(planned.reason),
        "incident": planned.incident,
        "silent": planned.silent,
        "count": planned.count,
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
    }
