"""What a filter is made of, and what it says about an event.

A filter is an immutable tree. Each node makes its test, a plain function, once; equality, hash and pickle see the
tree only. `span` says where a node stands in the text it was read from, and does not count for equality.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import predicates
from tocsin_hooks.filters.explain import Explanation
from tocsin_hooks.filters.labels import Number, flag_test, value_of
from tocsin_hooks.filters.lexer import name_text, value_text

if TYPE_CHECKING:
    from tocsin_hooks.filters.lint import FilterWarning
    from tocsin_hooks.filters.names import Names

log = logging.getLogger("tocsin.filters")

Span = tuple[int, int]
Required = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Filter:
    """A predicate over events. Combine with `&`, `|` and `~`."""

    span: Span | None = field(default=None, compare=False, repr=False, kw_only=True)

    @cached_property
    def matches(self) -> Callable[[Event], bool]:
        """`matches(event)`: whether the filter holds for `event`. Raises only where a `@name` is not bound."""
        return self._test()

    def __call__(self, event: Event) -> bool:
        """The same as `matches`."""
        return self.matches(event)

    def __and__(self, other: Filter) -> Filter:
        return all_of(self, other) if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return any_of(self, other) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            "a filter is neither true nor false by itself; combine with '&', '|', '~', test with '.matches'"
        )

    def __str__(self) -> str:
        return self.to_text()

    def __getstate__(self) -> dict[str, Any]:
        return {name.name: getattr(self, name.name) for name in dataclasses.fields(self)}

    def explain(self, event: Event) -> Explanation:
        """The verdict on `event` with that of every part, each evaluated even where the result was clear before."""
        children = tuple(child.explain(event) for child in self.children())
        return Explanation(self.to_text(), self.matches(event), children=children)

    def children(self) -> tuple[Filter, ...]:
        """The filters that this one combines."""
        return ()

    def walk(self) -> Iterator[Filter]:
        """The filter itself and all below it, outermost first; what a bound `@name` stands for is not entered."""
        yield self
        for child in self.children():
            yield from child.walk()

    def labels(self) -> frozenset[str]:
        """The labels that the filter reads, also through bound names."""
        return frozenset[str]().union(*(child.labels() for child in self.children()))

    def refs(self) -> frozenset[str]:
        """The names that the filter itself refers to as `@name`."""
        return frozenset(node.name for node in self.walk() if isinstance(node, Ref))

    def required(self) -> Required:
        """Conditions without which the filter cannot match: label -> the values of which the event must have one.

        Values are label values as text; of `tags`, one of the values must be among them. An empty set of values
        means that the filter never matches. A filter may well ask for more than this tells.
        """
        return {}

    def bind(self, named: Mapping[str, Filter]) -> Filter:
        """The filter with every `@name` bound to its filter in `named`, those inside of them too.

        Raises `FilterError` for a name that `named` lacks, and for names that lead back to themselves.
        """
        from tocsin_hooks.filters.names import Names  # it reads this module's classes

        return self._bound(Names(named))

    def warnings(self) -> tuple[FilterWarning, ...]:
        """What in the filter is allowed and still probably not meant."""
        from tocsin_hooks.filters.lint import warnings_of  # it reads this module's classes

        return warnings_of(self)

    def to_text(self) -> str:
        """The filter as an expression that `parse` reads back to an equal tree; an `Opaque` one cannot be read."""
        raise NotImplementedError

    def _test(self) -> Callable[[Event], bool]:
        raise NotImplementedError

    def _bound(self, names: Names) -> Filter:  # noqa: ARG002
        return self


@dataclass(frozen=True)
class And(Filter):
    """Holds when all terms do. Without terms it holds for every event. Combine with `all_of`."""

    terms: tuple[Filter, ...]

    def __post_init__(self) -> None:
        if len(self.terms) == 1 or any(isinstance(term, And) for term in self.terms):
            raise ValueError("combine filters with all_of(), which keeps the tree flat")

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
        return merged

    def to_text(self) -> str:  # noqa: D102
        return " and ".join(_inner(term, Or) for term in self.terms) or "{}"

    def _test(self) -> Callable[[Event], bool]:
        return predicates.all_hold([term.matches for term in self.terms])

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, terms=tuple(term._bound(names) for term in self.terms))


@dataclass(frozen=True)
class Or(Filter):
    """Holds when one of its terms does. Combine with `any_of`."""

    terms: tuple[Filter, ...]

    def __post_init__(self) -> None:
        if len(self.terms) < 2 or any(isinstance(term, Or) for term in self.terms):
            raise ValueError("combine filters with any_of(), which keeps the tree flat")

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

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, terms=tuple(term._bound(names) for term in self.terms))


@dataclass(frozen=True)
class Not(Filter):
    """Holds when its term does not."""

    term: Filter

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

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, term=self.term._bound(names))


@dataclass(frozen=True)
class Match(Filter):
    """A matcher: `label op value` with `=`, `!=`, `=~` or `!~`."""

    label: str
    op: str
    value: str

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        return Explanation(self.to_text(), self.matches(event), ((self.label, value_of(event, self.label)),))

    def labels(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.label})

    def required(self) -> Required:  # noqa: D102
        values = predicates.values_needed(self.op, self.value)
        if values is None or (self.label == "tags" and "" in values):  # "no tags" is not a tag
            return {}
        return {self.label: values}

    def to_text(self) -> str:  # noqa: D102
        return f"{name_text(self.label)}{self.op}{value_text(self.value)}"

    def _test(self) -> Callable[[Event], bool]:
        return predicates.matcher(self.label, self.op, self.value)


@dataclass(frozen=True)
class LabelRef:
    """The label that stands to the right of a comparison."""

    label: str


@dataclass(frozen=True)
class Compare(Filter):
    """A comparison of numbers: `label op other` with `<`, `<=`, `>` or `>=`; `other` is a number or a label."""

    label: str
    op: str
    other: Number | LabelRef

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        names = [self.label] + ([self.other.label] if isinstance(self.other, LabelRef) else [])
        return Explanation(self.to_text(), self.matches(event), tuple((name, value_of(event, name)) for name in names))

    def labels(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.label, self.other.label} if isinstance(self.other, LabelRef) else {self.label})

    def to_text(self) -> str:  # noqa: D102
        other = self.other.label if isinstance(self.other, LabelRef) else repr(self.other)
        return f"{name_text(self.label)}{self.op}{other}"

    def _test(self) -> Callable[[Event], bool]:
        if isinstance(self.other, LabelRef):
            return predicates.comparison_of_labels(self.label, self.op, self.other.label)
        return predicates.comparison(self.label, self.op, self.other)


@dataclass(frozen=True)
class Flag(Filter):
    """A boolean label that is true."""

    label: str

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        return Explanation(self.to_text(), self.matches(event), ((self.label, value_of(event, self.label)),))

    def labels(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.label})

    def required(self) -> Required:  # noqa: D102
        return {self.label: frozenset({"true"})}

    def to_text(self) -> str:  # noqa: D102
        return self.label

    def _test(self) -> Callable[[Event], bool]:
        return flag_test(self.label)


@dataclass(frozen=True)
class Ref(Filter):
    """A filter by its name, `@name`, and the filter it stands for once that is bound."""

    name: str
    target: Filter | None = None
    source: str = field(default="", compare=False, repr=False)
    """The whole expression that the name stands in."""

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        return Explanation(self.to_text(), self.matches(event), children=(self._known().explain(event),))

    def labels(self) -> frozenset[str]:  # noqa: D102
        return self.target.labels() if self.target is not None else frozenset()

    def required(self) -> Required:  # noqa: D102
        return self.target.required() if self.target is not None else {}

    def to_text(self) -> str:  # noqa: D102
        return f"@{name_text(self.name)}"

    def _test(self) -> Callable[[Event], bool]:
        return self._known().matches

    def _known(self) -> Filter:
        if self.target is None:
            raise self.error(f"'@{self.name}' is not bound to a filter; name it in [filters], or give it to bind()")
        return self.target

    def _bound(self, names: Names) -> Filter:
        return dataclasses.replace(self, target=names.filter_of(self))

    def error(self, reason: str, code: str = "E203") -> FilterError:
        """An error about this name, with its place in the expression."""
        source, span = (self.source, self.span) if self.source and self.span else (self.to_text(), None)
        start, end = span or (0, len(source))
        return FilterError(reason, source, start, end, code)


@dataclass(frozen=True)
class Opaque(Filter):
    """A Python predicate, which only running it tells about. One that raises counts as false, and is logged once."""

    predicate: Callable[[Event], object]
    name: str = ""

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        verdict, error = predicates.ask(self.predicate, event)
        return Explanation(self.to_text(), verdict, note=f"raised {type(error).__name__}: {error}" if error else "")

    def to_text(self) -> str:  # noqa: D102
        return f"<python {self._title()}>"

    def _title(self) -> str:
        named = self.predicate if hasattr(self.predicate, "__qualname__") else type(self.predicate)
        return self.name or f"{named.__module__}:{named.__qualname__}"

    def _test(self) -> Callable[[Event], bool]:
        return predicates.guarded(self.predicate, self._title(), log)


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


def _inner(term: Filter, *looser: type[Filter]) -> str:
    """`term` as part of a larger expression: in parentheses where it would fall apart otherwise."""
    needed = isinstance(term, looser) or (isinstance(term, And) and not term.terms)
    return f"({term.to_text()})" if needed else term.to_text()
