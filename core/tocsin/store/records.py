"""What the outbox holds: incidents, deliveries and their outcomes, as plain values."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tocsin.errors import TocsinError
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Reason, Receipt

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


class IncidentStep(StrEnum):
    """What an event does to the incident of its key."""

    NONE = "none"
    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """A problem that is not over: its number, and the channels that were told of it."""

    number: int
    key: str
    opened_at: datetime
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be stored along with its event."""

    channel: str
    route: str
    action: Action
    template: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to commit for an event: nothing at all, or the event, its deliveries and the incident's step."""

    step: IncidentStep = IncidentStep.NONE
    deliveries: tuple[Planned, ...] = ()
    keep: bool = True
    """Whether the event is worth storing."""


Planner = Callable[[OpenIncident | None], Plan]
"""Decides, from the open incident of the event's key, what to commit. Called inside the transaction; pure."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an event that was offered to the store."""

    event: Event
    deliveries: tuple[str, ...] = ()
    """The ids of the deliveries committed with it."""
    known: bool = False
    """Whether the store had it already: then nothing was added."""


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
    incident: OpenIncident | None
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


def delivery_id(event_id: str, channel: str) -> str:
    """The idempotency key of a delivery: the same on every attempt, host and replay.

    >>> delivery_id("e", "ops") == delivery_id("e", "ops") != delivery_id("e", "mail")
    True
    """
    return str(uuid.uuid5(_DELIVERIES, f"{event_id}\n{channel}"))


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
