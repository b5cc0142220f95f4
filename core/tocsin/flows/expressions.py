"""How tasks are combined like the values they will have: `a + b`, `rows[0]`, `x.is_equal(y)`, `load.pipe(f)`.

Each expression adds a task to the flow whose block is open. `==` and `!=` do not: they compare the tasks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.flows.task import Task


def _apply(operator: str, *operands: Any) -> Task:
    from tocsin.flows import operators  # they are tasks themselves

    made: Task = getattr(operators, operator)().bind(*operands)
    return made


class Expressions:
    """What a task offers to be combined with others."""

    name: str
    nout: int | None
    checkpoint: bool | None
    result: Any

    def __iter__(self) -> Iterator[Task]:
        if self.nout is None:
            raise TypeError(
                f"task '{self.name}' cannot be taken apart: it does not say how many results it has; "
                f"give nout=2 (or how many they are), or annotate its run with `-> tuple[...]`"
            )
        return (self[place] for place in range(self.nout))

    def __getitem__(self, key: Any) -> Task:
        from tocsin.flows.operators import GetItem

        shown = key.name if isinstance(key, Expressions) else repr(key)
        item = GetItem(name=f"{self.name}[{shown}]", checkpoint=self.checkpoint, result=self.result)
        return item.bind(self, key)

    def is_equal(self, other: Any) -> Task:
        """A task that compares the results: `self == other`."""
        return _apply("Equal", self, other)

    def is_not_equal(self, other: Any) -> Task:
        """A task that compares the results: `self != other`."""
        return _apply("NotEqual", self, other)

    def not_(self) -> Task:
        """A task for `not self`."""
        return _apply("Not", self)

    def and_(self, other: Any) -> Task:
        """A task for `self and other`."""
        return _apply("And", self, other)

    def or_(self, other: Any) -> Task:
        """A task for `self or other`."""
        return _apply("Or", self, other)

    def pipe(self, func: Callable[..., Any], /, **kwargs: Any) -> Any:
        """What `func(self, **kwargs)` makes: calls can be read from left to right."""
        return func(self, **kwargs)

    def __add__(self, other: Any) -> Task:
        return _apply("Add", self, other)

    def __radd__(self, other: Any) -> Task:
        return _apply("Add", other, self)

    def __sub__(self, other: Any) -> Task:
        return _apply("Sub", self, other)

    def __rsub__(self, other: Any) -> Task:
        return _apply("Sub", other, self)

    def __mul__(self, other: Any) -> Task:
        return _apply("Mul", self, other)

    def __rmul__(self, other: Any) -> Task:
        return _apply("Mul", other, self)

    def __truediv__(self, other: Any) -> Task:
        return _apply("Div", self, other)

    def __rtruediv__(self, other: Any) -> Task:
        return _apply("Div", other, self)

    def __floordiv__(self, other: Any) -> Task:
        return _apply("FloorDiv", self, other)

    def __rfloordiv__(self, other: Any) -> Task:
        return _apply("FloorDiv", other, self)

    def __mod__(self, other: Any) -> Task:
        return _apply("Mod", self, other)

    def __rmod__(self, other: Any) -> Task:
        return _apply("Mod", other, self)

    def __pow__(self, other: Any) -> Task:
        return _apply("Pow", self, other)

    def __rpow__(self, other: Any) -> Task:
        return _apply("Pow", other, self)

    def __lt__(self, other: Any) -> Task:
        return _apply("LessThan", self, other)

    def __le__(self, other: Any) -> Task:
        return _apply("LessThanOrEqual", self, other)

    def __gt__(self, other: Any) -> Task:
        return _apply("GreaterThan", self, other)

    def __ge__(self, other: Any) -> Task:
        return _apply("GreaterThanOrEqual", self, other)

    def __and__(self, other: Any) -> Task:
        return _apply("And", self, other)

    def __rand__(self, other: Any) -> Task:
        return _apply("And", other, self)

    def __or__(self, other: Any) -> Task:
        return _apply("Or", self, other)

    def __ror__(self, other: Any) -> Task:
        return _apply("Or", other, self)
