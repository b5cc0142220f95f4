"""What a plugin is told of where an event goes, before it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """Where the routes of the config send an event."""

    channels: tuple[str, ...] = ()
    """The names of the channels, in the order in which they are told; empty: nowhere."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """By channel: the name of the route that sends there."""
