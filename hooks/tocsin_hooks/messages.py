"""What a channel is given to send, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
    REPEAT = "repeat"
    """Nothing new, but still not over: a reminder, which should be noticed, not an edit."""
    RECOVER = "recover"
    """The incident is over."""
    EVENT = "event"
    """Stands by itself; belongs to no incident."""
    TEST = "test"
    """Sent by `tocsin test`; must be marked as such."""


class Why(StrEnum):
    """The reasons for sending that a message words in a way of its own; `Message.reason` may hold others."""

    FIRST = "first"
    NEW = "new"
    """Another problem of a group that was told of before."""
    CHANGED = "changed"
    """A known problem is in another state."""
    AGAIN = "again"
    """A known problem has shown itself once more, in the same state."""
    RECOVERED = "recovered"
    """A part of what was told is over."""
    ALL_RECOVERED = "all recovered"
    REPEAT = "repeat"
    ESCALATION = "escalation"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has taken the incident on; nothing else has changed."""
    DIGEST = "digest"
    """What was collected, in one message."""
    SUMMARY = "summary"
    """How many messages a throttle held back."""
    FLAPPING = "flapping"
    """It fails and recovers again and again: this is the last that is told until it is calm."""
    CALM = "calm"
    """The flapping has ended."""


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
class Item:
    """One of the problems, or events, that a message of a group tells of."""

    subject: str
    """`flow`, `flow/task` or `flow/task[3]`."""
    state: str
    at: str
    """When, in ISO 8601."""
    text: str = ""
    """The exception or the state's message, in one line."""
    recovered: bool = False


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
    reason: str = ""
    """Why it is sent: one of `Why`, or another word for people and logs."""
    group: Mapping[str, str] = field(default_factory=dict)
    """The labels that the events of a grouped message share, with their values."""
    items: tuple[Item, ...] = ()
    """What a message of several events tells of, the newest first; empty where `event` is all there is."""
    count: int = 1
    """How many there are, of which `items` may show the first only."""
    silent: bool = False
    """Whether it should make no sound: an edit at best, and no mention of anybody."""
    acknowledged_by: str = ""
    """Who has taken the incident on."""
    at: str = ""
    """When it was decided to send this, in ISO 8601; empty where that is the time of `event`."""

    @property
    def time(self) -> datetime:
        """When it was decided to send this: long after `event`, for a reminder or a digest."""
        try:
            found = datetime.fromisoformat(self.at) if self.at else self.event.time
        except ValueError:
            found = self.event.time
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def tells_of_several(self) -> bool:
        """Whether it is about more than `event`: title and text say all, and `event` is one of many."""
        return self.count > 1 or len(self.items) > 1 or self.reason in (Why.DIGEST, Why.SUMMARY)

    @property
    def is_acknowledgement(self) -> bool:
        """Whether all it tells is that somebody has taken the incident on: no failure is new in it."""
        told = self.reason in ("", Why.ACKNOWLEDGED)
        return bool(self.acknowledged_by) and told and self.action is Action.UPDATE

    @property
    def is_alarm(self) -> bool:
        """Whether it tells of a failure that is final, and calls for somebody: mention people, mark it as important."""
        final = self.event.is_a("Failed") and not self.event.will_retry
        over = self.action in (Action.RECOVER, Action.TEST) or self.reason in _CALLING_NOBODY
        return final and not over and not self.silent and not self.is_acknowledgement

    @property
    def word(self) -> str:
        """What has happened, in a word or two for a badge or a heading: the state, unless there is more to it."""
        if self.action in _ACTION_WORDS:
            return _ACTION_WORDS[self.action]
        if self.is_acknowledgement:
            return "Acknowledged"
        if self.reason in _REASON_WORDS:
            return _REASON_WORDS[self.reason]
        return f"Still {self.event.state}" if self.action is Action.REPEAT else self.event.state


_CALLING_NOBODY = frozenset({Why.RECOVERED, Why.CALM, Why.DIGEST, Why.SUMMARY})
_ACTION_WORDS = {Action.RECOVER: "Recovered", Action.TEST: "Test"}
_REASON_WORDS: Mapping[str, str] = {
    Why.DIGEST: "Digest",
    Why.SUMMARY: "Held back",
    Why.FLAPPING: "Flapping",
    Why.CALM: "Calm again",
}


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
