"""Whether a window, or one of several, is open at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
        and bool(window.times or window.weekdays or window.months or window.days)  # it says when at all
        and (not window.times or _covers(range(_MINUTES), map(_half_open, window.times)))
        and (not window.weekdays or _covers(range(1, 8), window.weekdays))
        and (not window.months or _covers(range(1, 13), window.months))
        and (not window.days or any(days in ((1, -1), (1, 31), (-31, -1)) for days in window.days))
    )


def is_one_always_open(windows: Sequence[Window]) -> bool:
    """Whether at each moment of a week one of several windows is open. What goes by the date is left out of account.

    >>> office, night = Window("office", times=((480, 1080),)), Window("night", times=((1080, 480),))
    >>> is_one_always_open([office, night]), is_one_always_open([office])
    (True, False)
    """
    dated = [window for window in windows if window.days or window.months or window.years]
    weekly = [window for window in windows if (window.times or window.weekdays) and window not in dated]
    zones = {window.timezone for window in weekly}
    return any(
        len(frozenset[int]().union(*(_week(window) for window in weekly if window.timezone == zone))) == 7 * _MINUTES
        for zone in zones
    )


def _week(window: Window) -> frozenset[int]:
    """The minutes of a week, from Monday, in which a window is open; a time over midnight is of the day before."""
    days = [day for day in range(1, 8) if not window.weekdays or _covers(range(day, day + 1), window.weekdays)]
    spans = [(start, end if end > start else end + _MINUTES) for start, end in window.times or ((0, _MINUTES),)]
    return frozenset(
        ((day - 1) * _MINUTES + minute) % (7 * _MINUTES)
        for day in days
        for start, end in spans
        for minute in range(start, end)
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
