"""At which moments wall-clock times come round, where clocks are set forward and back.

Moments are compared by their time stamps: two `datetime` of one zone compare as the clock on the wall shows them,
which takes the two 1:30 of the night when clocks go back for one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import pendulum


def stamp(moment: dt.datetime) -> float:
    """Seconds since 1970; a moment without zone is in UTC.

    >>> stamp(dt.datetime(1970, 1, 2))
    86400.0
    """
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def face(moment: dt.datetime) -> dt.datetime:
    """What the clock on the wall shows, as a plain `datetime` without zone.

    >>> face(pendulum.datetime(2021, 3, 14, 9, tz="America/New_York"))
    datetime.datetime(2021, 3, 14, 9, 0)
    """
    return dt.datetime(*moment.timetuple()[:6], moment.microsecond)  # noqa: DTZ001  (without zone is its point)


def first_moment(wall: dt.datetime, zone: dt.tzinfo) -> pendulum.DateTime:
    """When the clocks of `zone` first show `wall`; as much later as clocks are set forward if they leave it out.

    >>> new_york = pendulum.timezone("America/New_York")
    >>> str(first_moment(dt.datetime(2021, 11, 7, 1, 30), new_york))
    '2021-11-07 01:30:00-04:00'
    >>> str(first_moment(dt.datetime(2021, 3, 14, 2, 30), new_york))
    '2021-03-14 03:30:00-04:00'
    """
    utc = wall.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    missed = wall - utc.astimezone(zone).replace(tzinfo=None)
    if missed > dt.timedelta(0):  # some zones answer a time left out with an earlier one
        utc += missed
    return pendulum.instance(utc.astimezone(zone))


def moments(walls: Iterable[dt.datetime], zone: dt.tzinfo) -> Iterator[pendulum.DateTime]:
    """The moments of rising wall-clock times: each once, in order.

    >>> london = pendulum.timezone("Europe/London")
    >>> hours = [dt.datetime(2021, 3, 28, hour) for hour in range(4)]
    >>> [str(moment)[11:] for moment in moments(hours, london)]
    ['00:00:00+00:00', '02:00:00+01:00', '03:00:00+01:00']
    """
    held: list[tuple[float, pendulum.DateTime]] = []  # those put off may have to let later times on the wall pass
    last = float("-inf")
    for wall in walls:
        moment = first_moment(wall, zone)
        time = moment.timestamp()
        heappush(held, (time, moment))
        if face(moment) == wall:  # not put off: nothing that follows comes before it
            while held and held[0][0] <= time:
                due, ready = heappop(held)
                if due > last:
                    last = due
                    yield ready
    for due, ready in sorted(held, key=lambda pair: pair[0]):
        if due > last:
            last = due
            yield ready


def earliest_wall(after: pendulum.DateTime, zone: dt.tzinfo) -> dt.datetime:
    """A time on the wall, in whole seconds, before all whose moments are `after` or later.

    >>> new_york = pendulum.timezone("America/New_York")
    >>> earliest_wall(pendulum.datetime(2021, 3, 14, 3, 10, tz="America/New_York"), new_york)
    datetime.datetime(2021, 3, 14, 2, 9, 59)
    """
    local = after.astimezone(zone)
    before = (after.astimezone(dt.UTC) - dt.timedelta(days=1)).astimezone(zone)
    forward = (local.utcoffset() or dt.timedelta(0)) - (before.utcoffset() or dt.timedelta(0))
    return face(local).replace(microsecond=0) - dt.timedelta(seconds=1) - max(forward, dt.timedelta(0))
