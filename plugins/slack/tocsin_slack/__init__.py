"""What `type = "slack"` stands for in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin_hooks.specs import hookimpl

if TYPE_CHECKING:
    from tocsin_hooks.channels import ChannelType

_SAMPLE = """\
webhook_url = { env = "SLACK_WEBHOOK_URL" }
# or, to edit and thread: token = { env = "SLACK_BOT_TOKEN" } and channel = "#ops"
"""


@hookimpl
def tocsin_channel_types() -> list[ChannelType]:
    """Provide `type = "slack"`."""
    from tocsin_hooks.channels import Capability, ChannelType
    from tocsin_slack.channel import SlackChannel
    from tocsin_slack.config import SlackConfig

    return [
        ChannelType(
            "slack",
            SlackConfig,
            SlackChannel,
            capabilities=frozenset({Capability.EDIT, Capability.THREAD}),
            summary="Slack, by incoming webhook or bot token; a bot edits its message as an incident goes on",
            sample=_SAMPLE,
        )
    ]
