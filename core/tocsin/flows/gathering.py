"""How values that hold tasks become tasks themselves: a list of tasks is a task that makes a list of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from tocsin.flows.marks import EdgeAnnotation
from tocsin.flows.task import Task, flow_in_use, forget_unused

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow


class Constant(Task):
    """A task whose result is a fixed value."""

    def __init__(self, value: Any, name: str | None = None, **kwargs: Any) -> None:
        self.value = value
        super().__init__(name=f"Constant[{type(value).__name__}]" if name is None else name, **kwargs)

    def run(self) -> Any:
        """The value."""
        return self.value


class _Gather(Task):
    """Puts the results of tasks into a collection; its arguments are `arg_1`, `arg_2` and so on."""

    def bind(self, *args: Any, **kwargs: Any) -> Self:
        """Put this task into the flow; items may be given by position."""
        return super().bind(**{f"arg_{number}": item for number, item in enumerate(args, 1)}, **kwargs)

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

    def run(self, keys: list[Any], values: list[Any]) -> Any:
        """The dict; ValueError when there are more of the ones than of the others."""
        return dict(zip(keys, values, strict=True))


def holds_task(value: Any) -> bool:
    """Whether a value is a task, or a list, tuple, set or dict with one in it at any depth.

    >>> holds_task([1, {"a": Task()}]), holds_task([1, 2])
    (True, False)
    """
    if isinstance(value, Task | EdgeAnnotation):
        return isinstance(value, Task) or holds_task(value.task)
    if isinstance(value, Mapping):
        return any(holds_task(item) for pair in value.items() for item in pair)
    return isinstance(value, list | tuple | set) and any(holds_task(item) for item in value)


def as_task(value: Any, flow: Flow | None = None, convert_constants: bool = True) -> Any:
    """The task that stands for a value: itself, a task that gathers, or a constant.

    Those that gather are put into the flow, by default the one whose block is open. `convert_constants=False` leaves a
    value without tasks in it as it is.
    """
    while isinstance(value, EdgeAnnotation):
        value = value.task
    if isinstance(value, Task):
        return value
    if not holds_task(value):
        return _made(Constant(value)) if convert_constants else value
    if isinstance(value, Mapping):
        made: Task = _made(Dict())
        items: Any = {"keys": list(value.keys()), "values": list(value.values())}
    else:
        made = _made(List() if isinstance(value, list) else Tuple() if isinstance(value, tuple) else Set())
        items = {f"arg_{number}": item for number, item in enumerate(value, 1)}
    return made.bind(flow=flow_in_use(flow, made, "made"), **items)


def _made(task: Task) -> Task:
    task.auto_generated = True
    forget_unused(task)  # nobody is to be blamed for not using it
    return task
