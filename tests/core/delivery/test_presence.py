"""Whether a hub is there: looked at where that is possible, else by when it last spoke."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.delivery.presence import HUB, announce, attended, hubs, leave
from tocsin.identity import Process, process_of, this_process
from tocsin.store.records import Cell
from tocsin.store.sqlite import SqliteStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "tocsin.db")
    yield made
    made.close()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def speaks(store: SqliteStore, process: Process, at: datetime = NOON) -> None:
    """Let a hub that is another process say that it is there."""
    body = {"seen_at": at.timestamp(), "host": process.host, "process": asdict(process)}
    store.transact(lambda tx: tx.put(Cell(HUB, f"hub {process.pid}", json.dumps(body))))


def test_a_hub_is_no_other_for_itself_and_says_which_process_it_is(store: SqliteStore) -> None:
    announce(store, NOON)
    assert not attended(store, NOON)
    [seen] = hubs(store, NOON + timedelta(hours=1))
    assert (seen.pid, seen.host, seen.there) == (this_process().pid, this_process().host, True)
    leave(store)
    assert hubs(store, NOON) == []


def test_a_hub_of_this_place_is_there_exactly_as_long_as_its_process(store: SqliteStore, child: object) -> None:
    assert isinstance(child, subprocess.Popen)
    speaks(store, process_of(child.pid))
    assert attended(store, NOON + 60 * MINUTE), "it may be stopped, or the store slow"
    child.kill()
    child.wait()
    assert not attended(store, NOON)


@pytest.mark.parametrize("where", ["host", "boot", "space"])
def test_a_hub_of_another_host_boot_or_container_is_there_while_it_speaks(store: SqliteStore, where: str) -> None:
    speaks(store, replace(this_process(), pid=1, **{where: "another"}))
    assert attended(store, NOON + MINUTE)
    assert not attended(store, NOON + 2 * MINUTE)


def test_a_hub_that_did_not_say_which_process_it_is_counts_by_when_it_spoke(store: SqliteStore) -> None:
    body = json.dumps({"seen_at": NOON.timestamp(), "host": this_process().host})
    store.transact(lambda tx: tx.put(Cell(HUB, "an|earlier|7|tocsin", body)))
    assert attended(store, NOON + MINUTE)
    [seen] = hubs(store, NOON + 3 * MINUTE)
    assert (seen.pid, seen.there) == (7, False)
