"""The tasks behind expressions of tasks: `a + b` is an `Add` that waits for both."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar

from tocsin.flows.task import Task


class GetItem(Task):
    """Takes `task_result[key]`."""

    def run(self, task_result: Any, key: Any) -> Any:
        """The item."""
        return task_result[key]


class GetAttr(Task):
    """Takes `task_result.attr`, where dots in `attr` go deeper; `default` when there is none, if one is given."""

    def run(self, task_result: Any, attr: str, default: Any = ...) -> Any:
        """The attribute."""
        try:
            return operator.attrgetter(attr)(task_result)
        except AttributeError:
            if default is ...:
                raise
            return default


class _Unary(Task):
    """Base of operators with one operand."""

    apply: ClassVar[Callable[[Any], Any]]

    def run(self, x: Any) -> Any:
        """The operator's value."""
        return type(self).apply(x)


class _Binary(Task):
    """Base of operators with two operands."""

    apply: ClassVar[Callable[[Any, Any], Any]]

    def run(self, x: Any, y: Any) -> Any:
        """The operator's value."""
        return type(self).apply(x, y)


class Not(_Unary):
    """Tells `not x`."""

    apply = operator.not_


class Add(_Binary):
    """Makes `x + y`."""

    apply = operator.add


class Sub(_Binary):
    """Makes `x - y`."""

    apply = operator.sub


class Mul(_Binary):
    """Makes `x * y`."""

    apply = operator.mul


class Div(_Binary):
    """Makes `x / y`."""

    apply = operator.truediv


class FloorDiv(_Binary):
    """Makes `x // y`."""

    apply = operator.floordiv


class Mod(_Binary):
    """Makes `x % y`."""

    apply = operator.mod


class Pow(_Binary):
    """Makes `x ** y`."""

    apply = operator.pow


class And(_Binary):
    """Makes `x and y`."""

    def run(self, x: Any, y: Any) -> Any:
        """`x` if it is false, else `y`."""
        return x and y


class Or(_Binary):
    """Makes `x or y`."""

    def run(self, x: Any, y: Any) -> Any:
        """`x` if it is true, else `y`."""
        return x or y


class Equal(_Binary):
    """Tells `x == y`."""

    apply = operator.eq


class NotEqual(_Binary):
    """Tells `x != y`."""

    apply = operator.ne


class LessThan(_Binary):
    """Tells `x < y`."""

    apply = operator.lt


class LessThanOrEqual(_Binary):
    """Tells `x <= y`."""

    apply = operator.le


class GreaterThan(_Binary):
    """Tells `x > y`."""

    apply = operator.gt


class GreaterThanOrEqual(_Binary):
    """Tells `x >= y`."""

    apply = operator.ge
