"""What all tables of a config file have in common, and how a value in one of them is refused."""

from __future__ import annotations

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
    code: str, reason: str, *, hint: str = "", span: tuple[int, int] | None = None, index: int = -1
) -> PydanticCustomError:
    """The error to raise for a value: its code, what is wrong, what would do, and which of its characters are meant.

    `index` says which element of a list the characters are those of.
    The texts are handed over as values, for braces in a template have a meaning to pydantic.
    """
    start, end = span or (-1, -1)
    context = {"code": code, "reason": reason, "hint": hint, "start": start, "end": end, "index": index}
    return PydanticCustomError("refused", "{reason}", context)


# ---------------------------------------------------------------- switched off


def _off_or_on(value: Any) -> str:
    return "<off>" if value is False else "<on>"


_T = TypeVar("_T")

OrOff = Annotated[Annotated[_T, Tag("<on>")] | Annotated[Literal[False], Tag("<off>")], Discriminator(_off_or_on)]
"""`OrOff[X]`: a value that is an X, or `false`, which says that what would be inherited does not hold."""


# ---------------------------------------------------------------- spans of time


def _span(least: timedelta | None) -> Callable[[Any], timedelta]:
    def read(value: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise refused("E107", f'write it with its unit: "{value}s"')
        if not isinstance(value, str):
            raise refused("E107", 'expected a duration such as "10s" or "2m"')
        return _long_enough(value, least)

    return read


def _long_enough(text: str, least: timedelta | None) -> timedelta:
    negative = text.strip().startswith("-")
    try:
        span = parse_duration(text.strip().removeprefix("-"))
    except ValueError as error:
        raise refused("E107", str(error)) from None
    if negative:
        raise refused("E310", f"'{text}' is negative", hint="time goes forwards only")
    if least is not None and span <= least:
        raise refused("E310", "must be longer than nothing")
    return span


LongerThanNothing = Annotated[timedelta, BeforeValidator(_span(timedelta(0)))]
"""A span of time longer than nothing."""
Wait = Annotated[timedelta, BeforeValidator(_span(None))]
"""A span of time; `"0s"` is at once."""
