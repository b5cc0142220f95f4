"""When a silence comes again: a window of the config, or one given on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from pydantic_core import PydanticCustomError

from tocsin.errors import TocsinError, did_you_mean
from tocsin.settings import Config
from tocsin.settings.alerts import Range, Window
from tocsin.settings.calendar_values import times_of, weekdays_of, zone_of

T = TypeVar("T")


def window_of(config: Config, name: str | None, weekdays: str | None, times: str | None, zone: str) -> Window | None:
    """The window that the options ask for; None when they ask for none. Raises TocsinError for one that is unknown."""
    if name is not None:
        if weekdays is not None or times is not None:
            raise click.UsageError("--window names a window of the config, --weekdays and --times say one; use either")
        if name not in config.windows:
            hint = did_you_mean(name, config.windows) if config.windows else "; it has none"
            raise TocsinError(f"the config has no window '{name}'{hint}")
        return config.windows[name]
    if weekdays is None and times is None:
        return None
    return given(weekdays, times, zone)


def given(weekdays: str | None, times: str | None, zone: str) -> Window:
    """A window in the words of the command line, which are its name; a usage error for what cannot be read.

    >>> given("fri,mon:wed", "22:00-06:00", "UTC").weekdays
    ((5, 5), (1, 3))
    """
    return Window(
        name=" ".join(filter(None, (weekdays, times))),
        times=_listed(times, "--times", times_of),
        weekdays=_listed(weekdays, "--weekdays", weekdays_of),
        timezone=zone,
    )


def _listed(text: str | None, option: str, read: Callable[[str], Range]) -> tuple[Range, ...]:
    if text is None:
        return ()
    return tuple(_read(part.strip(), option, read) for part in text.split(","))


def zone_given(text: str | None, config: Config) -> str:
    """The time zone of `--timezone`, or else that of the config; a usage error for one that is unknown."""
    return config.timezone if text is None else _read(text.strip(), "--timezone", zone_of)


def _read(text: str, option: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except PydanticCustomError as error:
        context = error.context or {}
        hint = f"; {context['hint']}" if context.get("hint") else ""
        raise click.UsageError(f"{option}: {context.get('reason', error)}{hint}") from None
