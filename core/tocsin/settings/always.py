"""Whether a window is open at every moment."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.settings.alerts import Range, Window

_MINUTES = 24 * 60


def is_always_open(window: Window) -> bool:
    """Whether nothing that the window asks for ever fails to hold.

    >>> is_always_open(Window("all", times=((0, 720), (600, 1440)), weekdays=((6, 5),)))
    True
    >>> is_always_open(Window("office", times=((480, 1080),)))
    False
    """
    return (
        not window.years
        and (not window.times or _covers(range(_MINUTES), map(_half_open, window.times)))
        and (not window.weekdays or _covers(range(1, 8), window.weekdays))
        and (not window.months or _covers(range(1, 13), window.months))
        and (not window.days or any(days in ((1, -1), (1, 31), (-31, -1)) for days in window.days))
    )


def _half_open(times: Range) -> Range:
    """A time range with its end included."""
    start, end = times
    return start, (end - 1) % _MINUTES


def _covers(whole: range, parts: Iterable[Range]) -> bool:
    """Whether each of `whole` is in one of the ranges, both ends included; one that ends before it starts wraps."""
    left = set(whole)
    for start, end in parts:
        left -= {each for each in left if (start <= each <= end if start <= end else each >= start or each <= end)}
    return not left
