"""The contract between tocsin and its plugins: states, events, filters, messages, channels and hooks.

Plugins import this package only. Names that need pydantic load it when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin_hooks.channels import (
        Capability as Capability,
        Channel as Channel,
        ChannelConfig as ChannelConfig,
        ChannelType as ChannelType,
    )
    from tocsin_hooks.errors import (
        FilterError as FilterError,
        PluginError as PluginError,
        SecretError as SecretError,
        TocsinError as TocsinError,
    )
    from tocsin_hooks.events import Event as Event, ExceptionSummary as ExceptionSummary
    from tocsin_hooks.filters import F as F, Filter as Filter, when as when
    from tocsin_hooks.masking import mask as mask
    from tocsin_hooks.messages import (
        Action as Action,
        Link as Link,
        Message as Message,
        Reason as Reason,
        Receipt as Receipt,
        SendError as SendError,
    )
    from tocsin_hooks.secrets import MaybeSecret as MaybeSecret, Secret as Secret, redact as redact
    from tocsin_hooks.specs import hookimpl as hookimpl

_HOMES = {
    "channels": ("Capability", "Channel", "ChannelConfig", "ChannelType"),
    "errors": ("FilterError", "PluginError", "SecretError", "TocsinError"),
    "events": ("Event", "ExceptionSummary"),
    "filters": ("F", "Filter", "when"),
    "masking": ("mask",),
    "messages": ("Action", "Link", "Message", "Reason", "Receipt", "SendError"),
    "secrets": ("MaybeSecret", "Secret", "redact"),
    "specs": ("hookimpl",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605  (a list of names, made rather than written)


def __getattr__(name: str) -> Any:
    if home := _HOME_OF.get(name):
        value = getattr(import_module(f"tocsin_hooks.{home}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tocsin_hooks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
