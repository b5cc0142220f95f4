"""What a channel is given to send, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin_hooks.events import Event


class Action(StrEnum):
    """What a message means for its incident."""

    OPEN = "open"
    """The first message of a new incident."""
    UPDATE = "update"
    """The incident goes on: another attempt, another failure."""
    RECOVER = "recover"
    """The incident is over."""
    EVENT = "event"
    """Stands by itself; belongs to no incident."""
    TEST = "test"
    """Sent by `tocsin test`; must be marked as such."""


class Reason(StrEnum):
    """Why an attempt failed. A closed list, so that failures can be counted and acted on."""

    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    CLIENT = "client"
    """The service refuses this request, and would refuse it again."""
    SERVER = "server"
    TIMEOUT = "timeout"
    NETWORK = "network"
    PAYLOAD = "payload"
    """The message itself cannot be sent: too large, or malformed."""
    GONE = "gone"
    """The destination no longer exists."""
    CONFIG = "config"
    """The channel cannot be built: a secret is missing, or a setting is wrong."""
    PLUGIN = "plugin"
    """The channel raised what is no `SendError`, or returned what is no `Receipt`: a bug of its own."""


class SendError(Exception):
    """An attempt that did not deliver.

    `retry_after` is the wait in seconds that the service asked for. `permanent`: trying again cannot help.
    `disable`: nothing can be delivered there until somebody mends the channel. `unknown`: the message may have
    arrived (the answer was lost), so a later attempt may double it. The text reaches operators: no secrets.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        retry_after: float | None = None,
        permanent: bool = False,
        disable: bool = False,
        unknown: bool = False,
    ) -> None:
        super().__init__(detail or str(reason))
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.permanent = permanent or disable
        self.disable = disable
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class Link:
    """A place to look further."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """Channel-neutral text about one event, and what a service needs to file it.

    `id` is the same on every attempt, host and replay: use it as idempotency key. `incident` names the problem
    across attempts and runs (use it to thread, edit or resolve); it is empty for a message that stands by itself.
    `title` is one line; `text` is plain text, of several lines perhaps. Neither is escaped: each channel escapes
    for its own dialect.
    """

    id: str
    action: Action
    title: str
    text: str
    event: Event
    channel: str = ""
    route: str = ""
    incident: str = ""
    incident_opened_at: str = ""
    severity: str = "error"
    """critical, error, warning or info."""
    fields: tuple[tuple[str, str], ...] = ()
    """Label and value, in the order in which to show them; empty ones are left out."""
    links: tuple[Link, ...] = ()
    templated: bool = False
    """Whether title and text come from the operator's template: a channel then adds no text of its own."""
    attempt: int = 1
    """Which try this is; above 1, an earlier one may have arrived (see `unknown`)."""
    may_repeat: bool = False
    """Whether an earlier attempt ended unknown, so that this one may be a repetition."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a service answered to a message it accepted.

    `detail` is the service's own answer, for people. `reference` is what a later message of the same incident
    needs (a timestamp, a thread id, a key): short text values only, no secrets; it is kept with the incident
    and comes back as `previous`. `sent=False` says that there was nothing to send, and that this is right.
    """

    detail: str = ""
    reference: Mapping[str, str] = field(default_factory=dict)
    sent: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The receipt as plain JSON data."""
        return {"detail": self.detail, "reference": dict(self.reference), "sent": self.sent}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Receipt:
        """The receipt that `to_dict` wrote."""
        return cls(data.get("detail", ""), dict(data.get("reference", {})), data.get("sent", True))
