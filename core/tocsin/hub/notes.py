"""Durable notifications that code asks for, as routes that come after those of the config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.hub.policy import Policy
from tocsin.routing.router import Route
from tocsin.settings.alerts import RouteOptions
from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import Filter


class Note(Protocol):
    """A durable notification asked for in code: `notify(channel, when=...)`."""

    @property
    def channel(self) -> str:
        """Where to send."""

    @property
    def filter(self) -> Filter | None:
        """What to send; None: every settled change."""

    @property
    def respect_routes(self) -> bool:
        """Whether a route of the config that stops keeps it from being sent."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A note for whatever it is given along with."""

    channel: str
    filter: Filter | None = None
    respect_routes: bool = False


def routes_of(notes: Sequence[Note], policy: Policy | None, complain: Callable[[str], None]) -> list[Route]:
    """The routes that notes ask for, with their `@names` bound to the filters of the config.

    Of one that names an unknown filter it is complained, and it sends nothing.
    """
    named = {} if policy is None else policy.filters
    options = RouteOptions() if policy is None else policy.router.default_options
    routes = []
    for note in notes:
        wanted = note.filter
        try:
            if wanted is not None and wanted.refs():
                wanted = wanted.bind(named)
        except FilterError as error:
            complain(f"notify('{note.channel}') sends nothing: {error}")
            continue
        name = f"code:{note.channel}"
        routes.append(Route(name, wanted, (note.channel,), options=options, respects=note.respect_routes))
    return routes


def channels_of(routes: Sequence[Route], matches: Callable[[Filter], bool]) -> list[str]:
    """The channels to which routes from code send what `matches` says."""
    return [channel for r in routes if r.filter is None or matches(r.filter) for channel in r.send or ()]
