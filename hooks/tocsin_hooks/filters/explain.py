"""Why a filter holds for an event or does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin_hooks.filters.labels import Value, shown


@dataclass(frozen=True, slots=True)
class Explanation:
    """A part of a filter, its verdict, what it saw, and the same of its own parts."""

    text: str
    verdict: bool
    values: tuple[tuple[str, Value], ...] = ()
    """The labels that a leaf read, and what they held; None is an absent label."""
    note: str = ""
    children: tuple[Explanation, ...] = ()

    @property
    def value(self) -> Value:
        """What the leaf's own label, the one on the left, held."""
        return self.values[0][1] if self.values else None

    def leaves(self) -> Iterator[Explanation]:
        """The parts that have no parts, from left to right."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The explanation for people, one line per part, each indented below what it is a part of."""
        mark = "yes" if self.verdict else "no "
        seen = ", ".join(f"{label} is {_shown(value)}" for label, value in self.values)
        detail = "; ".join(part for part in (seen, self.note) if part)
        yield f"{'  ' * depth}{mark} {self.text}" + (f"   ({detail})" if detail else "")
        for child in self.children:
            yield from child.lines(depth + 1)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _shown(value: Value) -> str:
    if value is None:
        return "absent"
    if isinstance(value, frozenset):
        return "{" + ", ".join(f"'{shown(item)}'" for item in sorted(value)) + "}"
    return f"'{shown(value)}'" if isinstance(value, str) else str(value)
