"""What every filter can be asked, and how deep and how large one may be.

A filter is an immutable tree. Each node makes its test, a plain function, once; equality, hash and pickle see the
tree only. `span` says where a node stands in the text it was read from, and does not count for equality.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters.explain import Explanation

if TYPE_CHECKING:
    from tocsin_hooks.filters.lint import FilterWarning
    from tocsin_hooks.filters.names import Names

Span = tuple[int, int]
Required = Mapping[str, frozenset[str]]

DEEPEST = 128
"""How many filters may stand inside each other, through names too: what is deeper could exhaust the stack."""
LARGEST = 100_000
"""Of how many parts a named filter may consist, where names use names."""


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
        from tocsin_hooks.filters.tree import all_of, check_can_hold  # they are made of filters

        if not isinstance(other, Filter):
            return NotImplemented
        both = all_of(self, other)
        check_can_hold(both)
        return both

    def __or__(self, other: Filter) -> Filter:
        from tocsin_hooks.filters.tree import any_of

        return any_of(self, other) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        from tocsin_hooks.filters.tree import Not

        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            "a filter is neither true nor false by itself; combine with '&', '|', '~', test with '.matches'"
        )

    def __str__(self) -> str:
        return self.to_text()

    def __getstate__(self) -> dict[str, Any]:
        return {name.name: getattr(self, name.name) for name in dataclasses.fields(self)}

    @cached_property
    def depth(self) -> int:
        """How many filters stand inside each other, those that bound names stand for included."""
        return 1 + max((child.depth for child in self._inside()), default=0)

    @cached_property
    def size(self) -> int:
        """Of how many parts the filter consists, those of bound names counted wherever they are used."""
        return 1 + sum(child.size for child in self._inside())

    def explain(self, event: Event) -> Explanation:
        """The verdict on `event` with that of every part, each evaluated even where the result was clear before."""
        children = tuple(child.explain(event) for child in self.children())
        return Explanation(self.to_text(), self._verdict([child.verdict for child in children]), children=children)

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
        from tocsin_hooks.filters.leaves import Ref

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
        from tocsin_hooks.filters.names import Names  # it reads filters

        return self._bound(Names(named))

    def warnings(self) -> tuple[FilterWarning, ...]:
        """What in the filter is allowed and still probably not meant."""
        from tocsin_hooks.filters.lint import warnings_of

        return warnings_of(self)

    def to_text(self) -> str:
        """The filter as an expression that `parse` reads back to an equal tree; an `Opaque` one cannot be read."""
        raise NotImplementedError

    def _test(self) -> Callable[[Event], bool]:
        raise NotImplementedError

    def _verdict(self, verdicts: Sequence[bool]) -> bool:
        """What follows from the verdicts of the children."""
        raise NotImplementedError

    def _inside(self) -> tuple[Filter, ...]:
        """The children, and what a bound name stands for."""
        return self.children()

    def _bound(self, names: Names) -> Filter:  # noqa: ARG002
        return self

    def _check_depth(self) -> None:
        if self.depth > DEEPEST:
            text = self.to_text()
            raise FilterError(f"nested more than {DEEPEST} deep; give a part a name of its own", text, 0, len(text))
