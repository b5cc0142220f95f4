"""What a `type = "apprise"` channel can be told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, field_validator, model_validator

from tocsin_apprise.urls import ONE_URL, check_one, parse_base_url
from tocsin_hooks.channels import ChannelConfig
from tocsin_hooks.durations import Duration
from tocsin_hooks.secrets import MaybeSecret

Overflow = Literal["truncate", "split", "upstream"]


def _one(value: Any) -> Any:
    if isinstance(value, list | tuple):
        raise ValueError(ONE_URL)  # noqa: TRY004  (pydantic makes its own error of a ValueError only)
    return value


class AppriseConfig(ChannelConfig):
    """Settings of a `type = "apprise"` channel."""

    model_config = ConfigDict(hide_input_in_errors=True)  # it would hold the URL

    url: Annotated[MaybeSecret, BeforeValidator(_one)]
    """One Apprise URL; write one channel for each."""
    overflow: Overflow | None = None
    """What becomes of a text that is too long for the service."""
    format: Literal["text", "markdown"] = "text"
    """What the text is written in."""
    timeout: Duration = timedelta(seconds=30)
    """For one whole attempt."""
    base_url: str = ""
    """http://host:port to use in place of the host in the URL."""

    @field_validator("base_url")
    @classmethod
    def _host_and_port(cls, url: str) -> str:
        if url:
            parse_base_url(url)
        return url

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.url.at_hand:  # any other is read when a message is sent
            from tocsin_apprise.services import build  # needs Apprise

            url = self.url.get_secret_value()
            check_one(url)
            build(url, self.base_url)
        return self
