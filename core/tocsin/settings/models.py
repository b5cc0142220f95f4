"""The shape of a config file: which keys there are, of which types, and what they are when left out.

A key left out is None wherever leaving it out differs from any value: that is how inheritance stays visible.
What the keys mean together, such as a route that sends to a channel, is the matter of `check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from tocsin.settings.alert_tables import EscalationTable, InhibitTable, WatchTable, WindowTable
from tocsin.settings.calendar_values import Zone
from tocsin.settings.listening import HubSettings
from tocsin.settings.option_tables import Options, RouteTable
from tocsin.settings.rate import Rate
from tocsin.settings.storing import StoreTable
from tocsin.settings.tables import Table, Text, refused
from tocsin_hooks.durations import Duration, format_duration

FORMAT = 1
"""The version of the file format that this tocsin reads."""

_LONGEST_SEND = timedelta(hours=1)
_LEAST_LEASE = timedelta(seconds=5)  # a worker makes any that is shorter longer: its sends have to fit into it
_LEAST_BEAT = timedelta(milliseconds=100)
_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PYTHON = '{ python = "module:function" }'


@dataclass(frozen=True, slots=True)
class RecoverSettings:
    """Whether the end of a problem is told."""

    notice: bool = True


def _some_label(key: tuple[str, ...]) -> tuple[str, ...]:
    if not key:
        raise refused("E107", "names no label, so it tells no problem from another", hint='such as ["flow", "task"]')
    return key


class DefaultsTable(Options):
    """`[defaults]`: the route above all routes."""

    opens: Text = "is_failed or is_retrying"
    """The filter of the events that open an incident."""
    key: Annotated[tuple[Text, ...], AfterValidator(_some_label)] = ("project", "flow", "task")
    """The labels that say which events belong to one incident."""
    timezone: Zone | None = None
    """For windows, watches and times in messages that name none."""
    drop_unknown_labels: StrictBool = False
    """Whether labels that tocsin does not know are let pass without a word."""


def _told(span: timedelta) -> str:
    return format_duration(span.total_seconds())


def _at_least(least: timedelta, why: str) -> Callable[[timedelta], timedelta]:
    def checked(span: timedelta) -> timedelta:
        if span < least:
            raise refused("E107", f"must be at least {_told(least)}, and is {_told(span)}: {why}")
        return span

    return checked


_Lease = Annotated[Duration, AfterValidator(_at_least(_LEAST_LEASE, "a send takes longer, and would be repeated"))]
_Beat = Annotated[Duration, AfterValidator(_at_least(_LEAST_BEAT, "each heartbeat is written to the store"))]


class DeliverySettings(Table):
    """`[delivery]`."""

    threads: Annotated[StrictInt, Field(ge=1, le=256)] = 8
    drain: Duration = timedelta(seconds=30)
    """How long a process that ends waits for its last messages to leave."""
    lease: _Lease = timedelta(seconds=60)
    """How long a worker has for one attempt before another takes the delivery over."""
    heartbeat: _Beat = timedelta(seconds=15)
    """How often a run says that it is under way."""
    dead_after: Duration = timedelta(seconds=60)
    """How long a run on another host may be silent before it is declared dead."""

    @model_validator(mode="after")
    def _beats_in_time(self) -> DeliverySettings:
        if self.dead_after < 3 * self.heartbeat:
            raise refused(
                "E107",
                f"with 'dead_after' = {_told(self.dead_after)} and 'heartbeat' = {_told(self.heartbeat)}, a run that "
                "misses a beat or two would count as dead",
                hint=f"'dead_after' must be at least three times 'heartbeat', so {_told(3 * self.heartbeat)}",
                key="dead_after" if "dead_after" in self.model_fields_set else "heartbeat",
            )
        return self


class RetryPolicy(Table):
    """`retry` of a channel: when a failed delivery is tried again, and for how long."""

    tries: Annotated[StrictInt, Field(ge=1, le=100)] = 8
    first: Duration = timedelta(seconds=2)
    max: Duration = timedelta(minutes=5)
    give_up: Duration = timedelta(hours=6)
    """How long after it was planned a delivery may still be tried."""
    honor_retry_after: StrictBool = True

    @model_validator(mode="after")
    def _in_order(self) -> RetryPolicy:
        if self.first > self.max:
            raise refused(
                "E405",
                f"'first' = {_told(self.first)} is longer than 'max' = {_told(self.max)}",
                hint="the waits grow from 'first' to 'max'",
                key="first" if "first" in self.model_fields_set else "max",
            )
        return self


def _rate(value: Any) -> Any:
    if value is None or isinstance(value, Rate):
        return value
    hint = "write it as '1/s' or '1/s, 20/m'"
    if not isinstance(value, str):
        raise refused("E405", "expects how many in which time, in quotes", hint=hint)
    try:
        return Rate.parse(value)
    except ValueError as error:
        raise refused("E405", str(error), hint=hint) from None


def _bearable(deadline: timedelta | None) -> timedelta | None:
    if deadline is not None and deadline > _LONGEST_SEND:
        raise refused("E405", "must be at most 1h: a send that hangs keeps a thread that long")
    return deadline


class Sending(Table):
    """The keys of a channel that say how it is sent to, whatever its type."""

    retry: RetryPolicy = RetryPolicy()
    rate: Annotated[Rate | None, BeforeValidator(_rate)] = None
    """How often it may be sent to; what would be more waits."""
    deadline: Annotated[Duration | None, AfterValidator(_bearable)] = None
    """How long one send may take in all; None leaves it to tocsin."""
    fallback: Text | None = None
    """The channel where it is announced that a message did not arrive here."""
    isolate: StrictBool = False
    """Whether it is sent to from a process of its own."""


@dataclass(frozen=True, slots=True)
class PythonFilter:
    """A filter written in Python: `{ python = "package.module:function" }`."""

    python: str


def _filter(value: Any) -> Any:
    match value:
        case str() if not value.strip():
            raise PydanticCustomError("filter", "is empty")
        case str() | PythonFilter():
            return value
        case {"python": str() as place, **others} if not others and _FUNCTION.fullmatch(place):
            return PythonFilter(place)
    raise PydanticCustomError("filter", "expects an expression in quotes, or {hint}", {"hint": _PYTHON})


class TemplateTable(Table):
    """`[templates.NAME]`."""

    title: StrictStr | None = None
    text: StrictStr | None = None
    file: Text | None = None
    """The path of a file that holds the text."""


class PluginSettings(Table):
    """`[plugins]`: the plugins that may be used, and how long a call of one may take."""

    allow: tuple[Text, ...] | None = None
    """None: all that are installed."""
    block: tuple[Text, ...] = ()
    deadline: Duration | None = None
    """After which a call is ended; None leaves it to TOCSIN_HOOK_DEADLINE, or 30 seconds."""


class File(Table):
    """The whole file. What is in a channel beside `CHANNEL_KEYS` is for its plugin to judge."""

    version: Annotated[StrictInt, Field(ge=1)] = FORMAT
    project: StrictStr = ""
    include: tuple[Text, ...] = ()
    """Further files, whose tables are put together with those of this one."""
    allow_inline_secrets: StrictBool = False
    defaults: DefaultsTable = DefaultsTable()
    store: StoreTable = StoreTable()
    delivery: DeliverySettings = DeliverySettings()
    hub: HubSettings = HubSettings()
    plugins: PluginSettings = PluginSettings()
    filters: dict[Text, Annotated[StrictStr | PythonFilter, BeforeValidator(_filter)]] = Field(default_factory=dict)
    channels: dict[Text, dict[str, Any]] = Field(default_factory=dict)
    routes: tuple[RouteTable, ...] = ()
    templates: dict[Text, TemplateTable] = Field(default_factory=dict)
    windows: dict[Text, WindowTable] = Field(default_factory=dict)
    inhibit: tuple[InhibitTable, ...] = ()
    escalations: dict[Text, EscalationTable] = Field(default_factory=dict)
    watch: tuple[WatchTable, ...] = ()
    # The options of runs, which `tocsin.config` reads: here they are only let pass, and never shown, for there may be
    # secrets among them.
    flows: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, Any] = Field(default_factory=dict)
    logging: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    engine: dict[str, Any] = Field(default_factory=dict)
    server: dict[str, Any] = Field(default_factory=dict)


CHANNEL_KEYS = ("type", *Sending.model_fields)
"""The keys of a channel that are tocsin's own; all others belong to its plugin."""

