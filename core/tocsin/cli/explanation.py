"""What the hub would do with an event: every route's verdict, the incident's step, the messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tocsin.assembly import Assembly, templates
from tocsin.cli.configured import opened
from tocsin.cli.output import say, show as line, styled, when
from tocsin.hub.incidents import incident_key, plan
from tocsin.routing.compose import Envelope, compose
from tocsin.routing.router import DEFAULTS, Verdict
from tocsin.store.records import IncidentStep, OpenIncident, Plan, Planned, delivery_id
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Explanation
from tocsin_hooks.messages import Message


@dataclass(frozen=True, slots=True)
class RouteExplained:
    """A route's verdict, and what its filter saw; None for a route without a filter."""

    verdict: Verdict
    filter: Explanation | None


@dataclass(frozen=True, slots=True)
class Explained:
    """An event, with all that would come of it."""

    event: Event
    routes: tuple[RouteExplained, ...]
    key: str
    incident: OpenIncident | None
    plan: Plan
    messages: tuple[tuple[Planned, Message], ...]


def explained(assembly: Assembly, event: Event) -> Explained:
    """What the hub would do with `event` now; nothing is stored or sent."""
    outbox = assembly.hub.outbox
    assert outbox is not None, "an assembly has a config, and so an outbox"
    event = event.replace(project=event.project or outbox.project)
    event = event.replace(labels={**assembly.hooks.enrich(event), **event.labels})
    key = incident_key(event, outbox.key)
    with opened(assembly) as store:
        incident = None if store is None else store.incident(key)
    opens = outbox.router.opens is not None and outbox.router.opens.matches(event)
    decision = outbox.router.decide(event)
    planned = plan(event, decision, incident, opens=opens, tell_recovery=outbox.tell_recovery)
    if event.will_retry:
        planned = Plan(keep=False)
    messages = tuple((each, _message(assembly, event, each, planned, key, incident)) for each in planned.deliveries)
    return Explained(event, _routes(assembly, event), key, incident, planned, messages)


def _routes(assembly: Assembly, event: Event) -> tuple[RouteExplained, ...]:
    outbox = assembly.hub.outbox
    assert outbox is not None
    filters = {route.name: route.filter for route in assembly.config.routes}
    filters[DEFAULTS] = outbox.router.opens

    def explain(verdict: Verdict) -> RouteExplained:
        found = filters.get(verdict.route)
        asked = found is not None and verdict.verdict != "not reached"
        return RouteExplained(verdict, found.explain(event) if found is not None and asked else None)

    return tuple(explain(verdict) for verdict in outbox.router.explain(event))


def _message(
    assembly: Assembly, event: Event, planned: Planned, whole: Plan, key: str, incident: OpenIncident | None
) -> Message:
    envelope = Envelope(
        id=delivery_id(event.id, planned.channel),
        channel=planned.channel,
        route=planned.route,
        action=planned.action,
        incident="" if whole.step is IncidentStep.NONE else key,
        incident_opened_at=None if incident is None else incident.opened_at,
    )
    return compose(event, envelope, templates(assembly.config).get(planned.template))


# ---------------------------------------------------------------- as data


def as_data(found: Explained) -> dict[str, Any]:
    """The explanation as plain data."""
    return {
        "event": found.event.to_dict(),
        "routes": [_route_data(route) for route in found.routes],
        "incident": {
            "key": found.key,
            "open_since": None if found.incident is None else found.incident.opened_at,
            "step": str(found.plan.step),
        },
        "messages": [
            {
                "channel": planned.channel,
                "route": planned.route,
                "action": str(planned.action),
                "severity": message.severity,
                "title": message.title,
                "text": message.text,
            }
            for planned, message in found.messages
        ],
    }


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


# ---------------------------------------------------------------- for people


def show(found: Explained) -> None:
    """Print the explanation."""
    event = found.event
    tries = f", attempt {event.attempt} of {event.max_attempts}" if event.task else ""
    line(styled(f"{event.state} of {event.subject}{tries}", "bold"))
    line(styled(_incident_line(found)))
    if event.will_retry:
        line(styled("routes do not see this event: it will be retried, and reaches them as Retrying"))
    say()
    line(styled("Routes", "bold"))
    for route in found.routes:
        pad = "  " * (route.verdict.depth + 1)
        line(styled(pad), styled(f"{route.verdict.verdict:<12}", route.verdict.verdict), styled(_told(route)))
        for why in _why(route):
            line(styled(f"{pad}{'':<12}{why}", "dim"))
    say()
    line(styled("Messages", "bold"))
    for planned, message in found.messages:
        line(styled(f"  to {planned.channel}, by {_by(planned.route)}, to {_MEANING[str(planned.action)]}"))
        line(styled(f"    [{message.severity}]", message.severity), styled(f" {message.title}", "bold"))
        for text in message.text.splitlines():
            say(f"        {text}")
    if not found.messages:
        line(styled("  none"))


_MEANING = {
    "open": "open the incident",
    "update": "go on with the incident",
    "recover": "end the incident",
    "event": "tell of the event",
}


def _by(route: str) -> str:
    return f"[{DEFAULTS}]" if route == DEFAULTS else f"route '{route}'"


def _incident_line(found: Explained) -> str:
    name = f"incident '{found.key}'"
    since = "" if found.incident is None else f", open since {when(found.incident.opened_at)} UTC,"
    match found.plan.step:
        case IncidentStep.OPEN:
            return f"{name} is not open; this event opens it"
        case IncidentStep.UPDATE:
            return f"{name}{since} goes on"
        case IncidentStep.CLOSE:
            return f"{name}{since} ends"
    return f"{name}{since} is not touched" if since else f"{name} is not open, and this event does not open it"


def _told(route: RouteExplained) -> str:
    verdict = route.verdict
    name = f"[{DEFAULTS}]" if verdict.route == DEFAULTS else verdict.route
    if verdict.verdict == "acts":
        return f"{name} -> {', '.join(verdict.channels) or 'nowhere'}"
    return name if route.filter is not None and verdict.verdict == "no match" else f"{name}: {verdict.reason}"


def _why(route: RouteExplained) -> Iterator[str]:
    if route.verdict.route == DEFAULTS and route.verdict.verdict == "no match":
        yield route.verdict.reason
    elif route.filter is not None:
        yield from route.filter.lines()
    elif route.verdict.verdict == "acts":
        yield route.verdict.reason
