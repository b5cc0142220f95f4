"""What all tables of a config file have in common, and how a value in one of them is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictStr, Tag
from pydantic_core import PydanticCustomError

from tocsin_hooks.durations import parse_duration


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    return text


Text = Annotated[StrictStr, Field(min_length=1), AfterValidator(_not_blank)]
"""A text with at least one character that is no white space."""


class Table(BaseModel):
    """A table of the file: a key it does not know is an error, and nothing in it changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def refused(
    code: str,
    reason: str,
    *,
    hint: str = "",
    span: tuple[int, int] | None = None,
    index: int = -1,
    key: str = "",
) -> PydanticCustomError:
    """The error to raise for a value: its code, what is wrong, what would do, and which of its characters are meant.

    `index` says which element of a list the characters are those of, `key` which key of a table is meant.
    The texts are handed over as values, for braces in a template have a meaning to pydantic.
    """
    start, end = span or (-1, -1)
    context = {"code": code, "reason": reason, "hint": hint, "start": start, "end": end, "index": index, "key": key}
    return PydanticCustomError("refused", "{reason}", context)


# ---------------------------------------------------------------- switched off


def _off_or_on(value: Any) -> str:
    return "<off>" if value is False else "<on>"


_T = TypeVar("_T")

OrOff = Annotated[Annotated[_T, Tag("<on>")] | Annotated[Literal[False], Tag("<off>")], Discriminator(_off_or_on)]
"""`OrOff[X]`: a value that is an X, or `false`, which says that what would be inherited does not hold."""


# ---------------------------------------------------------------- spans of time


def bare_number(value: float, unit: str = "s") -> str:
    """What is to be said of a number that stands where a span of time is expected; `unit` is the one most likely meant.

    >>> bare_number(30), bare_number(30, "d"), bare_number(-5)
    ('write it with its unit: "30s"', 'write it with its unit: "30d"', 'is negative, and time goes forwards only')
    >>> bare_number(float("inf")), bare_number(1e300)
    ('expected a duration such as "10s" or "2m"', 'expected a duration such as "10s" or "2m"')
    """
    if -float("inf") < value < 0:
        return "is negative, and time goes forwards only"
    text = f"{value}{unit}"
    try:
        parse_duration(text)
    except ValueError:  # no number, or too large a one
        return _EXPECTED
    return f'write it with its unit: "{text}"'


_MEANT_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\.?\s*")
_PLAIN_SPAN = re.compile(r"\s*(?:\d+(?:\.\d+)? *(?:ms|s|m|h|d|w|y)|0)\s*")  # nothing is wrong with its form
_UNIT_WORDS = {
    "sec": "s", "second": "s", "min": "m", "minute": "m", "hr": "h", "hour": "h", "day": "d", "week": "w",
    "year": "y", "milli": "ms", "msec": "ms", "millisecond": "ms", "h": "h", "d": "d", "s": "s",
}  # fmt: skip


def span_meant(text: str, unit: str = "s") -> str:
    """What would do instead of a text that is nearly a span of time; empty where that cannot be told.

    >>> span_meant("30", "d"), span_meant("30 days"), span_meant("1.5 Hours"), span_meant("1M"), span_meant("soon")
    ('did you mean "30d"?', 'did you mean "30d"?', 'did you mean "1.5h"?', '', '')
    """
    found = _MEANT_SPAN.fullmatch(text)
    if found is None or _PLAIN_SPAN.fullmatch(text):
        return ""
    word = found[2].lower()
    meant = _UNIT_WORDS.get(word) or _UNIT_WORDS.get(word.removesuffix("s")) if word else unit
    return f'did you mean "{found[1]}{meant}"?' if meant else ""


_EXPECTED = 'expected a duration such as "10s" or "2m"'


def _span(least: timedelta | None) -> Callable[[Any], timedelta]:
    def read(value: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise refused("E310" if value < 0 else "E107", bare_number(value))
        if not isinstance(value, str):
            raise refused("E107", _EXPECTED)
        return _long_enough(value, least)

    return read


def is_negative(text: str) -> bool:
    """Whether a text is a span of time with a minus in front.

    >>> is_negative("-5s"), is_negative("- 1h"), is_negative("5s"), is_negative("-x")
    (True, True, False, False)
    """
    try:
        return text.strip().startswith("-") and bool(parse_duration(text.strip().removeprefix("-")))
    except ValueError:
        return False


def _long_enough(text: str, least: timedelta | None) -> timedelta:
    negative = text.strip().startswith("-")
    try:
        span = parse_duration(text.strip().removeprefix("-"))
    except ValueError as error:
        raise refused("E107", str(error), hint=span_meant(text)) from None
    if negative:
        raise refused("E310", f"'{text}' is negative", hint="time goes forwards only")
    if least is not None and span <= least:
        raise refused("E310", "must be longer than nothing")
    return span


LongerThanNothing = Annotated[timedelta, BeforeValidator(_span(timedelta(0)))]
"""A span of time longer than nothing."""
Wait = Annotated[timedelta, BeforeValidator(_span(None))]
"""A span of time; `"0s"` is at once."""
