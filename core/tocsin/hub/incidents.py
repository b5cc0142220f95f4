"""What an event means for the incident of its key, and which messages follow."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.routing.router import Decision
from tocsin.store.records import IncidentStep, OpenIncident, Plan, Planned
from tocsin_hooks.events import Event
from tocsin_hooks.filters import value_of
from tocsin_hooks.messages import Action

RECOVERY = "recovery"
"""The route named on a message that goes to a channel only because it was told of the incident."""


def incident_key(event: Event, labels: Sequence[str]) -> str:
    """The key that names a problem across attempts and runs: the values of `labels`, and the map index.

    A mapped child is a subject of its own: that one child succeeded says nothing about another.
    """
    values = [_text(value_of(event, label)) for label in labels]
    if event.map_index is not None:
        values.append(f"[{event.map_index}]")
    key = "/".join(value.replace("%", "%25").replace("/", "%2F") for value in values)
    return key.encode("utf-8", "backslashreplace").decode()  # half characters, which no database takes


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    return "" if value is None else str(value)


def ends_incident(event: Event) -> bool:
    """Whether the event shows that the problem is over: it ran, and ended well.

    A task that was skipped proves nothing, nor does a mapped parent, which succeeds whatever its children did.
    """
    return event.is_a("Success") and not event.is_a("Skipped") and not event.is_a("Mapped")


def plan(event: Event, decision: Decision, incident: OpenIncident | None, *, opens: bool, tell_recovery: bool) -> Plan:
    """What to commit for a settled event.

    A problem opens an incident, or goes on with the open one, if there is anybody to tell. A success closes the
    incident and tells every channel that was told of it, whatever the routes say of successes. All else stands
    by itself.
    """
    if incident is not None and ends_incident(event):
        told = sorted(incident.told) if tell_recovery else []
        routed = {target.channel: target for target in decision.targets}
        deliveries = [
            Planned(channel, routed[channel].route if channel in routed else RECOVERY, Action.RECOVER)
            for channel in told
        ]
        deliveries += [
            Planned(target.channel, target.route, Action.EVENT, target.template)
            for target in decision.targets
            if target.channel not in told
        ]
        return Plan(IncidentStep.CLOSE, tuple(deliveries))
    if opens and (decision.targets or incident is not None):
        told_already = incident.told if incident is not None else frozenset()
        return Plan(
            IncidentStep.OPEN if incident is None else IncidentStep.UPDATE,
            tuple(
                Planned(t.channel, t.route, Action.UPDATE if t.channel in told_already else Action.OPEN, t.template)
                for t in decision.targets
            ),
        )
    deliveries = [Planned(t.channel, t.route, Action.EVENT, t.template) for t in decision.targets]
    return Plan(IncidentStep.NONE, tuple(deliveries), keep=decision.matched)
