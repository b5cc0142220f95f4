"""The filters that look at an event: matchers, comparisons, flags, names and Python predicates."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import predicates
from tocsin_hooks.filters.base import DEEPEST, LARGEST, Filter, Required
from tocsin_hooks.filters.explain import Explanation
from tocsin_hooks.filters.labels import Number, flag_test, value_of
from tocsin_hooks.filters.lexer import name_text, value_text

if TYPE_CHECKING:
    from tocsin_hooks.filters.names import Names

log = logging.getLogger("tocsin.filters")


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
        other = name_text(self.other.label) if isinstance(self.other, LabelRef) else repr(self.other)
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

    def __post_init__(self) -> None:
        if self.depth > DEEPEST or self.size > LARGEST:
            of = f"{LARGEST} parts" if self.size > LARGEST else f"{DEEPEST} inside each other"
            raise self.error(f"with the filters it names, '{self.to_text()}' is more than {of}", "E201")

    def explain(self, event: Event) -> Explanation:  # noqa: D102
        inner = self._known().explain(event)
        return Explanation(self.to_text(), inner.verdict, children=(inner,))

    def _inside(self) -> tuple[Filter, ...]:
        return () if self.target is None else (self.target,)

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
        return Explanation(self.to_text(), verdict, note=predicates.said(error) if error else "")

    def to_text(self) -> str:  # noqa: D102
        return f"<python {self._title()}>"

    def _title(self) -> str:
        named = self.predicate if hasattr(self.predicate, "__qualname__") else type(self.predicate)
        return self.name or f"{named.__module__}:{named.__qualname__}"

    def _test(self) -> Callable[[Event], bool]:
        return predicates.guarded(self.predicate, self._title(), log)
