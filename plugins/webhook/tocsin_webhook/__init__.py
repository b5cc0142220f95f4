"""Webhooks for tocsin: `type = "webhook"` posts each message as signed JSON to one address."""

from __future__ import annotations

from tocsin_hooks import ChannelType, hookimpl
from tocsin_webhook.channel import WebhookChannel
from tocsin_webhook.config import WebhookConfig

__all__ = ["WebhookChannel", "WebhookConfig"]


@hookimpl
def tocsin_channel_types() -> list[ChannelType]:
    """Provide `type = "webhook"`."""
    return [
        ChannelType(
            "webhook",
            WebhookConfig,
            WebhookChannel,
            summary="posts each message as JSON to one address, signed as Standard Webhooks has it",
            sample='url = "https://example.org/hooks/tocsin"\nsign = { env = "TOCSIN_WEBHOOK_SECRET" }\n',
        )
    ]
