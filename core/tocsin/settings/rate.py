"""When a channel may be sent to again that was promised not to be sent to too often."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tocsin_hooks.durations import parse_duration

_ONE = re.compile(r"(\d{1,9})\s*/\s*(\d*\s*[a-z]+)", re.IGNORECASE)
_WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d"}
_LONGEST = timedelta(days=31)
_MOST = 10_000  # times that have to be remembered


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in any span of that length."""

    count: int
    span: timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a channel may be sent to: all of its limits hold, over sliding windows.

    >>> rate = Rate.parse("2/s, 3/m")
    >>> second = 1_000_000
    >>> rate.free_at([], 5 * second) == 5 * second
    True
    >>> rate.free_at([0, 10], 20) == second
    True
    >>> rate.free_at([0, 10, second], 2 * second) == 60 * second
    True
    """

    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, text: str) -> Rate:
        """The rate that a config writes as `"1/s, 20/m"`. Raises ValueError, which says what is wrong."""
        limits = [_limit(part.strip() or text) for part in text.split(",")]
        return cls(tuple(limits))

    @property
    def longest_memory(self) -> int:
        """How many of the last messages have to be remembered."""
        return max(limit.count for limit in self.limits)

    def free_at(self, taken: Sequence[int], now: int) -> int:
        """When the next message may go: `now`, or later. Times are in microseconds; `taken` ascends."""
        # a time that has not come yet was written before the clock was set back
        full = [limit for limit in self.limits if len(taken) >= limit.count]
        return max([now, *(min(taken[-each.count], now) + each.span // timedelta(microseconds=1) for each in full)])

    def take(self, taken: Sequence[int], wanted: int, now: int) -> tuple[tuple[int, ...], int, int]:
        """Let as many of `wanted` messages go as may: the times to remember, how many they are, when the next may go.

        >>> Rate.parse("2/s").take([], 5, 0)
        ((0, 0), 2, 1000000)
        """
        kept, granted = [min(time, now) for time in taken[-self.longest_memory :]], 0
        while granted < wanted and self.free_at(kept, now) <= now:
            kept.append(now)
            granted += 1
        return tuple(kept[-self.longest_memory :]), granted, self.free_at(kept, now)


def _limit(text: str) -> Limit:
    found = _ONE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no rate: how many in which time")
    count, span = int(found[1]), found[2].replace(" ", "").lower()
    number = span.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = span[len(number) :]
    unit = _WORDS.get(unit.removesuffix("s") if len(unit) > 2 else unit, unit)
    try:
        length = parse_duration(f"{number or 1}{unit}")
    except ValueError:
        raise ValueError(f"'{text}' is no rate: the units of time are ms, s, m, h and d") from None
    if not count or not length:
        raise ValueError(f"'{text}' lets nothing through; leave the channel out of 'send' instead")
    if count > _MOST or length > _LONGEST:
        raise ValueError(f"'{text}' counts too far: at most 10000 messages, and at most 31d")
    return Limit(count, length)
