"""What happened in the current folder's store on the first of January 2024, before anybody gives a command."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tocsin.assembly import assemble, locate
from tocsin.clock import ManualClock
from tocsin.hub.hub import Hub
from tocsin.simulate import event_of

LOAD: dict[str, Any] = {"state": "Failed", "flow": "etl", "task": "load", "tags": ["warehouse"]}
EXTRACT: dict[str, Any] = {"state": "Failed", "flow": "etl", "task": "extract"}
FETCH: dict[str, Any] = {"state": "Failed", "flow": "mail", "task": "fetch"}


@contextmanager
def hub_of_2024() -> Iterator[tuple[Hub, ManualClock]]:
    """The hub of the config here, at noon of that day; it wakes no worker, so nothing is delivered."""
    clock = ManualClock()
    source = locate()
    assert source is not None
    assembly = assemble(source, clock)
    hub = assembly.hub
    assert hub.outbox is not None
    hub.outbox = replace(hub.outbox, wake=lambda: None)
    hub.on_timer = lambda: None
    hub.prepare()
    try:
        yield hub, clock
    finally:
        assembly.store.close()


def happen(*events: Mapping[str, Any]) -> None:
    """Let events of these labels happen, the first at noon, each a minute after the one before."""
    with hub_of_2024() as (hub, clock):
        assert hub.outbox is not None
        for labels in events:
            hub.store_event(hub.outbox, event_of({"id": str(uuid.uuid4()), **labels}, clock))
            clock.advance(60)
