"""A process that can have no thread for its heartbeats lets its runs be heard of all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.threadless import Limit
from tocsin.clock import ManualClock
from tocsin.hub.heart import Heart
from tocsin.hub.heartbeats import HEARTBEAT, beat_in
from tocsin.hub.turn import join
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.testing import sample_event

BEGAN = sample_event(run_id="run1", task="", state="Running", sequence=None)


class Chest:
    """A heart of which the threads are limited."""

    def __init__(self, folder: Path, limit: Limit) -> None:
        self.clock = ManualClock()
        self.store = SqliteStore(folder / "tocsin.db")
        self.heart = Heart(self.store, self.clock, every=timedelta(seconds=15), begin=limit.begin)

    def heard_at(self) -> datetime:
        beat = beat_in(self.store.transact(lambda tx: tx.cell(HEARTBEAT, join("run1")), keep=False))
        assert beat is not None
        return beat.at


@pytest.fixture
def limit() -> Limit:
    return Limit(0)


@pytest.fixture
def chest(tmp_path: Path, limit: Limit) -> Iterator[Chest]:
    chest = Chest(tmp_path, limit)
    yield chest
    chest.heart.stop()
    chest.store.close()


def test_a_run_begins_where_no_thread_can_be_had_and_what_follows_is_said_once(
    chest: Chest, caplog: pytest.LogCaptureFixture
) -> None:
    chest.heart.begin(BEGAN)
    chest.heart.begin(BEGAN.replace(run_id="run2"))
    assert chest.heart.is_known("run1")
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(
        "no thread can be had for heartbeats, so a hub on another host may take the runs of this process for dead: "
    )


def test_its_events_carry_the_heartbeat_then_but_no_more_often_than_it_is_due(chest: Chest) -> None:
    chest.heart.begin(BEGAN)
    began = chest.clock.now()
    chest.clock.advance(14)
    assert chest.heart.token("run1")
    assert chest.heard_at() == began
    chest.clock.advance(1)
    chest.heart.token("another")
    assert chest.heard_at() == began
    chest.heart.token("run1")
    assert chest.heard_at() == began.add(seconds=15)
    chest.clock.advance(14)
    chest.heart.token("run1")
    assert chest.heard_at() == began.add(seconds=15)


def test_a_thread_that_can_be_had_later_takes_over(
    chest: Chest, limit: Limit, caplog: pytest.LogCaptureFixture
) -> None:
    chest.heart.begin(BEGAN)
    limit.room = 2
    chest.clock.advance(15)
    chest.heart.token("run1")
    assert limit.room == 1
    chest.clock.advance(15)
    chest.heart.token("run1")
    assert limit.room == 1, "one is enough"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
