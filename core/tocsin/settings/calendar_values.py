"""How times of day, days, months, years, time zones and cron lines are written in a config, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator

from tocsin.settings.alerts import Range
from tocsin.settings.issues import listed, near, nearest
from tocsin.settings.tables import refused

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_CLOCK = re.compile(r"(\d\d):(\d\d)")
_LOOSE_CLOCK = re.compile(r"(\d):(\d\d)")
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_CRON_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_DAY_MINUTES = 24 * 60


# ---------------------------------------------------------------- times of day


def minute_of(text: str, *, end: bool, at: int = 0, index: int = -1) -> int:
    """The minute of the day that `text` names; `24:00` only as an end.

    `at` is where it stands in a longer text, `index` in a list.

    >>> minute_of("07:30", end=False), minute_of("24:00", end=True)
    (450, 1440)
    """
    span = (at, at + len(text))
    found = _CLOCK.fullmatch(text)
    if not found:
        short = _LOOSE_CLOCK.fullmatch(text)
        hint = f'did you mean "0{text}"?' if short else 'a time is written "HH:MM", such as "07:30"'
        raise refused("E501", f"'{text}' is not a time of day", hint=hint, span=span, index=index)
    hours, minutes = int(found[1]), int(found[2])
    if (hours, minutes) == (24, 0):
        if end:
            return _DAY_MINUTES
        raise refused(
            "E501", "'24:00' can only be an end", hint='the start of a day is "00:00"', span=span, index=index
        )
    if hours > 23 or minutes > 59:
        hint = 'the last is "23:59"; as an end, "24:00"'
        raise refused("E501", f"'{text}' is not a time of day", hint=hint, span=span, index=index)
    return hours * 60 + minutes


def times_of(value: Any) -> Range:
    """The minutes from which and to which a time range goes.

    >>> times_of(["18:00", "07:00"]), times_of("08:00-24:00")
    ((1080, 420), (480, 1440))
    """
    form = 'write ["18:00", "07:00"] or "18:00-07:00"'
    if isinstance(value, tuple):
        return value[0], value[1]  # read before
    match value:
        case [str(start), str(end)]:
            found = minute_of(start, end=False, index=0), minute_of(end, end=True, index=1)
        case str() if value.count("-") == 1:
            start, _, end = value.partition("-")
            at = len(start) - len(start.lstrip())
            at_end = len(value) - len(end.lstrip())
            found = minute_of(start.strip(), end=False, at=at), minute_of(end.strip(), end=True, at=at_end)
        case _:
            raise refused("E501", "expects the start and the end of a time range", hint=form)
    if found[0] == found[1]:
        raise refused("E502", "the range is empty: it ends when it starts", hint='the whole day is "00:00-24:00"')
    return found


# ---------------------------------------------------------------- ranges


def _ends(value: Any, what: str) -> list[tuple[str, int]]:
    """The one or two ends of a range, each with where it stands in the text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [(str(value), 0)]
    if not isinstance(value, str):
        raise refused("E501", f"expects a {what} in quotes")
    parts, at, found = value.split(":"), 0, []
    if len(parts) > 2:
        raise refused("E501", f"'{value}' is not a range", hint='a range is written "FROM:TO"')
    for part in parts:
        found.append((part.strip(), at + len(part) - len(part.lstrip())))
        at += len(part) + 1
    return found


def _named(names: tuple[str, ...], what: str, *, numbers: bool) -> Callable[[Any], Range]:
    known: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        known |= {name: number, name[:3]: number} | ({str(number): number} if numbers else {})

    def one(text: str, at: int) -> int:
        folded = text.casefold()
        if numbers and _NUMBER.fullmatch(folded):
            folded = str(int(folded))
        if folded in known:
            return known[folded]
        span = (at, at + len(text))
        if "-" in text and all(part.strip().casefold() in known for part in text.split("-")):
            hint = f'a range is written "{text.replace("-", ":")}"'
            raise refused("E501", f"'{text}' is not a {what}", hint=hint, span=span)
        hint = (
            nearest(text, [*names, *(name[:3] for name in names)])
            or f"the first is '{names[0][:3]}', the last '{names[-1][:3]}'"
        )
        raise refused("E501", f"unknown {what} '{text}'", hint=hint, span=span)

    def read(value: Any) -> Range:
        if isinstance(value, tuple):
            return value[0], value[1]  # read before
        if isinstance(value, int) and not numbers:
            raise refused("E501", f"expects the name of a {what}", hint=f"the first is '{names[0][:3]}'")
        numbers_of = [one(text, at) for text, at in _ends(value, what)]
        return numbers_of[0], numbers_of[-1]

    return read


