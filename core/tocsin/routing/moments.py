"""How memories keep time: in UTC, inside the calendar, and told in few words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))


def utc(moment: datetime) -> datetime:
    """`moment` as a plain `datetime` in UTC, on which spans are added as time that passes.

    >>> import pendulum
    >>> utc(pendulum.datetime(2026, 7, 1, 14, tz="Europe/Berlin"))
    datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.timezone.utc)
    """
    if moment.tzinfo is None:
        raise ValueError(f"a moment needs a time zone, found '{moment}'")
    if type(moment) is datetime and moment.tzinfo is UTC:
        return moment
    at = moment.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)


def later(moment: datetime, span: timedelta) -> datetime:
    """`moment` plus `span`, at most the end of the calendar.

    >>> later(datetime(2026, 1, 1, tzinfo=UTC), timedelta.max) == END_OF_TIME
    True
    """
    try:
        return moment + span
    except OverflowError:
        return END_OF_TIME


def recent(times: Iterable[datetime], now: datetime, within: timedelta) -> tuple[datetime, ...]:
    """Those of `times` that lie less than `within` before `now`, in their order.

    Times are of things that happened: where the clock was set back since, what is later than `now` counts as now.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> hours = [noon + timedelta(hours=n) for n in (-2, -1, 3)]
    >>> [time.hour for time in recent(hours, noon, timedelta(hours=2))]
    [11, 12]
    """
    return tuple(min(time, now) for time in times if now - time < within)


def span_text(span: timedelta) -> str:
    """`span` as it is written in a config.

    >>> [span_text(timedelta(seconds=seconds)) for seconds in (0, 0.25, 10, 1800, 5400, 129600)]
    ['0s', '250ms', '10s', '30m', '1h30m', '1d12h']
    """
    rest, told = span // timedelta(milliseconds=1), ""
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        told += f"{count}{unit}" if count else ""
    return told or "0s"


def moment_text(moment: datetime, now: datetime, timezone: str = "UTC") -> str:
    """`moment` on the wall clock of `timezone`; with its date unless that is the one of `now`.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> moment_text(noon + timedelta(minutes=5), noon), moment_text(noon, noon - timedelta(days=1), "Asia/Tokyo")
    ('12:05:00 UTC', '2026-01-01 21:00:00 Asia/Tokyo')
    """
    try:
        zone = ZoneInfo(timezone)
        local, today = moment.astimezone(zone), now.astimezone(zone).date()
    except OverflowError:  # no zone but UTC reaches the ends of the calendar
        local, today, timezone = moment, now.date(), "UTC"
    return f"{local:{'%H:%M:%S' if local.date() == today else '%Y-%m-%d %H:%M:%S'}} {timezone}"
