"""What it takes to tell of a failure, counted: no figure here depends on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.clock import SystemClock
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.simulate import Simulation
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.states import Failed
from tocsin_hooks.testing import sample_event

CONFIG = """
[channels.home]
type = "inbox"

[[routes]]
when = "is_failed"
send = ["home"]
"""
FRAME = 4096 + 24  # bytes of one page in the log


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "tocsin.db")
    yield store
    store.close()


@pytest.fixture
def hub(store: SqliteStore, tmp_path: Path) -> Hub:
    engine = Engine(Policy.of(Simulation(CONFIG).config))
    return Hub(Hooks(Catalog()), SystemClock(), Outbox(store, engine, Spill(tmp_path / "spill"), lambda: None))


def fail(hub: Hub, first: int, last: int) -> None:
    for n in range(first, last):
        hub.publish(sample_event(id=f"e{n}", task=f"t{n}", sequence=None), Failed())


def test_a_failure_that_opens_an_incident_changes_few_pages(hub: Hub, store: SqliteStore) -> None:
    log = store.path.with_name("tocsin.db-wal")
    fail(hub, 0, 100)
    before = log.stat().st_size
    fail(hub, 100, 200)
    assert len(store.deliveries(limit=None)) == 200
    assert (log.stat().st_size - before) / FRAME / 100 < 27


def test_a_failure_that_opens_an_incident_takes_few_statements(hub: Hub, store: SqliteStore) -> None:
    fail(hub, 0, 2)
    statements: list[str] = []
    with store._connection.read() as db:
        db.set_trace_callback(statements.append)
    fail(hub, 2, 3)
    assert len(statements) <= 20
    assert sum("INSERT INTO cells" in each for each in statements) == 4  # its group, its member, and what it may hide


def test_what_is_told_at_once_wakes_nobody_for_later(hub: Hub, store: SqliteStore) -> None:
    woken: list[None] = []
    hub.on_timer = lambda: woken.append(None)
    fail(hub, 0, 3)
    assert len(store.deliveries()) == 3
    assert store.next_cell_due() is None
    assert woken == []