def _number(text: str, at: int, what: str, hint: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise refused("E501", f"'{text}' is not a {what}", hint=hint, span=(at, at + len(text)))
    return int(text)


def days_of(value: Any) -> Range:
    """Days of a month; negative ones count from its end, and a range from the end to the beginning wraps.

    >>> days_of("-2:1"), days_of("15"), days_of("1:-1")
    ((-2, 1), (15, 15), (1, -1))
    """
    if isinstance(value, tuple):
        return value[0], value[1]
    hint = "days are 1 to 31, or -1 (the last) to -31"
    found = []
    for text, at in _ends(value, "day of the month"):
        day = _number(text, at, "day of the month", hint)
        if day == 0 or abs(day) > 31:
            raise refused("E501", f"there is no day {day}", hint=hint, span=(at, at + len(text)))
        found.append(day)
    start, end = found[0], found[-1]
    if (start > 0) == (end > 0) and start > end:
        raise refused("E502", f"'{value}' runs backwards", hint=f'did you mean "{end}:{start}"?')
    if start > 0 > end and start > 32 + end:
        raise refused("E502", f"'{value}' is empty in every month", hint="the start is past the end")
    return start, end


def years_of(value: Any) -> Range:
    """A year or a range of years.

    >>> years_of("2026:2028"), years_of("2026")
    ((2026, 2028), (2026, 2026))
    """
    if isinstance(value, tuple):
        return value[0], value[1]
    found = []
    for text, at in _ends(value, "year"):
        year = _number(text, at, "year", 'such as "2026" or "2026:2028"')
        if not 1 <= year <= 9999:
            raise refused("E501", f"there is no year {year}", hint='such as "2026"', span=(at, at + len(text)))
        found.append(year)
    if found[0] > found[-1]:
        raise refused("E502", f"'{value}' runs backwards", hint=f'did you mean "{found[-1]}:{found[0]}"?')
    return found[0], found[-1]


weekdays_of = _named(_DAYS, "weekday", numbers=False)
months_of = _named(_MONTHS, "month", numbers=True)

Times = Annotated[Range, BeforeValidator(times_of)]
Weekdays = Annotated[Range, BeforeValidator(weekdays_of)]
Days = Annotated[Range, BeforeValidator(days_of)]
Months = Annotated[Range, BeforeValidator(months_of)]
Years = Annotated[Range, BeforeValidator(years_of)]


# ---------------------------------------------------------------- time zones


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def zone_of(value: Any) -> str:
    """The name of a time zone, as it is in the time zone database.

    >>> zone_of("Europe/Berlin")
    'Europe/Berlin'
    """
    if not isinstance(value, str):
        raise refused("E504", "expects the name of a time zone", hint='such as "Europe/Berlin" or "UTC"')
    if value in _zones():
        return value
    raise refused("E504", f"unknown time zone '{value}'", hint=_zone_hint(value))


def _zone_hint(name: str) -> str:
    cities: dict[str, str] = {}
    for zone in sorted(_zones()):
        cities.setdefault(zone.rpartition("/")[2], zone)
    wanted = name.strip().replace(" ", "_")
    close = near(wanted, sorted(_zones())) or cities.get(near(wanted.rpartition("/")[2], cities) or "")
    return f"did you mean '{close}'?" if close else 'such as "Europe/Berlin" or "UTC"'


Zone = Annotated[str, BeforeValidator(zone_of)]


# ---------------------------------------------------------------- cron


def cron_of(value: Any) -> str:
    """A cron line of five fields, or one of the words that stand for such.

    >>> cron_of("30 5 * * mon-fri")
    '30 5 * * mon-fri'
    """
    from croniter import croniter

    if not isinstance(value, str):
        raise refused("E505", "expects a cron line in quotes", hint='such as "30 5 * * *"')
    if value.strip().startswith("@"):
        known = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
        if value.strip() not in known:
            hint = nearest(value.strip(), known) or f"known: {listed(known)}"
            raise refused("E505", f"unknown cron word '{value}'", hint=hint)
        return value.strip()
    fields = [(match[0], match.start()) for match in re.finditer(r"\S+", value)]
    if len(fields) != len(_CRON_FIELDS):
        hint = f"five: {', '.join(_CRON_FIELDS)}"
        raise refused("E505", f"the cron line '{value}' has {len(fields)} fields", hint=hint)
    for index, (text, at) in enumerate(fields):
        line = " ".join(text if other == index else "*" for other in range(len(fields)))
        if not croniter.is_valid(line) or _hashed(text):
            raise refused(
                "E505",
                f"'{text}' does not fit the {_CRON_FIELDS[index]}, field {index + 1} of the cron line",
                hint=_CRON_HINTS[index],
                span=(at, at + len(text)),
            )
    line = " ".join(text for text, _ in fields)
    if not croniter.is_valid(line) or shortest_gap(line) is None:
        raise refused("E505", f"the cron line '{value}' never comes", hint="no month has such a day")
    return line


_CRON_HINTS = ("0 to 59", "0 to 23", "1 to 31", "1 to 12, or jan to dec", "0 to 7, or mon to sun; 0 and 7 are Sunday")


def _hashed(text: str) -> bool:
    """Whether the field asks for a value made up from a name, or by chance: there is none here."""
    return bool(re.match(r"[hrHR](?:[/(]|$)", text))


def shortest_gap(cron: str) -> timedelta | None:
    """The shortest time between two of the next occurrences of a cron line; None when there are not two.

    >>> shortest_gap("30 5 * * mon-fri"), shortest_gap("0 0 30 2 *")
    (datetime.timedelta(days=1), None)
    """
    from croniter import CroniterBadDateError, croniter

    times = croniter(cron, datetime(2026, 1, 1, tzinfo=UTC), ret_type=datetime)
    try:
        comings: list[datetime] = [times.get_next() for _ in range(_LOOK_AHEAD)]
    except CroniterBadDateError:
        return None
    return min(later - earlier for earlier, later in pairwise(comings))


_LOOK_AHEAD = 12

Cron = Annotated[str, BeforeValidator(cron_of)]
