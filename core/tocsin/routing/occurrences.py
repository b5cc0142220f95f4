"""When a cron expression comes round: the next time, the last time, how often in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from tocsin.routing.moments import utc
from tocsin.schedules.clocks import CronClock

COUNTED_AT_MOST = 1000
"""How far `missed` counts: each occurrence costs some time to find."""

_TICK = timedelta(microseconds=1)
_LOOKS_BACK = tuple(
    timedelta(minutes=minutes) for minutes in (2, 15, 60, 240, 1440, 5 * 1440, 40 * 1440, 400 * 1440, 3000 * 1440)
)
"""Ever further: a cron of every minute is found at once, one of 29 February may be eight years back."""


def next_after(cron: str, timezone: str, moment: datetime) -> datetime | None:
    """The first occurrence later than `moment`; None if there is none, as of 30 February.

    A time that clocks set forward leave out comes as much later; one that comes twice counts the first time.

    >>> from datetime import UTC
    >>> str(next_after("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC)))
    '2026-03-29 01:30:00+00:00'
    """
    event = next(_clock(cron, timezone).events(utc(moment)), None)
    return None if event is None else utc(event.start_time)


def last_until(cron: str, timezone: str, moment: datetime) -> datetime | None:
    """The last occurrence at or before `moment`; None if there was none for years.

    >>> from datetime import UTC
    >>> str(last_until("0 6 1 * *", "UTC", datetime(2026, 3, 28, 12, tzinfo=UTC)))
    '2026-03-01 06:00:00+00:00'
    """
    for back in _LOOKS_BACK:
        found = None
        for event in _clock(cron, timezone).events(moment - back - _TICK):
            if utc(event.start_time) > moment:
                break
            found = utc(event.start_time)
        if found is not None:
            return found
    return None


def missed(cron: str, timezone: str, after: datetime, until: datetime) -> tuple[datetime | None, int]:
    """The last occurrence later than `after` and at or before `until`, and how many there are; None without any.

    >>> from datetime import UTC
    >>> six, nine = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (6, 9))
    >>> missed("0 * * * *", "UTC", six, nine) == (nine, 3)
    True
    """
    last, count = None, 0
    for event in _clock(cron, timezone).events(utc(after)):
        if utc(event.start_time) > until:
            return last, count
        last, count = utc(event.start_time), count + 1
        if count == COUNTED_AT_MOST:
            return last_until(cron, timezone, until), count
    return last, count


@lru_cache(maxsize=256)
def _clock(cron: str, timezone: str) -> CronClock:
    import pendulum

    return CronClock(cron, pendulum.datetime(1970, 1, 1, tz=timezone))  # the start says in which zone
