"""Which moments a schedule lets pass.

A filter takes a moment and returns a bool. Some are filters themselves (`is_weekday`), others make one from what
they are given (`at_time`); made alike, those are equal, and they can be pickled. Limits belong to their range.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tocsin.schedules import wall

__all__ = [
    "at_time",
    "between_dates",
    "between_datetimes",
    "between_times",
    "is_day_of_week",
    "is_month_end",
    "is_month_start",
    "is_weekday",
    "is_weekend",
    "on_date",
    "on_datetime",
]


@dataclass(frozen=True, slots=True)
class _Made:
    check: Callable[..., bool]
    arguments: tuple[Any, ...]

    def __call__(self, moment: dt.datetime) -> bool:
        return self.check(moment, *self.arguments)


def on_datetime(dt: dt.datetime) -> _Made:
    """Let this moment pass.

    >>> on_datetime(dt.datetime(2021, 5, 1, 9))(dt.datetime(2021, 5, 1, 9))
    True
    """
    return _Made(_within_moments, (dt, dt))


def between_datetimes(start: dt.datetime, end: dt.datetime) -> _Made:
    """Let moments from `start` to `end` pass.

    >>> between_datetimes(dt.datetime(2021, 5, 1), dt.datetime(2021, 5, 3))(dt.datetime(2021, 5, 3))
    True
    """
    return _Made(_within_moments, (start, end))


def on_date(month: int, day: int) -> _Made:
    """Let this date pass, in any year.

    >>> on_date(3, 15)(dt.datetime(2021, 3, 15, 9)), on_date(3, 15)(dt.datetime(2021, 3, 16))
    (True, False)
    """
    return _Made(_within_dates, ((month, day), (month, day)))


def between_dates(start_month: int, start_day: int, end_month: int, end_day: int) -> _Made:
    """Let dates from the one to the other pass, in any year; across the new year if the first is the later.

    >>> winter = between_dates(10, 15, 3, 31)
    >>> winter(dt.datetime(2021, 1, 5)), winter(dt.datetime(2021, 10, 14))
    (True, False)
    """
    return _Made(_within_dates, ((start_month, start_day), (end_month, end_day)))


def at_time(t: dt.time) -> _Made:
    """Let this time of day pass, on the wall clock of the moment's time zone.

    >>> at_time(dt.time(15, 30))(dt.datetime(2021, 5, 1, 15, 30))
    True
    """
    return _Made(_within_times, (t, t))


def between_times(start: dt.time, end: dt.time) -> _Made:
    """Let times of day from `start` to `end` pass; across midnight if `start` is the later.

    >>> night = between_times(dt.time(22), dt.time(6))
    >>> night(dt.datetime(2021, 5, 1, 23)), night(dt.datetime(2021, 5, 1, 6)), night(dt.datetime(2021, 5, 1, 7))
    (True, True, False)
    """
    return _Made(_within_times, (start, end))


def is_day_of_week(day_of_week: int) -> _Made:
    """Let this day of the week pass; 0 is Monday, 6 Sunday.

    >>> is_day_of_week(0)(dt.datetime(2021, 5, 3))
    True
    """
    return _Made(_falls_on, (day_of_week,))


def is_weekday(dt: dt.datetime) -> bool:
    """Whether it is Monday to Friday.

    >>> is_weekday(dt.datetime(2021, 5, 3)), is_weekday(dt.datetime(2021, 5, 1))
    (True, False)
    """
    return dt.weekday() < 5


def is_weekend(dt: dt.datetime) -> bool:
    """Whether it is Saturday or Sunday.

    >>> is_weekend(dt.datetime(2021, 5, 1))
    True
    """
    return dt.weekday() >= 5


def is_month_start(dt: dt.datetime) -> bool:
    """Whether it is the first day of a month.

    >>> is_month_start(dt.datetime(2021, 5, 1, 23))
    True
    """
    return dt.day == 1


def is_month_end(dt: dt.datetime) -> bool:
    """Whether it is the last day of a month.

    >>> is_month_end(dt.datetime(2021, 2, 28)), is_month_end(dt.datetime(2020, 2, 28))
    (True, False)
    """
    return (dt.date() + _DAY).day == 1


_DAY = dt.timedelta(days=1)


def _within_moments(moment: dt.datetime, start: dt.datetime, end: dt.datetime) -> bool:
    return wall.stamp(start) <= wall.stamp(moment) <= wall.stamp(end)


def _within_dates(moment: dt.datetime, start: tuple[int, int], end: tuple[int, int]) -> bool:
    date = (moment.month, moment.day)
    return start <= date <= end if start <= end else date >= start or date <= end


def _within_times(moment: dt.datetime, start: dt.time, end: dt.time) -> bool:
    time = moment.time()
    return start <= time <= end if start <= end else time >= start or time <= end


def _falls_on(moment: dt.datetime, day_of_week: int) -> bool:
    return moment.weekday() == day_of_week
