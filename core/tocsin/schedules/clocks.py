"""Which moments a clock emits: at intervals, by cron, on given dates, by calendar rules.

Every clock emits moments later than the one it is asked about, not before its start nor after its end, in the
time zone of its start (else UTC).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pendulum

from tocsin.clock import SystemClock
from tocsin.schedules import wall

if TYPE_CHECKING:
    from dateutil.rrule import rrule, rruleset

__all__ = ["Clock", "ClockEvent", "CronClock", "DatesClock", "IntervalClock", "RRuleClock"]

_ANCHOR = pendulum.datetime(2019, 1, 1)  # intervals without a start are counted from here
_DAY = dt.timedelta(days=1)


class ClockEvent:
    """A moment that a clock emits, with the parameters and labels of the run that starts then.

    Events are ordered by their moment; they are equal if parameters and labels are so too. A plain `datetime`
    is compared with the moment alone.
    """

    def __init__(
        self,
        start_time: dt.datetime,
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.start_time = pendulum.instance(start_time)
        self.parameter_defaults = dict(parameter_defaults or {})
        self.labels = labels

    def __repr__(self) -> str:
        return f"<ClockEvent: {self.start_time}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ClockEvent):
            mine = (wall.stamp(self.start_time), self.parameter_defaults, self.labels)
            return mine == (wall.stamp(other.start_time), other.parameter_defaults, other.labels)
        if isinstance(other, dt.datetime):
            return wall.stamp(self.start_time) == wall.stamp(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(wall.stamp(self.start_time))

    def __lt__(self, other: ClockEvent | dt.datetime) -> bool:
        return wall.stamp(self.start_time) < _stamp_of(other)

    def __le__(self, other: ClockEvent | dt.datetime) -> bool:
        return wall.stamp(self.start_time) <= _stamp_of(other)

    def __gt__(self, other: ClockEvent | dt.datetime) -> bool:
        return wall.stamp(self.start_time) > _stamp_of(other)

    def __ge__(self, other: ClockEvent | dt.datetime) -> bool:
        return wall.stamp(self.start_time) >= _stamp_of(other)


def _stamp_of(other: ClockEvent | dt.datetime) -> float:
    if not isinstance(other, ClockEvent | dt.datetime):
        raise TypeError(f"a clock event cannot be compared with {type(other).__name__!r}")
    return wall.stamp(other.start_time if isinstance(other, ClockEvent) else other)


class Clock:
    """What all clocks share. Two clocks are equal if they are of one kind and were made alike.

    A clock of one's own derives from this and defines `events`.
    """

    def __init__(
        self,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.start_date = None if start_date is None else pendulum.instance(start_date)
        self.end_date = None if end_date is None else pendulum.instance(end_date)
        self.parameter_defaults = dict(parameter_defaults or {})
        self.labels = labels

    def events(self, after: dt.datetime | None = None) -> Iterator[ClockEvent]:
        """Emit the events later than `after` (now, unless told), in order."""
        raise NotImplementedError(f"{type(self).__name__} does not say which events it emits")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clock) and type(self) is type(other) and self._made_of() == other._made_of()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.start_date), repr(self.end_date)))

    def _made_of(self) -> dict[str, Any]:
        # as text, since equal moments of two zones make different clocks
        return {**vars(self), "start_date": repr(self.start_date), "end_date": repr(self.end_date)}

    @property
    def _zone(self) -> dt.tzinfo:
        return (self.start_date.tzinfo if self.start_date else None) or pendulum.UTC

    def _from(self, after: pendulum.DateTime) -> pendulum.DateTime:
        """The later one of `after` and the start."""
        return max(after, self.start_date, key=wall.stamp) if self.start_date else after

    def _emit(
        self, moments: Iterable[pendulum.DateTime], after: pendulum.DateTime, *, inclusive: bool = False
    ) -> Iterator[ClockEvent]:
        """Those of the rising `moments` that are later than `after`, from the start to the end of this clock."""
        latest = wall.stamp(self.end_date) if self.end_date else math.inf
        start = wall.stamp(self.start_date) if self.start_date else -math.inf
        asked = wall.stamp(after)
        for moment in moments:
            time = wall.stamp(moment)
            if time > latest:
                return
            if time >= start and (time > asked or (inclusive and time == asked)):
                yield ClockEvent(moment, self.parameter_defaults, self.labels)


def _asked(after: dt.datetime | None) -> pendulum.DateTime:
    return SystemClock().now() if after is None else pendulum.instance(after)


class IntervalClock(Clock):
    """Emits `start_date` and every `interval` from then on.

    Intervals of a day or more are counted on the wall clock of the start's time zone: nine o'clock stays nine
    o'clock. Shorter ones are time that passes: every hour is an hour after the one before.

    >>> clock = IntervalClock(dt.timedelta(days=1), pendulum.datetime(2021, 3, 13, 9, tz="America/New_York"))
    >>> [str(event.start_time) for event, _ in zip(clock.events(pendulum.datetime(2021, 3, 1)), range(2))]
    ['2021-03-13 09:00:00-05:00', '2021-03-14 09:00:00-04:00']
    """

    def __init__(
        self,
        interval: dt.timedelta,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        if not isinstance(interval, dt.timedelta):
            raise TypeError(f"Interval must be a timedelta, not {type(interval).__name__!r}")
        if interval <= dt.timedelta(0):
            raise ValueError(f"Interval must be greater than 0; found {interval}")
        self.interval = interval
        super().__init__(start_date, end_date, parameter_defaults, labels)

    def events(self, after: dt.datetime | None = None) -> Iterator[ClockEvent]:
        """Emit the events later than `after` (now, unless told), in order."""
        asked = _asked(after)
        return self._emit(self._moments(asked), asked)

    def _moments(self, after: pendulum.DateTime) -> Iterator[pendulum.DateTime]:
        anchor = self.start_date or _ANCHOR
        passed = (wall.stamp(after) - wall.stamp(anchor)) / self.interval.total_seconds()
        first = math.floor(passed) - 2  # two early, for a day that a zone left out and for rounding
        for n in count(max(first, 0) if self.start_date else first):
            try:
                yield _nth(anchor, n, self.interval)
            except OverflowError:  # the calendar ends with the year 9999
                return


def _nth(anchor: pendulum.DateTime, n: int, interval: dt.timedelta) -> pendulum.DateTime:
    """The moment `n` intervals after `anchor`.

    >>> noon = pendulum.datetime(2021, 11, 6, 12, tz="America/New_York")
    >>> str(_nth(noon, 1, dt.timedelta(days=1))), str(_nth(noon, 24, dt.timedelta(hours=1)))
    ('2021-11-07 12:00:00-05:00', '2021-11-07 11:00:00-05:00')
    """
    if n == 0:
        return anchor
    zone = anchor.timezone or pendulum.UTC
    if interval >= _DAY:
        shown = wall.face(anchor) + n * interval
        return pendulum.datetime(*shown.timetuple()[:6], shown.microsecond, tz=zone)
    return pendulum.instance((anchor.astimezone(dt.UTC) + n * interval).astimezone(zone))


class CronClock(Clock):
    """Emits what a cron expression says, on the wall clock of the start's time zone.

    A time that comes twice when clocks go back is emitted the first time; one that is left out when they go
    forward, as much later. With `day_or=False` day of month and day of week must both match.

    >>> clock = CronClock("0 * * * *", pendulum.datetime(2021, 11, 7, tz="America/New_York"))
    >>> [str(event.start_time)[11:] for event, _ in zip(clock.events(pendulum.datetime(2021, 1, 1)), range(3))]
    ['00:00:00-04:00', '01:00:00-04:00', '02:00:00-05:00']
    """

    def __init__(
        self,
        cron: str,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        day_or: bool | None = True,
    ) -> None:
        from croniter import croniter

        if not isinstance(cron, str) or not croniter.is_valid(cron):
            raise ValueError(f"Invalid cron string: {cron!r}")
        self.cron = cron
        self.day_or = day_or is None or day_or
        super().__init__(start_date, end_date, parameter_defaults, labels)

    def events(self, after: dt.datetime | None = None) -> Iterator[ClockEvent]:
        """Emit the events later than `after` (now, unless told), in order."""
        asked = _asked(after)
        walls = self._walls(wall.earliest_wall(self._from(asked), self._zone))
        return self._emit(wall.moments(walls, self._zone), asked)

    def _walls(self, after: dt.datetime) -> Iterator[dt.datetime]:
        from croniter import CroniterBadDateError, croniter

        times = croniter(self.cron, after, ret_type=dt.datetime, day_or=self.day_or)
        while True:
            try:
                yield times.get_next()
            except CroniterBadDateError:  # such a day never comes, like 30 February
                return


class DatesClock(Clock):
    """Emits the given dates."""

    def __init__(
        self,
        dates: Iterable[dt.datetime],
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.dates = [pendulum.instance(date) for date in dates]
        if not self.dates:
            raise ValueError("a clock of dates needs at least one date")
        first, last = min(self.dates, key=wall.stamp), max(self.dates, key=wall.stamp)
        super().__init__(first, last, parameter_defaults, labels)

    def events(self, after: dt.datetime | None = None) -> Iterator[ClockEvent]:
        """Emit the dates later than `after` (now, unless told), in order and each once."""
        rising = sorted({wall.stamp(date): date for date in self.dates}.items())
        return self._emit([date for _, date in rising], _asked(after))


class RRuleClock(Clock):
    """Emits what a calendar rule of dateutil says: an `rrule`, or a `rruleset` of several.

    A rule without time zone is in that of the start, else in UTC. When no moment is asked about, now counts too.
    """

    def __init__(
        self,
        rrule_obj: rrule | rruleset,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        parameter_defaults: dict[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        from dateutil.rrule import rrule, rruleset

        if not isinstance(rrule_obj, rrule | rruleset):
            raise TypeError(f"an RRuleClock takes a dateutil rrule or rruleset, not {type(rrule_obj).__name__!r}")
        self.rrule_obj = rrule_obj
        super().__init__(start_date, end_date, parameter_defaults, labels)

    def events(self, after: dt.datetime | None = None) -> Iterator[ClockEvent]:
        """Emit the events later than `after`, in order; from now on unless told."""
        asked = _asked(after)
        first = next(iter(self.rrule_obj), None)
        if first is None:
            return iter(())
        zone = first.tzinfo or self._zone
        walls = self._walls(wall.earliest_wall(self._from(asked), zone), first.tzinfo)
        return self._emit(wall.moments(walls, zone), asked, inclusive=after is None)

    def _walls(self, after: dt.datetime, zone: dt.tzinfo | None) -> Iterator[dt.datetime]:
        for moment in self.rrule_obj.xafter(after.replace(tzinfo=zone), inc=True):
            local = moment if moment.tzinfo is zone else moment.astimezone(zone)
            yield wall.face(local)

    def _made_of(self) -> dict[str, Any]:
        return {**super()._made_of(), "rrule_obj": _spelled(self.rrule_obj)}


def _spelled(rule: rrule | rruleset) -> list[str]:
    """A rule as text: dateutil compares rules by identity, and writes them without their time zone."""
    kinds = ("_rrule", "_rdate", "_exrule", "_exdate")
    if parts := {kind: getattr(rule, kind) for kind in kinds if hasattr(rule, kind)}:
        return [
            f"{kind} {_spelled(part) if hasattr(part, 'xafter') else part!r}" for kind in parts for part in parts[kind]
        ]
    return [str(rule), repr(getattr(rule, "_tzinfo", None))]
