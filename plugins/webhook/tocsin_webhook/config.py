"""What may stand in the table of a `type = "webhook"` channel."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from tocsin_hooks.http import HttpConfig
from tocsin_hooks.secrets import MaybeSecret, Secret
from tocsin_webhook.guard import Reach, network

LARGEST = 256 * 1024
SMALLEST = 16 * 1024
"""A body without any of its optional parts always fits into this."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_RESERVED_PREFIXES = ("webhook-", "proxy-")
_TELLING = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class WebhookConfig(HttpConfig):
    """Settings of a `type = "webhook"` channel.

    Those that say what may be reached come before `url`, which is checked by them.
    """

    allow_http: bool = False
    """Whether to post without TLS."""
    allow_private: Annotated[tuple[Annotated[str, AfterValidator(network)], ...], BeforeValidator(_listed)] = ()
    """Networks that may be reached though they are not public."""
    allow_ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], BeforeValidator(_listed)] = ()
    """Ports that may be reached besides 443 and, without TLS, 80."""
    url: MaybeSecret
    """Where to post."""
    sign: Annotated[tuple[Secret, ...], BeforeValidator(_listed), Field(min_length=1, max_length=2)] | None = None
    """The key, or the old and the new one, of Standard Webhooks signatures."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    """The HTTP method."""
    headers: dict[str, str | Secret] = Field(default_factory=dict)
    """Further headers."""
    max_body: int = Field(default=LARGEST, ge=SMALLEST, le=LARGEST)
    """Bytes; a longer body leaves parts out, and says so."""

    def reach(self) -> Reach | None:
        """What may be reached; None where `base_url` says where all goes."""
        return None if self.base_url else Reach(self.allow_http, self.allow_private, self.allow_ports)

    @field_validator("url")
    @classmethod
    def _may_be_reached(cls, url: Secret, info: ValidationInfo) -> Secret:
        """What can be seen without looking a name up. The address in a secret is seen when it is used."""
        given = info.data
        if not url.at_hand or given.get("base_url") or not {"allow_http", "allow_private", "allow_ports"} <= set(given):
            return url
        reach = Reach(given["allow_http"], given["allow_private"], given["allow_ports"])
        if objection := reach.objection_to_url(url.get_secret_value()):
            raise ValueError(objection)
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str | Secret]) -> dict[str, str | Secret]:
        for name, value in headers.items():
            if fault := header_fault(name, value):
                raise ValueError(fault)
        return headers


def header_fault(name: str, value: str | Secret) -> str | None:
    r"""Why a header cannot be set, None when it can.

    >>> header_fault("X-Team", "data")
    >>> header_fault("Host", "example.org")
    "header 'Host' is set by tocsin itself"
    >>> header_fault("X-Team", "a\u0394")
    "header 'X-Team' holds characters that no header can carry"
    """
    lowered = name.lower()
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is no name of a header"
    if lowered in _RESERVED or lowered.startswith(_RESERVED_PREFIXES):
        return f"header '{name}' is set by tocsin itself"
    if isinstance(value, Secret):
        return None
    if any(part in lowered for part in _TELLING):
        return f"header '{name}' holds a secret, which is never written here; refer to it: {{ env = \"NAME\" }}"
    if not (value.isprintable() and all(ord(char) < 256 for char in value)):
        return f"header '{name}' holds characters that no header can carry"
    return None
