"""A store that does not answer is said once, and so is that it does again; nobody takes silence for an empty outbox."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.beasts import until
from support.worlds import Pager, World
from tocsin.clock import ManualClock
from tocsin.delivery.outage import Outage
from tocsin.delivery.timekeeper import Timekeeper
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.masked import logger
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore

Worlds = Callable[..., World]


class Refusing(SqliteStore):
    """A store that refuses while it is told to."""

    refuses = False
    released = False
    """Whether what dead processes had claimed may be given back all the same."""
    asked = 0

    def _ask(self) -> None:
        if self.refuses:
            self.asked += 1
            raise StoreError("the disk is full")

    def exchange(self, *given: Any, **more: Any) -> Any:
        self._ask()
        return super().exchange(*given, **more)

    def release(self, *given: Any, **more: Any) -> Any:
        if not self.released:
            self._ask()
        return super().release(*given, **more)


@pytest.fixture
def world(worlds: Worlds, tmp_path: Path) -> World:
    world = worlds(ops=Pager())
    world.store.close()
    world.store = Refusing(tmp_path / "tocsin.db")
    world.worker = Worker(world.store, world.sender, world.clock, WorkerSettings(threads=1))
    return world


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_what_cannot_be_counted_is_not_reported_as_nothing(world: World) -> None:
    assert isinstance(world.store, Refusing)
    world.store_plan("e1", "ops")
    world.store.refuses = True
    with pytest.raises(StoreError, match="the disk is full"):
        world.drain()
    world.store.refuses = False
    world.clock.advance(5)
    assert world.drain() == 0


def test_a_worker_says_that_the_store_answers_again_and_how_long_it_did_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    store = world.store
    assert isinstance(store, Refusing)
    store.refuses = True
    world.plan("e1", "ops")
    world.until(lambda: len(caplog.records) == 1)
    asked = store.asked
    world.clock.advance(75)
    world.until(lambda: store.asked > asked)
    store.refuses = False
    world.clock.advance(5)
    world.drain()
    assert said(caplog) == [
        ("ERROR", "deliveries wait: the disk is full"),
        ("WARNING", "the store answers again after 1 min 20 s; deliveries go on"),
    ]


def test_a_store_that_does_not_answer_is_not_waited_for_until_the_end_of_a_drain(world: World) -> None:
    store = world.store
    assert isinstance(store, Refusing)
    world.plan("e1", "ops")
    store.refuses = True
    world.worker.wake()
    world.until(lambda: store.asked > 0)
    caught: list[BaseException] = []

    def drain() -> None:
        try:
            world.worker.drain(timedelta(hours=1))
        except StoreError as error:
            caught.append(error)

    store.released = True
    draining = threading.Thread(target=drain, daemon=True)
    draining.start()
    while draining.is_alive() and world.clock.monotonic() < 3000:
        world.clock.advance(0.5)
        draining.join(0.01)
    assert [str(error) for error in caught] == ["the disk is full"]
    assert 10 <= world.clock.monotonic() < 60


class Silent:
    """Timers whose store does not answer while it is told not to."""

    def __init__(self) -> None:
        self.refuses, self.answered = True, threading.Event()

    def next_due(self) -> datetime | None:
        if self.refuses:
            raise StoreError("no route to host")
        self.answered.set()
        return None

    def tick(self) -> None:
        raise AssertionError("nothing is due")


def test_so_do_timers(caplog: pytest.LogCaptureFixture) -> None:
    clock, timers = ManualClock(), Silent()
    keeper = Timekeeper(timers, clock, look_every=timedelta(seconds=1))
    keeper.wake()
    until(lambda: len(caplog.records) == 1)
    clock.advance(2)
    timers.refuses = False
    keeper.wake()
    assert timers.answered.wait(10)
    keeper.stop()
    assert said(caplog) == [
        ("ERROR", "timers wait: no route to host"),
        ("WARNING", "the store answers again after 2 s; timers go on"),
    ]


def test_each_outage_is_told_of_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    outage = Outage("deliveries", logger("tocsin.delivery"), clock)
    outage.over()
    for seconds in (0, 3):
        for _ in range(2):
            outage.refused(StoreError("locked"))
        clock.advance(seconds)
        outage.over()
        outage.over()
    assert [text for level, text in said(caplog) if level != "DEBUG"] == [
        "deliveries wait: locked",
        "the store answers again after 0 ms; deliveries go on",
        "deliveries wait: locked",
        "the store answers again after 3 s; deliveries go on",
    ]
