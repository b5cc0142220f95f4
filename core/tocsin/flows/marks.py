"""How an argument says in which way its task is tied: `mapped`, `unmapped` and `flatten` around a value."""

from __future__ import annotations

from typing import Any, NamedTuple


class EdgeAnnotation:
    """Base of the three: wraps a task, or any other value, given to a task as an argument."""

    def __init__(self, task: Any) -> None:
        self.task = task

    @property
    def value(self) -> Any:
        """What is wrapped."""
        return self.task

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.task!r})"


class mapped(EdgeAnnotation):  # noqa: N801  (Prefect 1's name)
    """Maps over this argument, also of a task that is called rather than mapped."""


class unmapped(EdgeAnnotation):  # noqa: N801  (Prefect 1's name)
    """Gives this argument as a whole to every child of a mapped task."""


class flatten(EdgeAnnotation):  # noqa: N801  (Prefect 1's name)
    """Removes one level of nesting: a list of lists is taken as one list."""


class Said(NamedTuple):
    """A value without its annotations, and what they said."""

    value: Any
    mapped: bool
    flattened: bool


def read(value: Any, *, mapping: bool = False) -> Said:
    """What an argument says; `mapping` is what holds when it says nothing. The outermost annotation counts.

    >>> read(unmapped(flatten(5)), mapping=True)
    Said(value=5, mapped=False, flattened=True)
    """
    is_mapped: bool | None = None
    flattened = False
    while isinstance(value, EdgeAnnotation):
        if isinstance(value, flatten):
            flattened = True
        elif is_mapped is None:
            is_mapped = isinstance(value, mapped)
        value = value.task
    return Said(value, mapping if is_mapped is None else is_mapped, flattened)
