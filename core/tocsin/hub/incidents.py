"""Which incident an event belongs to, and whether it ends it."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, value_of


def incident_key(event: Event, labels: Sequence[str]) -> str:
    """The key that names a problem across attempts and runs: the values of `labels`, and the map index.

    A mapped child is a subject of its own: that one child succeeded says nothing about another. So is each watch. What
    has none of `labels` is known by all those that it has, as an alert is that knows no flows.
    """
    if event.source == "watch":
        return "/".join(filter(None, ("watch", event.labels.get("watch", ""), event.run_id)))
    values = [_text(value_of(event, label)) for label in labels]
    if not any(values):
        own = {**event.labels, **({"severity": event.severity} if event.severity else {})}
        values = [f"{name}={value}" for name, value in sorted(own.items()) if value] or values
    if event.map_index is not None:
        values.append(f"[{event.map_index}]")
    key = "/".join(value.replace("%", "%25").replace("/", "%2F") for value in values)
    return key.encode("utf-8", "backslashreplace").decode()  # half characters, which no database takes


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    return "" if value is None else str(value)


def ends_incident(event: Event, opens: Filter | None = None) -> bool:
    """Whether the event shows that the problem is over: it ran, and ended well.

    A task that was skipped proves nothing, nor does a mapped parent, which succeeds whatever its children did. An event
    without any state, as of another system, cannot succeed: it is over when `opens` holds no longer.
    """
    if not event.state and opens is not None:
        return not opens.matches(event)
    return event.is_a("Success") and not event.is_a("Skipped") and not event.is_a("Mapped")
