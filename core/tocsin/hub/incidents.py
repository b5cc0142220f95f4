"""Which incident an event belongs to, and whether it ends it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, value_of

WATCH, OWN = "watch", "tocsin.filters"
"""The sources of events that tocsin makes itself, of watches and of filters that raise: no route has to open them."""


def incident_key(event: Event, labels: Sequence[str]) -> str:
    """The key that names a problem across attempts and runs: the values of `labels`, and the map index.

    A mapped child is a subject of its own: that one child succeeded says nothing about another. So is each watch. What
    has none of `labels` is known by all those that it has, as an alert is that knows no flows.
    """
    if event.source == WATCH:
        return "/".join(filter(None, ("watch", event.labels.get("watch", ""), event.run_id)))
    values = [_text(value_of(event, label)) for label in labels]
    if not any(values):
        own = {**event.labels, **({"severity": event.severity} if event.severity else {})}
        values = [f"{name}={value}" for name, value in sorted(own.items()) if value] or values
    if event.map_index is not None:
        values.append(f"[{event.map_index}]")
    return _storable("/".join(map(_escaped, values)))


def key_by_names(
    labels: tuple[str, ...], *, project: str, flow: str, task: str, map_index: int | None = None
) -> str | None:
    """The key of a change of that flow, or of that task in it; None where it takes more to tell. Quick.

    >>> key_by_names(("flow", "task"), project="", flow="etl", task="load", map_index=3)
    'etl/load/[3]'
    >>> key_by_names(("flow", "team"), project="", flow="etl", task="load")
    """
    around, named = _around_task(labels, project, flow)
    if not (named or (task and len(around) > 1)):
        return None
    key = (_escaped(task) if "/" in task or "%" in task else task).join(around)
    if map_index is not None:
        key = f"{key}/[{map_index}]"
    return key if key.isascii() else _storable(key)


@lru_cache(maxsize=256)
def _around_task(labels: tuple[str, ...], project: str, flow: str) -> tuple[tuple[str, ...], bool]:
    """What of a key stands around the names of tasks, and whether there is more than separators to it.

    >>> _around_task(("project", "flow", "task"), "", "etl"), _around_task(("flow", "team"), "", "etl")
    ((('/etl/', ''), True), ((), False))
    """
    names = {"project": _escaped(project), "flow": _escaped(flow)}
    if not names.keys() | {"task"} >= set(labels):
        return (), False
    around = [""]
    for place, label in enumerate(labels):
        around[-1] += ("/" if place else "") + names.get(label, "")
        if label == "task":
            around.append("")
    return tuple(around), any(names.get(label) for label in labels)


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")


def _storable(key: str) -> str:
    if key.isascii():
        return key
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
    return may_end(event.state_family)


def may_end(state_family: Collection[str]) -> bool:
    """Whether what enters a state of this family shows that its problem is over.

    >>> may_end(("Cached", "Success", "Finished")), may_end(("Skipped", "Success", "Finished"))
    (True, False)
    """
    return "Success" in state_family and "Skipped" not in state_family and "Mapped" not in state_family
