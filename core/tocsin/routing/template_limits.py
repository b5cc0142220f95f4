"""How much a template may do: how often it may loop and call, how much it may write, how large a value may grow.

The sandbox of Jinja2 keeps a template from harm, not from work: `{{ 'x' * 10**9 }}` is allowed there, and loops that
write nothing may go on for hours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any

from jinja2 import TemplateRuntimeError, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

STEPS = 200_000
"""Turns of loops, calls, and elements of ranges that one template may take."""
LARGEST = 1_000_000
"""Characters, or elements, of a value; also of all that is written, before it is cut."""
_DIGITS = 1000  # of a number; more than any float has

_WIDTH = re.compile(r"\d{6,}|\*")


class Budget:
    """What one rendering has left."""

    def __init__(self) -> None:
        self._steps, self._written = STEPS, LARGEST

    def step(self, count: int = 1) -> None:
        """Take steps. Raises TemplateRuntimeError when too many were taken."""
        self._steps -= count
        if self._steps < 0:
            raise TemplateRuntimeError(f"the template takes more than {STEPS:,} steps; let it loop less")

    def write(self, count: int) -> None:
        """Write characters. Raises TemplateRuntimeError when too many were written."""
        self._written -= count
        if self._written < 0:
            raise TemplateRuntimeError(f"the template writes more than {LARGEST:,} characters; let it write less")


BUDGET = "tocsin budget"
"""The name under which the data of a rendering holds its budget; no template can say it."""


def _budget(context: Context) -> Budget:
    found = context.parent.get(BUDGET)
    return found if isinstance(found, Budget) else Budget()


@pass_context
def _counted(context: Context, each: Iterable[Any]) -> Iterator[Any]:
    budget = _budget(context)
    for one in each:
        budget.step()
        yield one


@pass_context
def _written(context: Context, value: Any) -> Any:
    text = value if isinstance(value, str) else str(value)
    _budget(context).write(len(text))
    return text


def bounded(size: int) -> None:
    """Raise TemplateRuntimeError where a value would be too large."""
    if size > LARGEST:
        raise TemplateRuntimeError(f"a value in the template is larger than {LARGEST:,}; make it smaller")


def _operands_bounded(operator: str, left: Any, right: Any) -> None:
    """Raise TemplateRuntimeError where the result of an operation would be too large.

    >>> _operands_bounded("*", "ab", 3)
    >>> _operands_bounded("**", 9, 99_999)
    Traceback (most recent call last):
    jinja2.exceptions.TemplateRuntimeError: a value in the template is larger than 1,000,000; make it smaller
    """
    if operator == "%" and isinstance(left, str):
        _widths_bounded(left, right if isinstance(right, tuple) else (right,))
    elif isinstance(left, int) and isinstance(right, int):
        digits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if digits > _DIGITS * 4:
            bounded(LARGEST + 1)
    elif operator == "*":
        for sized, times in ((left, right), (right, left)):
            if isinstance(times, int) and hasattr(sized, "__len__"):
                bounded(len(sized) * times)
    elif operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
        bounded(len(left) + len(right))


def _widths_bounded(text: Any, given: Iterable[Any]) -> None:
    """What is written to a width must not be told one that is too large."""
    for each in given:
        if isinstance(each, int) and not isinstance(each, bool) and _WIDTH.search(str(text)):
            bounded(abs(each))
    for found in _WIDTH.findall(str(text)):
        bounded(0 if found == "*" else int(found[:20]))


def _numbers_bounded(given: Iterable[Any]) -> None:
    for each in given:
        if isinstance(each, int):
            bounded(abs(each))


def _repeats_bounded(text: Any, given: Sequence[Any]) -> None:
    """What puts one text wherever another stands must not put too much."""
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) > 1 and isinstance(text, str):
        bounded(len(text) + text.count(texts[0]) * len(texts[1]))


def _joins_bounded(text: Any, given: Sequence[Any]) -> None:
    """What stands between many must not be too long."""
    for each in given:
        if isinstance(each, str) and hasattr(text, "__len__"):
            bounded(len(text) * len(each))


def _growing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja2's whose result can be much larger than its value."""
    at = 1 if hasattr(function, "jinja_pass_arg") else 0  # what Jinja2 gives it beside the value stands before that

    @wraps(function)
    def limited(*args: Any, **named: Any) -> Any:
        value, given = args[at], [*args[at + 1 :], *named.values()]
        if name == "join" and not hasattr(value, "__len__"):
            value = list(value)
        if name == "format":
            _widths_bounded(value, given)
        elif name == "replace":
            _repeats_bounded(value, given)
        elif name == "join":
            _joins_bounded(value, given)
        else:
            widths = [each for each in given if isinstance(each, int)]
            bounded(len(str(value)) * max([1, *map(abs, widths)]))
        return function(*args[:at], value, *args[at + 1 :], **named)

    return limited


class _Compiled(CodeGenerator):
    """Compiles loops and joined texts so that they are counted."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802  (Jinja2's name)
        """See `CodeGenerator.visit_Template`."""
        for loop in node.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "tocsin counted", [], [], None, None, lineno=loop.lineno)
        super().visit_Template(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """See `CodeGenerator.visit_Concat`."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which a rendering ends, if its data holds a `Budget`."""

    code_generator_class = _Compiled
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_written, **options)
        self.filters["tocsin counted"] = _counted
        for name in ("center", "format", "indent", "join", "replace"):
            self.filters[name] = _growing(name, self.filters[name])

    @staticmethod
    def joined(parts: Sequence[Any]) -> str:
        """The texts of `parts` in one."""
        texts = [str(part) for part in parts]
        bounded(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """See `SandboxedEnvironment.call_binop`."""
        _operands_bounded(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, called: Any, /, *args: Any, **named: Any) -> Any:
        """See `SandboxedEnvironment.call`."""
        _budget(context).step()
        method = getattr(called, "__wrapped__", called)  # Jinja2 wraps those that format
        if isinstance(text := getattr(method, "__self__", None), str):
            _widths_bounded(text, args)
            _numbers_bounded(args)
            _repeats_bounded(text, args)
        result = super().call(context, called, *args, **named)
        if isinstance(result, range):
            _budget(context).step(len(result))
        return result
