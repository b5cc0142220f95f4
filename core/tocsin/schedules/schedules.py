"""When a flow runs: which of the clocks' events pass, and when those that do take place."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal, overload

import pendulum

from tocsin.schedules import wall
from tocsin.schedules.clocks import Clock, ClockEvent, CronClock, DatesClock, IntervalClock, RRuleClock

if TYPE_CHECKING:
    from dateutil.rrule import rrule, rruleset

__all__ = ["CronSchedule", "DatesSchedule", "IntervalSchedule", "RRuleSchedule", "Schedule"]

Filter = Callable[[dt.datetime], bool]
Adjustment = Callable[[dt.datetime], dt.datetime]

MAX_CANDIDATES = 10_000  # filters that nothing passes must not keep `next` for ever


class Schedule:
    """The events of one or more clocks that pass the filters, moved by the adjustments.

    An event passes when all of `filters`, at least one of `or_filters` (if there are any) and none of
    `not_filters` accept its moment. Adjustments apply one after another to those that pass.
    """

    def __init__(
        self,
        clocks: Iterable[Clock],
        filters: Iterable[Filter] | None = None,
        or_filters: Iterable[Filter] | None = None,
        not_filters: Iterable[Filter] | None = None,
        adjustments: Iterable[Adjustment] | None = None,
    ) -> None:
        self.clocks = list(clocks)
        self.filters = list(filters or ())
        self.or_filters = list(or_filters or ())
        self.not_filters = list(not_filters or ())
        self.adjustments = list(adjustments or ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *self.clocks))

    @property
    def start_date(self) -> pendulum.DateTime | None:
        """The first of the clocks' starts, if any has one."""
        return min((clock.start_date for clock in self.clocks if clock.start_date), key=wall.stamp, default=None)

    @property
    def end_date(self) -> pendulum.DateTime | None:
        """The last of the clocks' ends, if any has one."""
        return max((clock.end_date for clock in self.clocks if clock.end_date), key=wall.stamp, default=None)

    @overload
    def next(
        self, n: int, after: dt.datetime | None = None, return_events: Literal[False] = False
    ) -> list[pendulum.DateTime]: ...
    @overload
    def next(self, n: int, after: dt.datetime | None = None, *, return_events: Literal[True]) -> list[ClockEvent]: ...
    @overload
    def next(self, n: int, after: dt.datetime | None, return_events: Literal[True]) -> list[ClockEvent]: ...

    def next(
        self, n: int, after: dt.datetime | None = None, return_events: bool = False
    ) -> list[pendulum.DateTime] | list[ClockEvent]:
        """The next `n` moments, or events, after `after` (now, unless told); fewer if there are no more.

        It looks at 10,000 candidates and then gives up.
        """
        candidates = islice(merged([clock.events(after) for clock in self.clocks]), MAX_CANDIDATES)
        passing = (event for event in candidates if self._passes(event.start_time))
        events = [self._adjusted(event) for event in islice(passing, max(n, 0))]
        return events if return_events else [event.start_time for event in events]

    def _passes(self, moment: dt.datetime) -> bool:
        return (
            all(accepts(moment) for accepts in self.filters)
            and (not self.or_filters or any(accepts(moment) for accepts in self.or_filters))
            and not any(accepts(moment) for accepts in self.not_filters)
        )

    def _adjusted(self, event: ClockEvent) -> ClockEvent:
        moment: dt.datetime = event.start_time
        for adjust in self.adjustments:
            moment = adjust(moment)
        return ClockEvent(moment, event.parameter_defaults, event.labels)


def merged(streams: Iterable[Iterator[ClockEvent]]) -> Iterator[ClockEvent]:
    """The events of all streams in order; of equal ones, the first.

    >>> noon, one = pendulum.datetime(2021, 1, 1, 12), pendulum.datetime(2021, 1, 1, 13)
    >>> streams = iter([ClockEvent(noon), ClockEvent(one)]), iter([ClockEvent(noon), ClockEvent(noon, {"x": 1})])
    >>> [(event.start_time.hour, event.parameter_defaults) for event in merged(streams)]
    [(12, {}), (12, {'x': 1}), (13, {})]
    """
    together: list[ClockEvent] = []  # those of one moment
    for event in heapq.merge(*streams, key=lambda event: wall.stamp(event.start_time)):
        if together and event > together[0]:
            together = []
        if event not in together:
            together.append(event)
            yield event


def IntervalSchedule(  # noqa: N802  (Prefect 1 spells it like a class)
    start_date: dt.datetime | None = None,
    interval: dt.timedelta | None = None,
    end_date: dt.datetime | None = None,
) -> Schedule:
    """A schedule of one `IntervalClock`.

    >>> hourly = IntervalSchedule(interval=dt.timedelta(hours=1))
    >>> [str(moment) for moment in hourly.next(2, after=pendulum.datetime(2021, 1, 1))]
    ['2021-01-01 01:00:00+00:00', '2021-01-01 02:00:00+00:00']
    """
    if interval is None:
        raise TypeError("Interval must be a timedelta; give IntervalSchedule an 'interval'")
    return Schedule([IntervalClock(interval, start_date, end_date)])


def CronSchedule(  # noqa: N802  (as above)
    cron: str,
    start_date: dt.datetime | None = None,
    end_date: dt.datetime | None = None,
    day_or: bool | None = True,
) -> Schedule:
    """A schedule of one `CronClock`.

    >>> nightly = CronSchedule("30 2 * * *")
    >>> [str(moment) for moment in nightly.next(2, after=pendulum.datetime(2021, 1, 1))]
    ['2021-01-01 02:30:00+00:00', '2021-01-02 02:30:00+00:00']
    """
    return Schedule([CronClock(cron, start_date, end_date, day_or=day_or)])


def DatesSchedule(dates: Iterable[dt.datetime]) -> Schedule:  # noqa: N802  (as above)
    """A schedule of one `DatesClock`."""
    return Schedule([DatesClock(dates)])


def RRuleSchedule(  # noqa: N802  (as above)
    rrule_obj: rrule | rruleset,
    start_date: dt.datetime | None = None,
    end_date: dt.datetime | None = None,
) -> Schedule:
    """A schedule of one `RRuleClock`."""
    return Schedule([RRuleClock(rrule_obj, start_date, end_date)])
