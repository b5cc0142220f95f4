"""Spans of time as people write them: "500ms", "10s", "2m", "1h30m", "1d"."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31_536_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|y)")
_LONGEST = 100  # characters: far more than any span needs, and a bound on the work


def parse_duration(text: str) -> timedelta:
    """The span that `text` names. Raises ValueError for anything else.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a duration of {len(text)} characters is none")
    compact = text.replace(" ", "")
    if compact == "0":
        return timedelta(0)
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f'expected a duration such as "500ms", "10s", "2m" or "1h30m", found {text!r}')
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than can be counted") from None


def format_duration(seconds: float) -> str:
    """`seconds` for people: two units at most.

    >>> [format_duration(s) for s in (0.0042, 0.25, 12.3, 75, 5400, 90061)]
    ['4 ms', '250 ms', '12.3 s', '1 min 15 s', '1 h 30 min', '1 d 1 h']
    """
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    for size, unit, below, lower in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(math.floor(seconds), size)
            return f"{whole} {unit} {rest // below} {lower}" if rest // below else f"{whole} {unit}"
    raise AssertionError("unreachable: every number of seconds from 60 on has a unit")


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, str):
        try:
            span = parse_duration(value)
        except ValueError as error:
            raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from None
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        raise PydanticCustomError("duration", 'write it with its unit: "{value}s"', {"value": value})
    else:
        raise PydanticCustomError("duration", 'expected a duration such as "10s" or "2m"')
    if span <= timedelta(0):
        raise PydanticCustomError("duration", "must be longer than nothing")
    return span


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(lambda span: f"{span.total_seconds():g}s", return_type=str)
]
"""A setting that is a span of time, longer than nothing."""
