"""What the outbox holds: incidents, deliveries and their outcomes, as plain values."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from tocsin.errors import TocsinError
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Reason, Receipt

_DELIVERIES = uuid.UUID("0b1de1f2-5a8c-5d38-8d6e-3a1f5ac7e9d4")  # drawn once, for the ids of deliveries
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NOTED = 10_000_000
"""Microseconds to within which a store remembers the latest time at which deliveries were written."""


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


class Told(Protocol):
    """What a claimed delivery tells. It is read when it is first asked for, and raises if it cannot be."""

    @property
    def action(self) -> Action:
        """What is asked of the channel."""

    @property
    def event(self) -> Event:
        """What happened, with its place in history."""

    @property
    def planned(self) -> Planned:
        """What was planned."""

    @property
    def previous(self) -> Receipt | None:
        """What the channel returned for the message of the thread before it."""


class Leased(NamedTuple):
    """A delivery claimed by a worker, with all that an attempt needs."""

    number: int
    id: str
    token: int
    channel: str
    route: str
    thread: str
    template: str
    attempt: int
    created: int
    """See `created_at`, as `to_micros` writes it."""
    may_repeat: bool
    told: Told

    @property
    def created_at(self) -> datetime:
        """When it was planned."""
        return from_micros(self.created)

    @property
    def action(self) -> Action:
        """See `Told.action`."""
        return self.told.action

    @property
    def event(self) -> Event:
        """See `Told.event`."""
        return self.told.event

    @property
    def planned(self) -> Planned:
        """See `Told.planned`."""
        return self.told.planned

    @property
    def previous(self) -> Receipt | None:
        """See `Told.previous`."""
        return self.told.previous


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
    planned: Planned | None = None
    """What it tells beside its event; None where that cannot be read."""

    @property
    def events(self) -> tuple[str, ...]:
        """The ids of all events that it tells of."""
        return (self.planned.events if self.planned is not None else ()) or (self.event.id,)


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
    name = "\n".join((event_id, channel, nonce) if nonce else (event_id, channel))
    digest = hashlib.sha1(_DELIVERIES.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    # what str(uuid.uuid5(_DELIVERIES, name)) gives, in half the time
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


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
