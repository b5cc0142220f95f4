"""What commands share by which operators step in: the outbox, who it is, what is meant, and when, and who sends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import click

from tocsin.assembly import Assembly
from tocsin.cli.diagnostics import report
from tocsin.cli.output import count
from tocsin.delivery.presence import attended
from tocsin.hub.outbox import Outbox
from tocsin.hub.turn import Result
from tocsin.routing.moments import utc
from tocsin.settings.issues import near
from tocsin_hooks.durations import parse_duration
from tocsin_hooks.filters import KNOWN_LABELS, parse
from tocsin_hooks.filters.labels import is_known

_TIME_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d)?")
SHORT = 8
"""How much of an id is shown: enough to name it."""


@contextmanager
def outbox_of(assembly: Assembly) -> Iterator[Outbox]:
    """The outbox, for the length of a `with` block. It wakes nobody: what comes due waits for who delivers."""
    outbox = assembly.hub.outbox
    assert outbox is not None, "a hub made from a config has one"
    try:
        yield replace(outbox, wake=lambda: None)
    finally:
        assembly.store.close()


def who(given: str | None) -> str:
    """Who does it: as given, or else whoever is logged in."""
    import getpass

    if given and given.strip():
        return given.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name, as in many containers
        return "somebody"


def told_by(assembly: Assembly, result: Result) -> str:
    """How many messages a change made due, and who sends them; empty when it made none due."""
    if not result.sent:
        return ""
    due = count(len(result.sent), "message") + (" is due" if len(result.sent) == 1 else " are due")
    if attended(assembly.store, assembly.clock.now()):
        return f"{due}; the hub sends {'it' if len(result.sent) == 1 else 'them'}"
    return f"{due}; 'tocsin hub', 'tocsin tick' or the next run delivers"


def tell_of_labels(expression: str) -> None:
    """Say on stderr which labels of a filter may be misspelt: one that nothing has matches nothing."""
    for label in sorted(parse(expression).labels()):
        if not is_known(label):
            close = near(label, KNOWN_LABELS)
            hint = f"did you mean '{close}'?" if close else "it matches once something adds it"
            report("WARNING", f"label '{label}' is none of tocsin's; {hint}")


# ---------------------------------------------------------------- times


def span_of(text: str, option: str) -> timedelta:
    """The span of time that an option names; a usage error for what is none.

    >>> span_of("2h", "--for")
    datetime.timedelta(seconds=7200)
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def moment_of(text: str, option: str, *, after: datetime, timezone: str) -> datetime:
    """The time that an option names, in UTC; a usage error for what is none.

    Without an offset it is one on the wall clock of `timezone`; a time of day is the next one after `after`.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> for text in ("18:00", "2026-07-01 18:00", "2026-07-01T18:00Z"):
    ...     print(moment_of(text, "--until", after=noon, timezone="Europe/Berlin"))
    2026-01-02 17:00:00+00:00
    2026-07-01 16:00:00+00:00
    2026-07-01 18:00:00+00:00
    """
    text, zone = text.strip(), ZoneInfo(timezone)
    try:
        if _TIME_OF_DAY.fullmatch(text):
            return next_at(time.fromisoformat(text), after, zone)
        read = datetime.fromisoformat(text)
        return utc(read if read.tzinfo is not None else read.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        example = "'2026-03-01 18:00', '2026-03-01T18:00:00Z' or, of the time of day that comes next, '18:00'"
        raise click.UsageError(f"{option} takes a time, such as {example}, found '{text}'") from None


def next_at(at: time, after: datetime, zone: ZoneInfo) -> datetime:
    """The next moment after `after` at which a clock in `zone` shows the time of day `at`.

    Where clocks are set back it may show it twice; where they are set forward, what is left out counts as the moment
    as late after midnight.

    >>> from datetime import UTC
    >>> first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, for the first time
    >>> str(next_at(time(2, 30), first, ZoneInfo("Europe/Berlin")))
    '2026-10-25 01:30:00+00:00'
    """
    today = after.astimezone(zone).date()
    days = [date.fromordinal(today.toordinal() + ahead) for ahead in (0, 1)]
    firsts = [utc(datetime.combine(day, at, zone)) for day in days]
    seconds = [utc(datetime.combine(day, at.replace(fold=1), zone)) for day in days]
    shown = firsts + [moment for moment in seconds if moment.astimezone(zone).time() == at]
    return min(moment for moment in shown if moment > after)
