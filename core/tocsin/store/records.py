"""What the outbox holds: incidents, deliveries and their outcomes, as plain values."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tocsin.errors import TocsinError
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Reason, Receipt

_DELIVERIES = uuid.UUID("0b1de1f2-5a8c-5d38-8d6e-3a1f5ac7e9d4")  # drawn once, for the ids of deliveries
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoreError(TocsinError):
    """The outbox cannot be read or written."""


class Status(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """Waits until it is due."""
    LEASED = "leased"
    """A worker has claimed it, until its lease runs out."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Nothing more is tried by itself."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One problem, from its first event to its recovery. `number` is None until it is stored."""

    key: str
    opened_at: datetime
    number: int | None = None
    closed_at: datetime | None = None
    event: str = ""
    """The id of its last event that showed the problem."""
    state: str = ""
    run_id: str = ""
    """The run in which it was opened."""
    failures: int = 0
    """How often it failed for good."""
    hides: int = 0
    """How many events are not sent because of it."""
    channels: tuple[str, ...] = ()
    """Where its events are routed to, sent or not."""
    acked_at: datetime | None = None
    acked_by: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be stored: where, why, and what beside its event it tells."""

    channel: str
    route: str
    action: Action
    template: str = ""
    reason: str = ""
    thread: str = ""
    """Deliveries of one thread and channel keep their order and share receipts; empty for one that stands alone."""
    incident: str = ""
    """What the message calls its incident."""
    opened_at: datetime | None = None
    nonce: str = ""
    """Tells apart messages of one event on one channel, such as reminders."""
    group: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    """The ids of all events that it tells of."""
    items: tuple[Item, ...] = ()
    count: int = 1
    recovered: int = 0
    within: timedelta | None = None
    silent: bool = False
    say: str = ""
    hides: int = 0
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Something that was not sent, and why."""

    at: datetime
    event: str
    stage: str
    rule: str
    reason: str
    route: str = ""
    channel: str = ""

    @property
    def time(self) -> datetime:
        """The same as `at`."""
        return self.at

    @property
    def event_id(self) -> str:
        """The same as `event`."""
        return self.event


@dataclass(frozen=True, slots=True)
class Cell:
    """One document that a stage of alerting remembers something in."""

    kind: str
    key: str
    body: str
    parent: str = ""
    subject: str = ""
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that was planned, with its id."""

    id: str
    event: Event
    planned: Planned


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery claimed by a worker, with all that an attempt needs."""

    number: int
    id: str
    token: int
    channel: str
    route: str
    action: Action
    template: str
    attempt: int
    created_at: datetime
    event: Event
    planned: Planned
    previous: Receipt | None
    may_repeat: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `retry_at` set: try again then; else a receipt, or dead."""

    delivery: Leased
    at: datetime
    took: timedelta
    receipt: Receipt | None = None
    reason: Reason | None = None
    detail: str = ""
    retry_at: datetime | None = None
    unknown: bool = False

    @property
    def status(self) -> Status:
        """Where this leaves the delivery."""
        if self.receipt is not None:
            return Status.DELIVERED
        return Status.DEAD if self.retry_at is None else Status.PENDING


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try, as history shows it."""

    at: datetime
    took: timedelta
    outcome: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery, as history shows it."""

    number: int
    id: str
    channel: str
    route: str
    action: str
    status: Status
    attempts: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    reason: str
    detail: str
    event: Event


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A message kept in the local database."""

    number: int
    at: datetime
    channel: str
    action: str
    severity: str
    title: str
    text: str
    delivery: str


def delivery_id(event_id: str, channel: str, nonce: str = "") -> str:
    """The idempotency key of a delivery: the same on every attempt, host and replay.

    >>> delivery_id("e", "ops") == delivery_id("e", "ops") != delivery_id("e", "mail")
    True
    >>> delivery_id("e", "ops", "repeat 1") == delivery_id("e", "ops")
    False
    """
    return str(uuid.uuid5(_DELIVERIES, "\n".join((event_id, channel, *([nonce] if nonce else ())))))


def storable(text: str) -> str:
    r"""`text` as a database takes it: half characters, as in names of files that are no UTF-8, become `?`.

    >>> storable("caf\udce9")
    'caf?'
    """
    return text.encode("utf-8", "replace").decode()


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, UTC: how times are stored, so that they compare as numbers.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return round(time.timestamp() * 1_000_000)


def from_micros(micros: int) -> datetime:
    """The time that `to_micros` wrote."""
    return _EPOCH + timedelta(microseconds=micros)
