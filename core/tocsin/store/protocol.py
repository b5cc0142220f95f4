"""What an outbox must do, whatever database it stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from tocsin.store.records import (
    AttemptRecord,
    DeliveryRecord,
    InboxItem,
    Leased,
    OpenIncident,
    Outcome,
    Planner,
    Status,
    Stored,
)
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message


class Store(Protocol):
    """A durable outbox. Each method is one transaction; every error is a StoreError."""

    def append(self, event: Event, incident_key: str, plan: Planner, *, now: datetime) -> Stored:
        """Commit `event`, the deliveries that `plan` wants and the incident's step, all or nothing.

        When this returns, what it reports is on disk. An event whose id is known adds nothing.
        """

    def is_open(self, incident_key: str) -> bool:
        """Whether the incident of that key is open; quick enough to ask for every success."""

    def incident(self, incident_key: str) -> OpenIncident | None:
        """The open incident of that key, if there is one."""

    def any_open(self) -> bool:
        """Whether any incident is open; as quick."""

    def lease(self, *, now: datetime, ttl: timedelta, limit: int, owner: str) -> list[Leased]:
        """Claim up to `limit` deliveries that are due, until `now + ttl`.

        Of one incident and channel the oldest goes first, and the next only when it has ended.
        """

    def record(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Settle claimed deliveries. False for one whose lease was lost: a newer owner has it, nothing is changed."""

    def release(self, is_alive: Callable[[str], bool], *, now: datetime) -> int:
        """Make claimed deliveries due at once whose owner is no longer alive; how many."""

    def next_due(self, *, now: datetime) -> datetime | None:
        """When there is next something to claim: a delivery is due, or a lease runs out. None when nothing waits."""

    def waiting(self, *, before: datetime, owner: str, now: datetime) -> int:
        """How many deliveries can be claimed before a time, or are claimed by `owner`."""

    def deliveries(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        run_ids: Sequence[str] | None = None,
        limit: int | None = 100,
    ) -> list[DeliveryRecord]:
        """Deliveries, newest first."""

    def delivery(self, prefix: str) -> list[DeliveryRecord]:
        """The deliveries whose id begins with `prefix`."""

    def attempts(self, number: int) -> list[AttemptRecord]:
        """The tries of a delivery, oldest first."""

    def revive(self, numbers: Sequence[int], *, now: datetime) -> int:
        """Make dead deliveries due now, under the same id, with their tries counted anew; how many."""

    def add_to_inbox(self, message: Message, *, now: datetime) -> None:
        """Keep a message; one with a known id adds nothing."""

    def inbox(self, *, limit: int | None = 50) -> list[InboxItem]:
        """The messages kept, newest first."""

    def prune(self, *, before: datetime) -> int:
        """Forget what ended before a time; how many deliveries. What still waits is never forgotten."""

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
