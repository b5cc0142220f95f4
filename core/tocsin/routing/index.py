"""Which filters could match an event, without trying each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from tocsin_hooks.events import Event
from tocsin_hooks.filters import FLAG_LABELS, Filter
from tocsin_hooks.filters.labels import STATE_LABELS, text_reader

_SHARED = FLAG_LABELS | STATE_LABELS
"""Labels with few values, each of which many events have: they tell events apart worst."""


class Filtered(Protocol):
    """What has a filter, or matches everything."""

    @property
    def filter(self) -> Filter | None:
        """None matches everything."""


class FilterIndex:
    """The places of filters by a condition that each of them requires.

    A filter stands under one of the labels it requires a value of: the one whose values the fewest others ask for. A
    filter that requires none is always a candidate. So an event that matches little costs little, however many filters
    there are. None stands for a filter that matches everything.
    """

    def __init__(self, filters: Sequence[Filter | None]) -> None:
        needs = [{} if filter_ is None else filter_.required() for filter_ in filters]
        crowd = Counter((label, value) for need in needs for label, values in need.items() for value in values)
        self._always: list[int] = []
        found_by: dict[str, dict[str, list[int]]] = {}
        for place, need in enumerate(needs):
            if not need:
                self._always.append(place)
            elif all(need.values()):  # no value would do: it never matches
                label = min(need, key=lambda name: (sum(crowd[name, value] for value in need[name]), name in _SHARED))
                for value in need[label]:
                    found_by.setdefault(label, {}).setdefault(value, []).append(place)
        self._by_tag = found_by.pop("tags", {})
        self._by_text: list[tuple[Callable[[Event], str], dict[str, list[int]]]] = [
            (text_reader(label), places) for label, places in found_by.items()
        ]

    def candidates(self, event: Event) -> list[int]:
        """The places of the filters that could match `event`, in order; no other filter does."""
        found = list(self._always)
        for read, places in self._by_text:
            found += places.get(read(event), ())
        if self._by_tag:
            for tag in event.tags:
                found += self._by_tag.get(tag, ())
        return sorted(set(found)) if len(found) > len(self._always) else found


class RouteIndex(FilterIndex):
    """The same of routes, by their filters."""

    def __init__(self, routes: Sequence[Filtered]) -> None:
        super().__init__([route.filter for route in routes])
