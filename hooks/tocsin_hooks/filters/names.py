"""Which filter each `@name` stands for, and whether names lead in a circle."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin_hooks.filters.labels import did_you_mean
from tocsin_hooks.filters.tree import DEEPEST, Filter, Ref


def bind_all(named: Mapping[str, Filter]) -> dict[str, Filter]:
    """The filters by their names, each bound to the others; raises `FilterError` as `Filter.bind` does."""
    names = Names(named)
    return {name: names.bound(name) for name in named}


class Names:
    """The filters that names stand for, while they are bound to each other."""

    def __init__(self, named: Mapping[str, Filter]) -> None:
        self._named = named
        self._done: dict[str, Filter] = {}
        self._path: list[str] = []

    def filter_of(self, ref: Ref) -> Filter:
        """The filter that `ref` stands for, its own names bound; `FilterError` if there is none."""
        if ref.name in self._path:
            circle = " -> ".join(f"@{name}" for name in (*self._path[self._path.index(ref.name) :], ref.name))
            raise ref.error(f"filters that refer to each other in a circle: {circle}", "E204")
        if ref.name not in self._named:
            known = ", ".join(f"'@{name}'" for name in sorted(self._named))
            hint = did_you_mean(ref.name, self._named, "@") or (known and f"; known filters: {known}")
            raise ref.error(f"unknown filter '@{ref.name}'{hint}")
        if len(self._path) >= DEEPEST:
            raise ref.error(f"names that use names, more than {DEEPEST} behind each other", "E201")
        return self.bound(ref.name)

    def bound(self, name: str) -> Filter:
        """The filter called `name`, its own names bound."""
        if name not in self._done:
            self._path.append(name)
            try:
                self._done[name] = self._named[name]._bound(self)
            finally:
                self._path.pop()
        return self._done[name]
