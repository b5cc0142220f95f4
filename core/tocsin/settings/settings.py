"""What the rest of tocsin reads of a config: checked, complete and unchangeable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tocsin.settings.alerts import Escalation, Inhibition, RouteOptions, Watch, Window
from tocsin.settings.issues import Position
from tocsin.settings.listening import HubSettings
from tocsin.settings.models import DeliverySettings, PluginSettings, RecoverSettings, RetryPolicy, Sending
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.filters import Filter
from tocsin_hooks.secrets import Secret


@dataclass(frozen=True, slots=True)
class DefaultSettings:
    """`[defaults]`: what holds where no route says otherwise."""

    opens: Filter
    send: tuple[str, ...] = ()
    send_is_set: bool = False
    """Whether `send` was written: `send = []` is nowhere on purpose, leaving it out is not."""
    template: str | None = None
    key: tuple[str, ...] = ("project", "flow", "task")
    recover: RecoverSettings = field(default_factory=RecoverSettings)
    options: RouteOptions = field(default_factory=RouteOptions)
    """All that routes inherit in the end, `send` and `template` included."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where events and deliveries are kept, and for how long."""

    path: Path
    retention: timedelta
    history: str = "routed"
    """Which events are kept: `routed` (what a route, incident or watch has to do with) or `all` that are settled."""
    url: Secret | None = None
    """A PostgreSQL database, in the place of the file at `path`."""

    @property
    def is_there(self) -> bool:
        """Whether there may be something in it: a database is taken to be there, a file is looked for."""
        return self.url is not None or self.path.exists()

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.path) if self.url is None else f"PostgreSQL, by {self.url.where}"

    @property
    def spill_name(self) -> Path:
        """What its spill file is named after: two stores must not share one."""
        return self.path if self.url is None else self.path.with_name(f"postgresql {self.url.kind} {self.url.name}")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: its type, the settings its plugin has accepted, and how it is sent to."""

    name: str
    type: ChannelType
    config: ChannelConfig
    sending: Sending = field(default_factory=Sending)

    @property
    def retry(self) -> RetryPolicy:
        """When a failed delivery is tried again."""
        return self.sending.retry


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """One route as written. `send` and `template` are None where the route above decides."""

    name: str
    filter: Filter | None
    """None takes every event."""
    send: tuple[str, ...] | None
    stop: bool
    under: str | None
    template: str | None
    position: Position
    options: RouteOptions = field(default_factory=RouteOptions)
    """How the route sends, with everything it inherits filled in."""


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """The words of a message; what is None is left to tocsin's own."""

    title: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Config:
    """A config without errors. Secrets in it are references: they are read when a message is sent."""

    path: Path | None
    """The file; None for the defaults of somebody who has written none."""
    version: int
    project: str
    defaults: DefaultSettings
    store: StoreSettings
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    hub: HubSettings = field(default_factory=HubSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = ()
    templates: Mapping[str, TemplateSettings] = field(default_factory=dict)
    template_filters: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """What plugins give to templates."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    inhibitions: tuple[Inhibition, ...] = ()
    """Those of the file and the built-in ones that it does not switch off."""
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    timezone: str = "UTC"
    """For windows, watches and times in messages that name none."""
