"""The channel type `email`: messages by SMTP, one thread per incident."""

from __future__ import annotations

from tocsin_email.channel import EmailChannel
from tocsin_email.config import EmailConfig
from tocsin_hooks.channels import Capability, ChannelType
from tocsin_hooks.specs import hookimpl

__all__ = ["EmailChannel", "EmailConfig", "tocsin_channel_types"]

_SAMPLE = """\
host     = "mail.example.org"
username = "tocsin"
password = { env = "SMTP_PASSWORD" }
from     = "tocsin <tocsin@example.org>"
to       = ["data@example.org"]
"""


@hookimpl
def tocsin_channel_types() -> list[ChannelType]:
    """Provide `type = "email"`."""
    return [
        ChannelType(
            "email",
            EmailConfig,
            EmailChannel,
            capabilities=frozenset({Capability.THREAD}),
            summary="Email over SMTP: verified TLS, one thread per incident",
            sample=_SAMPLE,
        )
    ]
