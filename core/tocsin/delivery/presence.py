"""Whether a hub is there: a process that keeps time for all others that share its store."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta

from tocsin.delivery.owner import is_alive, this_process
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell

HUB = "hub"
"""The name of the documents."""
SEEN_EVERY = timedelta(seconds=30)
"""How often a hub says that it is there."""
_FORGOTTEN_AFTER = timedelta(seconds=120)  # of another host, whose processes cannot be looked at


def announce(store: Store, now: datetime) -> None:
    """Say that this process is a hub, as it has to be said every `SEEN_EVERY`. Raises StoreError."""
    owner = this_process()
    body = json.dumps({"seen_at": now.timestamp(), "host": socket.gethostname()})
    store.transact(lambda tx: tx.put(Cell(HUB, owner, body)))


def leave(store: Store) -> None:
    """Say that this process is a hub no longer. Raises StoreError."""
    owner = this_process()
    store.transact(lambda tx: tx.drop(HUB, owner))


def attended(store: Store, now: datetime) -> bool:
    """Whether a hub is there, other than this process. Raises StoreError."""
    return bool(store.transact(lambda tx: _others(tx, now), keep=False))


def _others(tx: Transaction, now: datetime) -> list[str]:
    me = this_process()
    return [cell.key for cell in tx.cells(HUB) if cell.key != me and _is_there(cell, now)]


def _is_there(cell: Cell, now: datetime) -> bool:
    seen = json.loads(cell.body)
    if seen["host"] == socket.gethostname():
        return is_alive(cell.key)
    return bool(now.timestamp() - seen["seen_at"] < _FORGOTTEN_AFTER.total_seconds())
