"""PagerDuty for tocsin: `type = "pagerduty"` triggers and resolves alerts through the Events API v2."""

from __future__ import annotations

from tocsin_hooks import Capability, ChannelType, hookimpl
from tocsin_pagerduty.channel import PagerDutyChannel
from tocsin_pagerduty.config import PagerDutyConfig

__all__ = ["PagerDutyChannel", "PagerDutyConfig"]


@hookimpl
def tocsin_channel_types() -> list[ChannelType]:
    """Provide `type = "pagerduty"`."""
    return [
        ChannelType(
            "pagerduty",
            PagerDutyConfig,
            PagerDutyChannel,
            capabilities=frozenset({Capability.EDIT, Capability.RESOLVE, Capability.ACK}),
            summary="triggers one PagerDuty alert per incident, acknowledges it, and resolves it on recovery",
            sample='routing_key = { env = "PAGERDUTY_ROUTING_KEY" }\n',
        )
    ]
