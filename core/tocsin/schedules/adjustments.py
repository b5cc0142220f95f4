"""How a schedule moves the moments that passed its filters.

An adjustment takes a moment and returns one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pendulum

__all__ = ["add", "next_weekday"]


@dataclass(frozen=True, slots=True)
class _Add:
    interval: dt.timedelta

    def __call__(self, moment: dt.datetime) -> pendulum.DateTime:
        return pendulum.instance(moment) + self.interval


def add(interval: dt.timedelta) -> _Add:
    """Move a moment by `interval`.

    >>> str(add(dt.timedelta(hours=2))(pendulum.datetime(2021, 5, 1, 9)))
    '2021-05-01 11:00:00+00:00'
    """
    return _Add(interval)


def next_weekday(dt: dt.datetime) -> pendulum.DateTime:
    """Move a moment of the weekend to Monday, at the same time of day; leave the others.

    >>> str(next_weekday(pendulum.datetime(2021, 5, 1, 9))), str(next_weekday(pendulum.datetime(2021, 5, 4, 9)))
    ('2021-05-03 09:00:00+00:00', '2021-05-04 09:00:00+00:00')
    """
    moment = pendulum.instance(dt)
    return moment.add(days=7 - moment.weekday()) if moment.weekday() >= 5 else moment
