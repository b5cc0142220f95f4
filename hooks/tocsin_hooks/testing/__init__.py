"""The plugin test kit: a local HTTP server, sample messages, and the conformance suite every channel passes.

Installed with tocsin and known to pytest; names load when first asked for, so that other test runs pay nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin_hooks.testing.conformance import ChannelConformance as ChannelConformance
    from tocsin_hooks.testing.destinations import Destination as Destination, HttpDestination as HttpDestination
    from tocsin_hooks.testing.faults import FAULTS as FAULTS, Fault as Fault
    from tocsin_hooks.testing.hostile import HostileServer as HostileServer
    from tocsin_hooks.testing.http import Answer as Answer, Received as Received, Receiver as Receiver
    from tocsin_hooks.testing.samples import (
        sample_event as sample_event,
        sample_group_message as sample_group_message,
        sample_message as sample_message,
    )

_HOMES = {
    "conformance": ("ChannelConformance",),
    "destinations": ("Destination", "HttpDestination"),
    "faults": ("FAULTS", "Fault"),
    "hostile": ("HostileServer",),
    "http": ("Answer", "Received", "Receiver"),
    "samples": ("sample_event", "sample_group_message", "sample_message"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605  (a list of names, made rather than written)


def __getattr__(name: str) -> Any:
    if home := _HOME_OF.get(name):
        value = getattr(import_module(f"tocsin_hooks.testing.{home}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tocsin_hooks.testing' has no attribute {name!r}")
