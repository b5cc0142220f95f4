"""The shape of what a route can say of how it sends. None: not said here; False: switched off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt

from tocsin.settings.alerts import Flap, Mode, Over, Then
from tocsin.settings.tables import LongerThanNothing, OrOff, Table, Text, Wait, refused
from tocsin_hooks.durations import parse_duration

EVERY_LABEL = ("*", "...")
"""What stands for all labels in `by`."""

_LIMIT = re.compile(r"\s*(\d{1,9})\s*/\s*(\S.*?)\s*")
_UNITS = ("ms", "s", "m", "h", "d", "w", "y")


class GroupTable(Table):
    """`group`: each key is inherited by itself."""

    by: tuple[Text, ...] | None = None
    wait: Wait | None = None
    interval: LongerThanNothing | None = None
    repeat: OrOff[LongerThanNothing] | None = None
    """`false`: no reminders."""


class DigestTable(Table):
    """`digest`."""

    every: LongerThanNothing
    max: Annotated[StrictInt, Field(ge=1, le=10_000)] = 50
    urgent: Text | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """So many within so long."""

    count: int
    within: timedelta


def limit_of(value: Any) -> Limit:
    """The limit that a text such as "3/30m" names.

    >>> limit_of("3/30m"), limit_of("1/h").within
    (Limit(count=3, within=datetime.timedelta(seconds=1800)), datetime.timedelta(seconds=3600))
    """
    if isinstance(value, Limit):
        return value
    hint = 'such as "3/30m": three within 30 minutes'
    found = _LIMIT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise refused("E107", "expects how many within how long", hint=hint)
    count, text = int(found[1]), f"1{found[2]}" if found[2] in _UNITS else found[2]
    try:
        within = parse_duration(text)
    except ValueError:
        raise refused("E107", f"'{found[2]}' is not a duration", hint=hint) from None
    if count < 1:
        raise refused("E107", "lets nothing through", hint="'send = []' sends nothing")
    if within <= timedelta(0):
        raise refused("E310", "the time must be longer than nothing", hint=hint)
    return Limit(count, within)


class ThrottleTable(Table):
    """`throttle`."""

    limit: Annotated[Limit, BeforeValidator(limit_of)]
    per: tuple[Text, ...] = ()
    over: Over = Over.DROP


class FlapTable(Table):
    """`flap`."""

    changes: Annotated[StrictInt, Field(ge=2)] = Flap().changes
    within: LongerThanNothing = Flap().within
    calm: LongerThanNothing = Flap().calm


class OpenAfterTable(Table):
    """`open_after`."""

    failures: Annotated[StrictInt, Field(ge=1)]
    within: LongerThanNothing | None = None


class MuteTable(Table):
    """`mute`."""

    windows: tuple[Text, ...]
    then: Then = Then.DROP
    urgent: Text | None = None


def _mute(value: Any) -> Any:
    return {"windows": value} if isinstance(value, list) else value


def _some(on: tuple[str, ...]) -> tuple[str, ...]:
    if not on:
        raise refused("E107", "names no sort of success", hint="'recover = false' tells no recovery")
    return on


class RecoverTable(Table):
    """`recover`: each key is inherited by itself."""

    notice: StrictBool | None = None
    on: Annotated[tuple[Literal["retry", "next_run"], ...], AfterValidator(_some)] | None = None


def _recover(value: Any) -> Any:
    if isinstance(value, bool):
        return {"notice": value}
    if isinstance(value, dict | RecoverTable):
        return value
    raise refused("E107", "expects true, false or { notice = true }")


class Options(Table):
    """What a route inherits from the one above it and, in the end, from `[defaults]`."""

    send: tuple[Text, ...] | None = None
    """The channels. `[]` is nowhere, on purpose."""
    template: Text | None = None
    mode: Mode | None = None
    silent: StrictBool | None = None
    group: OrOff[GroupTable] | None = None
    digest: OrOff[DigestTable] | None = None
    throttle: OrOff[ThrottleTable] | None = None
    flap: OrOff[FlapTable] | None = None
    open_after: OrOff[OpenAfterTable] | None = None
    escalate: OrOff[Text] | None = None
    recover: Annotated[RecoverTable, BeforeValidator(_recover)] | None = None


class RouteTable(Options):
    """One of `[[routes]]`."""

    name: Text | None = None
    when: Text | None = None
    """The filter; without one the route takes every event."""
    stop: StrictBool = False
    under: Text | None = None
    mute: OrOff[Annotated[MuteTable, BeforeValidator(_mute)]] | None = None
    """Not inherited."""
