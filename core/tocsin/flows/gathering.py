"""How values that hold tasks become tasks themselves: a list of tasks is a task that makes a list of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin.flows.task import Task

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow


class Constant(Task):
    """A task whose result is a fixed value."""

    def __init__(self, value: Any, name: str | None = None) -> None:
        self.value = value
        super().__init__(name=f"Constant[{type(value).__name__}]" if name is None else name)

    def run(self) -> Any:
        """The value."""
        return self.value


class _Gather(Task):
    """Puts the results of tasks into a collection; its arguments are `arg_1`, `arg_2` and so on."""

    def run(self, **items: Any) -> Any:
        """The collection."""
        return self.collect([items[f"arg_{number}"] for number in range(1, len(items) + 1)])

    def collect(self, items: list[Any]) -> Any:
        """The collection of these items, in order."""
        raise NotImplementedError


class List(_Gather):
    """Makes a list of results."""

    def collect(self, items: list[Any]) -> Any:
        """The list."""
        return items


class Tuple(_Gather):
    """Makes a tuple of results."""

    def collect(self, items: list[Any]) -> Any:
        """The tuple."""
        return tuple(items)


class Set(_Gather):
    """Makes a set of results."""

    def collect(self, items: list[Any]) -> Any:
        """The set."""
        return set(items)


class Dict(Task):
    """Makes a dict of a list of keys and a list of values."""

    def run(self, keys: list[Any], values: list[Any]) -> Any:  # type: ignore[override]  # the base takes no arguments
        """The dict."""
        return dict(zip(keys, values, strict=True))


def holds_task(value: Any) -> bool:
    """Whether a value is a task, or a list, tuple, set or dict with one in it at any depth.

    >>> holds_task([1, {"a": Task()}]), holds_task([1, 2])
    (True, False)
    """
    if isinstance(value, Task):
        return True
    if isinstance(value, Mapping):
        return any(holds_task(item) for pair in value.items() for item in pair)
    return isinstance(value, list | tuple | set) and any(holds_task(item) for item in value)


def as_task(value: Any, flow: Flow) -> Task:
    """The task that stands for a value in `flow`: itself, a task that gathers, or a constant."""
    if isinstance(value, Task):
        return value
    if not holds_task(value):
        return Constant(value)
    if isinstance(value, Mapping):
        return Dict().bind(keys=list(value.keys()), values=list(value.values()), flow=flow)
    gatherer = List if isinstance(value, list) else Tuple if isinstance(value, tuple) else Set
    return gatherer().bind(flow=flow, **{f"arg_{number}": item for number, item in enumerate(value, 1)})
