"""What a config asks of alerting, compiled: everything that the stages decide by, and nothing that changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tocsin.hub.relevance import Interest
from tocsin.routing.compile import router_of
from tocsin.routing.inhibition import Inhibitors
from tocsin.routing.router import DEFAULTS, Router
from tocsin.settings import Config
from tocsin.settings.alerts import Escalation, RouteOptions, Watch, Window
from tocsin_hooks.channels import Capability
from tocsin_hooks.filters import Filter
from tocsin_hooks.filters.tree import Opaque

DEFAULT_KEY = ("project", "flow", "task")


@dataclass(frozen=True)
class Policy:
    """Routes, windows, inhibitions, escalations and watches of one config."""

    router: Router
    key: tuple[str, ...] = DEFAULT_KEY
    project: str = ""
    filters: Mapping[str, Filter] = field(default_factory=dict)
    """The named filters, for expressions in code and silences that refer to them."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    inhibitors: Inhibitors = field(default_factory=lambda: Inhibitors(()))
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    capabilities: Mapping[str, frozenset[Capability]] = field(default_factory=dict)
    """What each channel can do."""
    keep_all: bool = False
    """Whether every settled event is kept in history."""

    @classmethod
    def of(cls, config: Config) -> Policy:
        """The policy that a config describes."""
        return cls(
            router=router_of(config),
            key=tuple(config.defaults.key),
            project=config.project,
            filters=config.filters,
            windows=config.windows,
            inhibitors=Inhibitors(config.inhibitions),
            escalations=config.escalations,
            watches=config.watches,
            capabilities={
                name: _less(channel.config.capabilities(), channel.type.capabilities)
                for name, channel in config.channels.items()
            },
            keep_all=config.store.history == "all",
        )

    def options(self, route: str) -> RouteOptions:
        """How a route sends; one that the config has no longer, or that code asked for, as the defaults say."""
        return self.router.options.get(route) or self.router.options[DEFAULTS]

    @cached_property
    def _interests(self) -> dict[str, dict[tuple[str, ...], Interest]]:
        return {"flow": {}, "task": {}}

    def interest(self, subject: str, state_family: tuple[str, ...]) -> Interest:
        """Which changes of a flow, or of tasks, into such a state have to become events."""
        if (found := self._interests[subject].get(state_family)) is None:
            filters: list[Filter | None] = [route.filter for route in self.router.routes]
            if self.tracks:
                filters.append(self.router.opens)
            if self.keep_all or (self.watches and subject == "flow"):
                filters.append(None)
            found = self._interests[subject][state_family] = Interest(filters, state_family, subject)
        return found

    @cached_property
    def tracks(self) -> bool:
        """Whether problems are followed at all: not where nobody could ever be told."""
        return bool(self.router.routes or self.router.default_send)

    @cached_property
    def asks_python(self) -> bool:
        """Whether any filter is written in Python."""
        filters = [*self.filters.values(), self.router.opens, *self.router.filters()]
        return any(isinstance(node, Opaque) for tree in filters if tree is not None for node in tree.walk())

    def can(self, channel: str, capability: Capability) -> bool:
        """Whether a channel can do that."""
        return capability in self.capabilities.get(channel, frozenset())


def _less(own: frozenset[Capability] | None, of_type: frozenset[Capability]) -> frozenset[Capability]:
    return of_type if own is None else own
