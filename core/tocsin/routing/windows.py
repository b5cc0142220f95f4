"""When a window is open: by the clock on the wall of its zone, whatever that clock is set to.

Whether a window is open depends on nothing but what that clock shows. So where clocks are set forward, what is left
out is never seen; where they are set back, both passes count.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tocsin.routing.moments import END_OF_TIME, later, utc
from tocsin.settings.alerts import Range, Window

LONGEST_OPENING = timedelta(days=731)
"""What is open for longer counts as open for good."""
FURTHEST_OPENING = timedelta(days=5 * 366)
"""What does not open within this time counts as closed for good."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_LAST = END_OF_TIME - timedelta(days=3)
"""As far as the days of every zone can be counted."""
_WEEKDAYS = ("", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_open(window: Window, at: datetime) -> bool:
    """Whether `window` is open at the moment `at`. Raises ValueError for a moment without zone.

    >>> night = Window("night", times=((22 * 60, 6 * 60),), weekdays=((5, 5),))
    >>> friday = datetime(2026, 1, 2, tzinfo=UTC)
    >>> [is_open(night, friday + timedelta(hours=hours)) for hours in (5, 22, 29, 30)]
    [False, True, True, False]
    """
    wall = utc(at).astimezone(_zone(window.timezone))
    if not window.times:
        return _holds(window, wall)
    minute = wall.hour * 60 + wall.minute
    begun_today = begun_yesterday = False
    for start, end in window.times:
        if start < end:
            begun_today = begun_today or start <= minute < end
        else:
            begun_today = begun_today or start <= minute
            begun_yesterday = begun_yesterday or minute < end
    return (begun_today and _holds(window, wall)) or (begun_yesterday and _holds(window, wall - _DAY))


def closes_at(window: Window, at: datetime) -> datetime | None:
    """The first moment from `at` on at which `window` is not open; None if it stays open for about two years.

    Openings that touch are one opening.

    >>> office = Window("office", times=((8 * 60, 18 * 60),))
    >>> str(closes_at(office, datetime(2026, 1, 2, 9, 30, tzinfo=UTC)))
    '2026-01-02 18:00:00+00:00'
    """
    if not is_open(window, at):
        return at
    return next((turn for turn in _turns(window, utc(at), LONGEST_OPENING) if not is_open(window, turn)), None)


def opens_at(window: Window, at: datetime) -> datetime | None:
    """The first moment from `at` on at which `window` is open; None if that is not within about five years.

    >>> weekend = Window("weekend", weekdays=((6, 7),))
    >>> str(opens_at(weekend, datetime(2026, 1, 2, 9, 30, tzinfo=UTC)))
    '2026-01-03 00:00:00+00:00'
    """
    if is_open(window, at):
        return at
    return next((turn for turn in _turns(window, utc(at), FURTHEST_OPENING) if is_open(window, turn)), None)


def covering(windows: Mapping[str, Window], names: Iterable[str], at: datetime) -> str | None:
    """The first of the windows called `names` that is open at `at`."""
    return next((name for name in names if is_open(windows[name], at)), None)


def all_closed_at(windows: Mapping[str, Window], names: Iterable[str], at: datetime) -> datetime | None:
    """The first moment from `at` on at which none of the windows called `names` is open; None as of `closes_at`.

    >>> windows = {"a": Window("a", times=((0, 720),)), "b": Window("b", times=((600, 900),))}
    >>> str(all_closed_at(windows, ["a", "b"], datetime(2026, 1, 2, 9, tzinfo=UTC)))
    '2026-01-02 15:00:00+00:00'
    """
    names = tuple(names)
    moment: datetime | None = at
    while moment is not None and (name := covering(windows, names, moment)) is not None:
        moment = closes_at(windows[name], moment)
        if moment is not None and moment - utc(at) > LONGEST_OPENING:
            return None
    return moment


def describe(window: Window) -> str:
    """When `window` is open, in one line for people.

    >>> describe(Window("office", times=((480, 1080),), weekdays=((1, 5),), timezone="Europe/Berlin"))
    'Mon to Fri, 08:00 to 18:00 (Europe/Berlin)'
    >>> describe(Window("month end", times=((1080, 420),), days=((-2, 1),)))
    'day -2 to 1 of the month, 18:00 to 07:00 the next day (UTC)'
    """
    days = _listed(window.days, str)
    kinds = (
        _listed(window.years, str),
        _listed(window.months, _MONTHS.__getitem__),
        days and f"day {days} of the month",
        _listed(window.weekdays, _WEEKDAYS.__getitem__),
        " or ".join(map(_times_text, window.times)),
    )
    return f"{', '.join(filter(None, kinds)) or 'always'} ({window.timezone})"


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


# ---------------------------------------------------------------- days


def _holds(window: Window, day: date) -> bool:
    """Whether every list of days that is given holds `day`."""
    return (
        (not window.years or any(first <= day.year <= last for first, last in window.years))
        and (not window.months or _within(day.month, window.months))
        and (not window.weekdays or _within(day.isoweekday(), window.weekdays))
        and (not window.days or _within_month(day, window.days))
    )


def _within(value: int, ranges: Iterable[Range]) -> bool:
    """Whether one of the ranges, which may wrap, holds `value`."""
    return any(first <= value <= last if first <= last else value >= first or value <= last for first, last in ranges)


def _within_month(day: date, ranges: Iterable[Range]) -> bool:
    """Whether one of the ranges of days of the month holds `day`.

    What a range has outside of a month is cut off. Whether it wraps is read off a month of 31 days, so `20:-10` is
    empty in February, rather than all of it.

    >>> april = [date(2026, 4, number) for number in (1, 2, 28, 29, 30)]
    >>> [_within_month(day, [(-2, 1)]) for day in april], [_within_month(day, [(29, 31)]) for day in april]
    ([True, False, False, True, True], [False, False, False, True, True])
    """
    length = monthrange(day.year, day.month)[1]
    for first, last in ranges:
        after_first = day.day >= _counted(first, length)
        before_last = day.day <= _counted(last, length)
        wraps = _counted(first, 31) > _counted(last, 31)
        if (after_first or before_last) if wraps else (after_first and before_last):
            return True
    return False


def _counted(number: int, length: int) -> int:
    """The day of a month of `length` days that a `number`, if negative from its end, means; maybe one outside of it."""
    return number if number > 0 else length + 1 + number


# ---------------------------------------------------------------- turns


def _turns(window: Window, after: datetime, within: timedelta) -> Iterator[datetime]:
    """All moments after `after`, in order, at which `window` may open or close, and maybe some more."""
    zone = _zone(window.timezone)
    minutes = {0, *(minute % 1440 for times in window.times for minute in times)}
    times = [time(minute // 60, minute % 60) for minute in minutes]
    start, end = after.replace(microsecond=0), min(later(after, within), _LAST)
    while start < end:
        stop = start + _DAY
        days = _days(start.astimezone(zone), stop.astimezone(zone))
        if not _is_all_the_same(window, days):
            turns = {_moment(day, time_, zone, fold) for day in days for time_ in times for fold in (0, 1)}
            turns.update(_shifts(zone, start, stop))
            yield from sorted(turn for turn in turns if start < turn <= stop and after < turn <= end)
        start = stop


def _is_all_the_same(window: Window, days: list[date]) -> bool:
    """Whether the window is closed, or open, on all of `days` without a break."""
    held = {_holds(window, day) for day in (days[0] - _DAY, *days)}
    return held == {False} or (held == {True} and not window.times)


def _days(first: datetime, last: datetime) -> list[date]:
    """The days on the wall from one moment to another."""
    begin = first.date()
    return [begin + number * _DAY for number in range((last.date() - begin).days + 1)]


def _moment(day: date, time_: time, zone: ZoneInfo, fold: int) -> datetime:
    """When the clock on the wall shows that time, for the first or (`fold`) the second time."""
    return datetime.combine(day, time_, zone).replace(fold=fold).astimezone(UTC)


def _shifts(zone: ZoneInfo, start: datetime, stop: datetime) -> list[datetime]:
    """The moments after `start`, up to `stop`, at which the clocks of `zone` are set; both are whole seconds.

    >>> start = datetime(2026, 3, 29, tzinfo=UTC)
    >>> _shifts(ZoneInfo("Europe/Berlin"), start, start + _DAY) == [start + timedelta(hours=1)]
    True
    """
    if start.astimezone(zone).utcoffset() == stop.astimezone(zone).utcoffset():
        return []
    if stop - start <= _SECOND:
        return [stop]
    middle = start + (stop - start) // _SECOND // 2 * _SECOND
    return [*_shifts(zone, start, middle), *_shifts(zone, middle, stop)]


# ---------------------------------------------------------------- words


def _listed(ranges: Iterable[Range], name: Callable[[int], str]) -> str:
    return " or ".join(name(first) if first == last else f"{name(first)} to {name(last)}" for first, last in ranges)


def _times_text(times: Range) -> str:
    start, end = times
    text = f"{start // 60:02}:{start % 60:02} to {end // 60:02}:{end % 60:02}"
    return text if start < end else f"{text} the next day"
