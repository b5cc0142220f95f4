"""The newest incidents, and the deliveries that tell of an event, whatever database an outbox stands on."""

from __future__ import annotations

from dataclasses import replace

from support.outboxes import NOON, Writing
from tocsin.store.protocol import Store
from tocsin.store.records import Incident, Planned
from tocsin_hooks.messages import Action


def test_the_newest_incidents_come_oldest_first_open_or_not(outbox: Store) -> None:
    for key in ("a", "b", "c"):
        incident = outbox.transact(lambda tx, key=key: tx.put_incident(Incident(key, NOON)))  # type: ignore[misc]
        if key == "b":
            outbox.transact(lambda tx, incident=incident: tx.put_incident(replace(incident, closed_at=NOON)))  # type: ignore[misc]

    def newest(limit: int) -> list[str]:
        return [incident.key for incident in outbox.transact(lambda tx: tx.incidents(limit), keep=False)]

    assert (newest(2), newest(10), newest(1)) == (["b", "c"], ["a", "b", "c"], ["c"])


def test_deliveries_are_found_by_any_event_that_they_tell_of(outbox: Store, write: Writing) -> None:
    for name in ("e1", "e2", 'odd "e3"'):
        outbox.transact(lambda tx, name=name: tx.add_event(write.event(name)))  # type: ignore[misc]
    events = ("e2", "e1", 'odd "e3"')
    both = Planned("ops", "pages", Action.UPDATE, events=events)
    one = Planned("mail", "e1", Action.OPEN, events=("e2",))  # whose route has the name of another event
    for planned in (both, one):
        outbox.transact(lambda tx, p=planned: tx.deliver(tx.event("e2") or write.event("e2"), None, p, now=NOON))  # type: ignore[misc]
    assert [delivery.events for delivery in outbox.deliveries()] == [("e2",), events]
    assert [delivery.channel for delivery in outbox.deliveries(event="e1")] == ["ops"]
    assert [delivery.channel for delivery in outbox.deliveries(event='odd "e3"')] == ["ops"]
    assert [delivery.channel for delivery in outbox.deliveries(event="e2")] == ["mail", "ops"]
    assert outbox.deliveries(event="e") == []