RUN_TABLES = ("flows", "tasks", "logging", "context", "engine", "server")
"""The tables of the options of runs."""

_SECTIONS: dict[str, type[Table]] = {
    "defaults": DefaultsTable,
    "store": StoreTable,
    "delivery": DeliverySettings,
    "hub": HubSettings,
    "plugins": PluginSettings,
}
_NAMED: dict[str, type[Table]] = {
    "templates": TemplateTable,
    "windows": WindowTable,
    "escalations": EscalationTable,
}
_LISTED: dict[str, type[Table]] = {"routes": RouteTable, "inhibit": InhibitTable, "watch": WatchTable}


def is_own_key(path: tuple[str | int, ...]) -> bool:
    """Whether the key at `path` is one that tocsin itself knows; what stands at any other may be a secret.

    >>> is_own_key(("routes", 0, "when")), is_own_key(("channels", "ops", "token")), is_own_key(("chanels", "ops"))
    (True, False, False)
    >>> is_own_key(("context", "secrets", "TOKEN")), is_own_key(("store", "url"))
    (False, False)
    """
    match path:
        case (str(section), int(), key, *_) if section in _LISTED:
            return key in _LISTED[section].model_fields
        case (str(section), str(), key, *_) if section in _NAMED:
            return key in _NAMED[section].model_fields
        case ("channels", _, key, *_):
            return key in CHANNEL_KEYS
        case ("store", "url", *_):
            return False
        case (str(section), key, *_) if section in _SECTIONS:
            return key in _SECTIONS[section].model_fields
        case (section, *_):
            return section in File.model_fields and section not in RUN_TABLES
    return False
