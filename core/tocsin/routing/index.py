"""Which routes could match an event, without trying each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter

_VALUES: dict[str, Callable[[Event], Iterable[str]]] = {
    "flow": lambda event: (event.flow,),
    "task": lambda event: (event.task,),
    "state": lambda event: (event.state,),
    "tags": lambda event: event.tags,
}
"""The labels that routes are found by, and the values that an event has of each."""


class Filtered(Protocol):
    """What has a filter, or matches everything."""

    @property
    def filter(self) -> Filter | None:
        """None matches everything."""


class RouteIndex:
    """The places of routes by a condition that each of them requires.

    A route stands under the one label of which it asks for the fewest values; one that asks for none is always a
    candidate. So an event that matches little costs little, however many routes there are.
    """

    def __init__(self, routes: Sequence[Filtered]) -> None:
        self._always: list[int] = []
        self._places: dict[str, dict[str, list[int]]] = {}
        for place, route in enumerate(routes):
            self._put(place, route.filter)

    def _put(self, place: int, filter_: Filter | None) -> None:
        required = {} if filter_ is None else filter_.required()
        usable = {label: values for label, values in required.items() if label in _VALUES}
        if not usable:
            self._always.append(place)
            return
        label = min(usable, key=lambda name: len(usable[name]))
        for value in usable[label]:
            self._places.setdefault(label, {}).setdefault(value, []).append(place)

    def candidates(self, event: Event) -> list[int]:
        """The places of the routes that could match `event`, in order; no other route does."""
        found = list(self._always)
        for label, places in self._places.items():
            for value in _VALUES[label](event):
                found += places.get(value, ())
        return sorted(set(found)) if len(found) > len(self._always) else found
