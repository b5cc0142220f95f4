"""Whether a hub is there: a process that keeps time for all others that share its store."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.delivery.owner import this_process
from tocsin.identity import Presence, Process, presence_of, this_process as whole_identity
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell

HUB = "hub"
"""The name of the documents."""
SEEN_EVERY = timedelta(seconds=30)
"""How often a hub says that it is there."""
_FORGOTTEN_AFTER = timedelta(seconds=120)  # of another host or container, whose processes cannot be looked at
_REMEMBERED = timedelta(days=1)  # a hub that ended without a word


@dataclass(frozen=True, slots=True)
class SeenHub:
    """A hub, as it last spoke of itself."""

    host: str
    pid: int | None
    seen_at: datetime
    there: bool
    """Whether it still is."""
    started_at: datetime | None = None
    spilled: int = 0
    """Events that it could not store and kept in its spill file."""
    lost: int = 0
    """Events that it could keep nowhere."""
    breakers: Mapping[str, str] = field(default_factory=dict)
    """How the channels stand that it does not send to at present."""


def announce(store: Store, now: datetime, news: Mapping[str, Any] | None = None) -> None:
    """Say that this process is a hub, as it has to be said every `SEEN_EVERY`. Raises StoreError.

    `news` are values of the fields of `SeenHub`; times as seconds since 1970.
    """
    owner = this_process()
    known = {"seen_at": now.timestamp(), "host": socket.gethostname(), "process": asdict(whole_identity())}
    body = json.dumps({**(news or {}), **known})

    def say(tx: Transaction) -> None:
        tx.put(Cell(HUB, owner, body))
        for cell in tx.cells(HUB):
            if now.timestamp() - json.loads(cell.body)["seen_at"] > _REMEMBERED.total_seconds():
                tx.drop(HUB, cell.key)

    store.transact(say)


def leave(store: Store) -> None:
    """Say that this process is a hub no longer. Raises StoreError."""
    owner = this_process()
    store.transact(lambda tx: tx.drop(HUB, owner))


def attended(store: Store, now: datetime) -> bool:
    """Whether a hub is there, other than this process. Raises StoreError."""
    return bool(store.transact(lambda tx: _others(tx, now), keep=False))


def hubs(store: Store, now: datetime) -> list[SeenHub]:
    """The hubs that are there, and those of the last day that ended without a word; the last seen first.

    Raises StoreError.
    """
    cells = store.transact(lambda tx: tx.cells(HUB), keep=False)
    return sorted((_seen(cell, now) for cell in cells), key=lambda hub: hub.seen_at, reverse=True)


def _seen(cell: Cell, now: datetime) -> SeenHub:
    said = json.loads(cell.body)
    process, started = _process(said), said.get("started_at")
    return SeenHub(
        host=said["host"],
        pid=_pid(cell.key) if process is None else process.pid,
        seen_at=datetime.fromtimestamp(said["seen_at"], UTC),
        there=_is_there(cell, now),
        started_at=None if started is None else datetime.fromtimestamp(started, UTC),
        spilled=said.get("spilled", 0),
        lost=said.get("lost", 0),
        breakers=said.get("breakers", {}),
    )


def _others(tx: Transaction, now: datetime) -> list[str]:
    me = this_process()
    return [cell.key for cell in tx.cells(HUB) if cell.key != me and _is_there(cell, now)]


def _is_there(cell: Cell, now: datetime) -> bool:
    said = json.loads(cell.body)
    process = _process(said)
    presence = Presence.ELSEWHERE if process is None else presence_of(process)
    if presence is Presence.ELSEWHERE:
        return bool(now.timestamp() - said["seen_at"] < _FORGOTTEN_AFTER.total_seconds())
    return presence is Presence.THERE


def _pid(owner: str) -> int | None:
    pid = owner.split("|")[2:3]
    return int(pid[0]) if pid and pid[0].isdecimal() else None


def _process(said: Mapping[str, Any]) -> Process | None:
    """Which process a hub is; None where it did not say."""
    return Process(**said["process"]) if "process" in said else None
