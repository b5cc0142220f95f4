"""What an outbox must do, whatever database it stands on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from tocsin.store.records import (
    AttemptRecord,
    Cell,
    DeliveryRecord,
    InboxItem,
    Incident,
    Leased,
    Outcome,
    Planned,
    Sent,
    Status,
    Suppression,
)
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message

if TYPE_CHECKING:
    from tocsin.store.summary import StoreSummary

T = TypeVar("T")


class Transaction(Protocol):
    """What can be read and written inside one transaction of a store."""

    def sequence_of(self, event_id: str) -> int | None:
        """The place of an event in history; None when it is not there."""

    def event(self, event_id: str) -> Event | None:
        """The event of that id."""

    def add_event(self, event: Event, incident: int | None = None) -> Event:
        """Put an event into history, once; it comes back with its place there."""

    def incident(self, key: str) -> Incident | None:
        """The open incident of that key."""

    def incident_numbered(self, number: int) -> Incident | None:
        """The incident of that number, open or not."""

    def open_incidents(self) -> list[Incident]:
        """All open incidents, oldest first."""

    def incidents(self, limit: int) -> list[Incident]:
        """The newest incidents, open or not, oldest first."""

    def put_incident(self, incident: Incident) -> Incident:
        """Write an incident; a new one comes back with its number."""

    def deliver(self, event: Event, incident: int | None, planned: Planned, *, now: datetime) -> Sent | None:
        """Plan a delivery of an event that is in history. None when there is one of its key already."""

    def suppress(self, suppression: Suppression) -> None:
        """Keep what was not sent, and why."""

    def cell(self, kind: str, key: str) -> Cell | None:
        """One document."""

    def documents(self, names: Sequence[tuple[str, str]]) -> list[Cell]:
        """Those that there are of the documents of these kinds and keys; one question for all of them."""

    def cells(self, kind: str, *, parent: str | None = None, subject: str | None = None) -> list[Cell]:
        """The documents of a kind, those of a parent or about a subject, in the order of their keys.

        Those that belong to nothing are not found by asking for an empty parent or subject.
        """

    def due_cells(self, *, now: datetime, limit: int) -> list[Cell]:
        """Documents whose time has come, the longest due first."""

    def put(self, cell: Cell) -> None:
        """Write a document in place of the one of its kind and key."""

    def drop(self, kind: str, key: str) -> None:
        """Forget a document, if there is one."""


class Store(Protocol):
    """A durable outbox. Each method is one transaction; every error is a StoreError."""

    def transact(self, work: Callable[[Transaction], T], *, keep: bool = True) -> T:
        """Do `work` in one transaction and return its result: all of it is on disk then, or none.

        What `work` raises undoes it and comes out; without `keep` it is undone in any case. `work` may be done more
        than once before it is committed: only what its last time wrote, and returned or raised, counts. It must not
        use the store by other ways.
        """

    def is_open(self, incident_key: str) -> bool:
        """Whether the incident of that key is open; quick enough to ask for every success."""

    def any_open(self) -> bool:
        """Whether any incident is open; as quick."""

    def next_cell_due(self) -> datetime | None:
        """When the next document's time comes; None when none has one."""

    def events(self, *, since: datetime, until: datetime | None = None, limit: int | None = None) -> list[Event]:
        """The events of a time in the order in which they were stored."""

    def suppressions(self, *, event: str | None = None, since: datetime | None = None) -> list[Suppression]:
        """What was not sent, and why, oldest first."""

    def lease(
        self,
        *,
        now: datetime,
        ttl: timedelta,
        limit: int,
        owner: str,
        but: Collection[str] = (),
        expired: datetime | None = None,
    ) -> list[Leased]:
        """Claim up to `limit` deliveries that are due, until `now + ttl`; none of the channels `but`.

        Of one thread and channel the oldest goes first, and the next only when it has ended. What has piled up there
        is put together: `coalescing` says how. A wait, or a lease, that was written at a time that is yet to come,
        since the clock was set back, begins anew. `expired`: the leases of others that end after that are respected,
        although they are over by `now`, for the clock has leapt forward.
        """

    def record(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Settle claimed deliveries. False for one whose lease was lost: a newer owner has it, nothing is changed.

        A receipt settles also what the same claim has given up before: it has come late, but it has come.
        """

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        *,
        now: datetime,
        ttl: timedelta,
        limit: int,
        owner: str,
        but: Collection[str] = (),
        expired: datetime | None = None,
    ) -> tuple[list[bool], list[Leased]]:
        """`record`, then `lease`, in one transaction: one sync for both."""

    def renew(self, deliveries: Sequence[Leased], *, until: datetime, now: datetime | None = None) -> int:
        """Prolong the claims that are still held; how many those are. `now`: when that is done."""

    def give_back(self, deliveries: Sequence[Leased], *, now: datetime) -> int:
        """Make claimed deliveries that were not tried due again, as if they had not been claimed; how many."""

    def release(self, is_alive: Callable[[str], bool], *, now: datetime) -> int:
        """Make claimed deliveries due at once whose owner is no longer alive; how many."""

    def next_due(self, *, now: datetime, but: Collection[str] = ()) -> datetime | None:
        """When there is next something to claim: a delivery is due, or a lease runs out. None when nothing waits.

        The channels `but` are left out.
        """

    def waiting(self, *, before: datetime, owner: str, now: datetime, but: Collection[str] = ()) -> int:
        """How many deliveries can be claimed before a time, or are claimed by `owner`; without the channels `but`."""

    def deliveries(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        run_ids: Sequence[str] | None = None,
        event: str | None = None,
        limit: int | None = 100,
    ) -> list[DeliveryRecord]:
        """Deliveries, newest first; those that tell of the event of that id, by themselves or among others."""

    def delivery(self, prefix: str) -> list[DeliveryRecord]:
        """The deliveries whose id begins with `prefix`."""

    def attempts(self, number: int) -> list[AttemptRecord]:
        """The tries of a delivery, oldest first."""

    def summary(self, *, now: datetime, channels: Collection[str] = ()) -> StoreSummary:
        """How the outbox stands: for `channels`, and for all others where something waits, is dead or failed lately."""

    def revive(self, numbers: Sequence[int], *, now: datetime) -> int:
        """Make dead deliveries due now, under the same id, with their tries counted anew; how many.

        Their channels are switched on again: the cells `(DISABLED, channel)` are dropped.
        """

    def add_to_inbox(self, message: Message, *, now: datetime) -> None:
        """Keep a message; one with a known id adds nothing."""

    def inbox(self, *, limit: int | None = 50) -> list[InboxItem]:
        """The messages kept, newest first."""

    def prune(self, *, before: datetime) -> int:
        """Forget what ended before a time; how many deliveries. What still waits is never forgotten."""

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
