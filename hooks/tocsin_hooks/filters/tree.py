"""What a filter is made of: the filters that look at an event, and those that combine others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import predicates
from tocsin_hooks.filters.base import DEEPEST, Filter, Required, Span
from tocsin_hooks.filters.labels import STATE_LABELS
from tocsin_hooks.filters.leaves import Compare, Flag, LabelRef, Match, Opaque, Ref

if TYPE_CHECKING:
    from tocsin_hooks.filters.names import Names

__all__ = [
    "DEEPEST",
    "EVERYTHING",
    "And",
    "Compare",
    "Filter",
    "Flag",
    "LabelRef",
    "Match",
    "Not",
    "Opaque",
    "Or",
    "Ref",
    "Span",
    "all_of",
    "any_of",
    "check_can_hold",
]


@dataclass(frozen=True)
class And(Filter):
    """Holds when all terms do. Without terms it holds for every event. Combine with `all_of`."""

    terms: tuple[Filter, ...]

    def __post_init__(self) -> None:
        if len(self.terms) == 1 or any(isinstance(term, And) for term in self.terms):
            raise ValueError("combine filters with all_of(), which keeps the tree flat")
        self._check_depth()

    def children(self) -> tuple[Filter, ...]:  # noqa: D102  (as of Filter)
        return self.terms

    def required(self) -> Required:  # noqa: D102
        merged: dict[str, frozenset[str]] = {}
        for term in self.terms:
            for label, values in term.required().items():
                if label not in merged:
                    merged[label] = values
                elif label == "tags":  # an event has several: both must be met, and one of the two can be told
                    merged[label] = min(merged[label], values, key=len)
                else:
                    merged[label] &= values
        for term in self.terms:
            for label, values in _excluded(term).items():
                if label in merged:
                    merged[label] -= values
        return merged

    def to_text(self) -> str:  # noqa: D102
        return " and ".join(_inner(term, Or) for term in self.terms) or "{}"

    def _test(self) -> Callable[[Event], bool]:
        return predicates.all_hold([term.matches for term in self.terms])

    def _verdict(self, verdicts: Sequence[bool]) -> bool:
        return all(verdicts)

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, terms=tuple(term._bound(names) for term in self.terms))


@dataclass(frozen=True)
class Or(Filter):
    """Holds when one of its terms does. Combine with `any_of`."""

    terms: tuple[Filter, ...]

    def __post_init__(self) -> None:
        if len(self.terms) < 2 or any(isinstance(term, Or) for term in self.terms):
            raise ValueError("combine filters with any_of(), which keeps the tree flat")
        self._check_depth()

    def children(self) -> tuple[Filter, ...]:  # noqa: D102
        return self.terms

    def required(self) -> Required:  # noqa: D102
        first, *others = (term.required() for term in self.terms)
        shared = {label for label in first if all(label in other for other in others)}
        return {label: first[label].union(*(other[label] for other in others)) for label in shared}

    def to_text(self) -> str:  # noqa: D102
        return " or ".join(_inner(term) for term in self.terms)

    def _test(self) -> Callable[[Event], bool]:
        first, *others = self.terms
        if (
            isinstance(first, Match)
            and first.op == "="
            and all(isinstance(term, Match) and (term.label, term.op) == (first.label, "=") for term in others)
        ):
            return predicates.one_of(first.label, frozenset(t.value for t in self.terms if isinstance(t, Match)))
        return predicates.any_holds([term.matches for term in self.terms])

    def _verdict(self, verdicts: Sequence[bool]) -> bool:
        return any(verdicts)

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, terms=tuple(term._bound(names) for term in self.terms))


@dataclass(frozen=True)
class Not(Filter):
    """Holds when its term does not."""

    term: Filter

    def __post_init__(self) -> None:
        self._check_depth()

    def children(self) -> tuple[Filter, ...]:  # noqa: D102
        return (self.term,)

    def required(self) -> Required:  # noqa: D102
        match self.term:
            case Match(label, "!=", value):
                return Match(label, "=", value).required()
            case Match(label, "!~", value):
                return Match(label, "=~", value).required()
            case Flag(label):
                return {label: frozenset({"false"})}
            case Not(term):
                return term.required()
        return {}

    def to_text(self) -> str:  # noqa: D102
        return f"not {_inner(self.term, And, Or)}"

    def _test(self) -> Callable[[Event], bool]:
        holds = self.term.matches
        return lambda event: not holds(event)

    def _verdict(self, verdicts: Sequence[bool]) -> bool:
        return not verdicts[0]

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, term=self.term._bound(names))


EVERYTHING = And(())
"""The filter that holds for every event; written `{}`."""


def all_of(*terms: Filter, span: Span | None = None) -> Filter:
    """The filter that holds when all of `terms` do; one inside another is made one."""
    flat = tuple(part for term in terms for part in (term.terms if isinstance(term, And) else (term,)))
    return flat[0] if len(flat) == 1 else And(flat, span=span)


def any_of(*terms: Filter, span: Span | None = None) -> Filter:
    """The filter that holds when one of `terms` does, which are one at least; one inside another is made one."""
    flat = tuple(part for term in terms for part in (term.terms if isinstance(term, Or) else (term,)))
    if not flat:
        raise ValueError("any_of() needs a filter at least")
    return flat[0] if len(flat) == 1 else Or(flat, span=span)


def check_can_hold(tree: Filter, text: str = "") -> None:
    """Raise `FilterError` where `tree` asks for two states at once; `text` is what it was read from."""
    for label, values in tree.required().items():
        if label in STATE_LABELS and not values:
            text = text or tree.to_text()
            start, end = tree.span or (0, len(text))
            raise FilterError(f"this can never hold: '{label}' has one value; write 'or'", text, start, end)


def _excluded(term: Filter) -> Required:
    """The values that no label of an event may have if `term` holds.

    >>> _excluded(Match("flow", "!=", "etl"))
    {'flow': frozenset({'etl'})}
    """
    match term:
        case Match(label, "!=" | "!~" as op, value) | Not(Match(label, "=" | "=~" as op, value)):
            values = predicates.values_needed("=~" if "~" in op else "=", value)
            return {} if values is None else {label: values}
    return {}


def _inner(term: Filter, *looser: type[Filter]) -> str:
    """`term` as part of a larger expression: in parentheses where it would fall apart otherwise."""
    needed = isinstance(term, looser) or (isinstance(term, And) and not term.terms)
    return f"({term.to_text()})" if needed else term.to_text()
