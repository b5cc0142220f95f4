"""The channel type `apprise`: every service that Apprise can reach."""

from __future__ import annotations

from tocsin_apprise.channel import AppriseChannel
from tocsin_apprise.config import AppriseConfig
from tocsin_hooks.channels import ChannelType
from tocsin_hooks.specs import hookimpl

__all__ = ["AppriseChannel", "AppriseConfig", "tocsin_channel_types"]


@hookimpl
def tocsin_channel_types() -> list[ChannelType]:
    """Provide `type = "apprise"`."""
    return [
        ChannelType(
            "apprise",
            AppriseConfig,
            AppriseChannel,
            summary="Any service that Apprise can reach, by its URL",
            sample='url = { env = "PUSHOVER_URL" }\n',
        )
    ]
