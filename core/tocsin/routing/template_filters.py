"""How templates use the filters that plugins provide: plain values in, plain values out, so that the sandbox holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError, TemplateRuntimeError, Undefined

from tocsin_hooks.secrets import redact

_LONGEST = 100_000  # characters of one text
_MOST = 10_000  # values inside one another
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class PlainFilter:
    """A filter that is given copies of plain values only, and whose answer is one.

    Whatever else it is given or gives, and whatever it raises, is an error of the template that uses it.

    >>> PlainFilter("money", lambda cents: f"{cents / 100:.2f} EUR")(1999)
    '19.99 EUR'
    >>> PlainFilter("module", lambda _: __import__("os"))("x")
    Traceback (most recent call last):
    jinja2.exceptions.TemplateRuntimeError: filter 'module': a 'module' is no plain value
    """

    name: str
    function: Callable[..., Any]

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The plain answer; raises TemplateError."""
        try:
            given = [plain(value) for value in args]
            return plain(self.function(*given, **{name: plain(value) for name, value in named.items()}))
        except TemplateError:
            raise
        except Exception as error:  # it is a plugin's code
            what = str(error) if isinstance(error, NotPlainError) else f"{type(error).__name__}: {error}"
            raise TemplateRuntimeError(f"filter '{self.name}': {redact(what)}") from error


class NotPlainError(TypeError):
    """A value that no template may see."""


def plain(value: Any) -> Any:
    """A copy of `value` made of texts, numbers, lists and mappings, and nothing else.

    Raises NotPlainError for what is none of these, or too much; jinja2's own error for what is undefined.

    >>> plain({"a": (1, None), 2: True})
    {'a': [1, None], '2': True}
    """
    left = iter(range(_MOST))
    return _plain(value, _DEEPEST, left)


def _plain(value: Any, depth: int, left: Iterator[int]) -> Any:
    if next(left, None) is None or depth < 0:
        raise NotPlainError("more values than a template can use")
    match value:
        case Undefined():
            return str(value)  # which raises what says so
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return "".join(value)[:_LONGEST]
        case Mapping():
            return {str(key): _plain(inner, depth - 1, left) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner, depth - 1, left) for inner in value]
    raise NotPlainError(f"a '{type(value).__name__}' is no plain value")
