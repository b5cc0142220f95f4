"""The shape of windows, inhibitions, escalations and watches.

Nothing is required here: what is missing is told by `check_alerts`, in one go with all that is wrong beside it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StrictStr

from tocsin.settings.calendar_values import Cron, Days, Months, Times, Weekdays, Years, Zone
from tocsin.settings.tables import LongerThanNothing, Table, Text, Wait


class WindowTable(Table):
    """`[windows.NAME]`."""

    times: tuple[Times, ...] = ()
    weekdays: tuple[Weekdays, ...] = ()
    days: tuple[Days, ...] = ()
    months: tuple[Months, ...] = ()
    years: tuple[Years, ...] = ()
    timezone: Zone | None = None


class InhibitTable(Table):
    """One of `[[inhibit]]`; with the name of a built-in one, it tunes or replaces that."""

    name: Text | None = None
    source: Text | None = None
    target: Text | None = None
    equal: tuple[Text, ...] | None = None
    hold: Wait | None = None
    mark: StrictBool | None = None
    enabled: StrictBool = True


class StepTable(Table):
    """One of `steps`."""

    after: Wait | None = None
    send: tuple[Text, ...] | None = None
    condition: StrictStr | None = Field(default=None, alias="if")
    say: StrictStr = ""


class RepeatTable(Table):
    """`repeat` of an escalation."""

    every: LongerThanNothing
    times: Annotated[StrictInt, Field(ge=1)] = 1


class OutsideTable(Table):
    """`outside` of an escalation."""

    window: Text
    send: tuple[Text, ...]


class EscalationTable(Table):
    """`[escalations.NAME]`."""

    steps: tuple[StepTable, ...] = ()
    repeat: RepeatTable | None = None
    ack_lasts: LongerThanNothing | None = None
    outside: OutsideTable | None = None


class AfterTable(Table):
    """`after` of a watch."""

    fixed: LongerThanNothing | None = None
    or_times_median: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] | None = None
    min_runs: Annotated[StrictInt, Field(ge=1)] = 10


class WatchTable(Table):
    """One of `[[watch]]`."""

    name: Text | None = None
    kind: StrictStr | None = None
    flow: Text | None = None
    when: Text | None = None
    cron: Cron | None = None
    every: LongerThanNothing | None = None
    grace: Wait | None = None
    after: AfterTable | None = None
    timezone: Zone | None = None
    send: tuple[Text, ...] | None = None
