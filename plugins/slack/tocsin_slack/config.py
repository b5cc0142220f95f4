"""What a `[channels.NAME]` table with `type = "slack"` may hold."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import ValidationInfo, field_validator, model_validator

from tocsin_hooks.channels import Capability, ChannelConfig
from tocsin_hooks.durations import Duration
from tocsin_hooks.secrets import MaybeSecret, Secret

Updates = Literal["new", "edit", "thread", "edit+thread"]

_SLACK_ID = re.compile(r"[UWS][A-Z0-9]{2,20}|here|channel|everyone")
_MENTIONS = 20
_BOT = "a bot: set 'token' and 'channel' instead of 'webhook_url'"


class SlackConfig(ChannelConfig):
    """Settings of a `type = "slack"` channel: either `webhook_url`, or `token` with `channel`."""

    webhook_url: MaybeSecret | None = None
    """The address of an incoming webhook; or else `token`."""
    token: Secret | None = None
    """A bot token with the scope chat:write."""
    channel: str = ""
    """Name or id of the channel a bot posts to."""
    updates: Updates | None = None
    """What later messages of an incident do; "edit" for a bot, "new" for a webhook."""
    username: str = ""
    """The name to post under."""
    icon_emoji: str = ""
    """The picture to post with."""
    mention: tuple[str, ...] = ()
    """Ids of users and groups to ring for final failures."""
    timezone: str = "UTC"
    """The zone of times where Slack cannot show the reader's own."""
    base_url: str = ""
    """Address to use in place of Slack's own."""
    timeout: Duration = dt.timedelta(seconds=30)
    """For one whole attempt."""
    proxy: MaybeSecret | None = None
    """The address of a proxy; none is taken from the environment."""
    ca_file: Path | None = None
    """Certificates to trust in place of the usual ones."""

    @property
    def how_to_update(self) -> Updates:
        """What becomes of the later messages of an incident: as set, or what the transport does best."""
        return self.updates or ("new" if self.webhook_url is not None else "edit")

    def capabilities(self) -> frozenset[Capability] | None:
        """What `updates` lets it do: nothing for a webhook, which answers nothing that a message could be found by."""
        match self.how_to_update:
            case "new":
                return frozenset()
            case "thread":
                return frozenset({Capability.THREAD})
            case _:
                return None

    @field_validator("channel", "username", "base_url", mode="after")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()

    @field_validator("icon_emoji", mode="after")
    @classmethod
    def _in_colons(cls, value: str) -> str:
        name = value.strip().strip(":")
        return f":{name}:" if name else ""

    @field_validator("mention", mode="after")
    @classmethod
    def _known_to_slack(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.strip().removeprefix("@") for name in value)
        for name in names:
            if not _SLACK_ID.fullmatch(name):
                raise ValueError(
                    f"cannot mention '{name}'; give the id of a user 'U...' or a group 'S...', or 'here' or 'channel'"
                )
        if len(names) > _MENTIONS:
            raise ValueError(f"mentions {len(names)}; at most {_MENTIONS}, or make them a user group")
        return names

    @field_validator("timezone", mode="after")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            raise ValueError(f"unknown time zone '{value}'; write it like 'Europe/Berlin'") from None
        return value

    @field_validator("base_url", mode="after")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and not is_http_url(value):
            raise ValueError(f"'{value}' is no address; write it like 'https://slack.example.org/api/'")
        return value

    @field_validator("webhook_url", "proxy", mode="after")
    @classmethod
    def _a_secret_address(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        # What is kept elsewhere may not be there yet, so it is looked at when a message is sent
        if value is not None and value.at_hand and not is_http_url(value.get_secret_value()):
            raise ValueError(f"the {info.field_name} given is no address that begins with 'http://' or 'https://'")
        return value

    @field_validator("ca_file", mode="after")
    @classmethod
    def _a_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        path = Path((info.context or {}).get("base") or "", value.expanduser())
        if not path.is_file():
            raise ValueError(f"there is no file '{value}'; give the certificates of your authority as a PEM file")
        return path

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if self.webhook_url is None and self.token is None:
            raise ValueError("needs 'webhook_url' (an incoming webhook), or 'token' and 'channel' (a bot)")
        if self.webhook_url is not None and self.token is not None:
            raise ValueError("has both 'webhook_url' and 'token'; keep the one to send with")
        if self.token is not None and not self.channel:
            raise ValueError("has a 'token' but no 'channel'; name the channel, or give its id")
        if self.webhook_url is not None and self.channel:
            raise ValueError(
                f"a webhook posts to its own channel, not to '{self.channel}'; leave 'channel' out, or use {_BOT}"
            )
        if self.webhook_url is not None and self.how_to_update != "new":
            raise ValueError(
                f"a webhook cannot edit or reply, as updates = '{self.updates}' would; use updates = 'new', or {_BOT}"
            )
        return self


def is_http_url(url: str) -> bool:
    """Whether `url` is an address that a request can be sent to.

    >>> is_http_url("https://hooks.slack.com/services/T0/B0/x"), is_http_url("hooks.slack.com")
    (True, False)
    """
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def rebased(url: str, base_url: str) -> str:
    """`url` with scheme, host and port of `base_url`, if there is one.

    >>> rebased("https://hooks.slack.com/services/T0/B0/x", "http://gateway:8065")
    'http://gateway:8065/services/T0/B0/x'
    """
    if not base_url:
        return url
    base = urlsplit(base_url)
    return urlsplit(url)._replace(scheme=base.scheme, netloc=base.netloc).geturl()
