"""A process that can have no more threads goes on: what is to be delivered waits in the store, and that is said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from support.threadless import Limit
from support.worlds import Pager, World
from tocsin.clock import ManualClock, SystemClock
from tocsin.delivery.listening import Listener
from tocsin.delivery.timekeeper import Timekeeper
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.store.records import Status
from tocsin_hooks.messages import Receipt

Worlds = Callable[..., World]
SAID = (
    "deliveries wait for threads that cannot be had: can't start new thread; "
    "let this process have more threads: see 'ulimit -u', and the limit of pids of its container"
)


def limited(world: World, limit: Limit, threads: int = 2) -> World:
    world.worker = Worker(world.store, world.sender, world.clock, WorkerSettings(threads=threads), begin=limit.begin)
    return world


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.timeout(20)  # the drain's own bound is a minute
def test_where_no_thread_can_be_had_what_is_due_waits_and_that_is_said_once(
    worlds: Worlds, caplog: pytest.LogCaptureFixture
) -> None:
    ops = Pager()
    world = limited(worlds(ops=ops), Limit(0))
    world.plan("e1", "ops", thread="")
    world.plan("e2", "ops", thread="")
    assert world.worker.drain(timedelta(minutes=1)) == 2, "nobody waits for what cannot be"
    assert said(caplog) == [("ERROR", SAID)]
    assert [(d.status, d.attempts) for d in world.store.deliveries()] == [(Status.PENDING, 0)] * 2
    assert ops.messages == []


def test_it_is_delivered_as_soon_as_somebody_wakes_the_worker_and_threads_can_be_had(
    worlds: Worlds, caplog: pytest.LogCaptureFixture
) -> None:
    limit, ops = Limit(0), Pager()
    world = limited(worlds(ops=ops), limit)
    world.plan("e1", "ops", thread="")
    limit.room = 9
    world.clock.advance(1)
    world.plan("e2", "ops", thread="")
    assert world.drain() == 0
    assert sorted(m.event.id for m in ops.messages) == ["e1", "e2"]
    assert [level for level, _ in said(caplog)] == ["ERROR", "WARNING"]
    assert said(caplog)[1][1].startswith("threads can be had again")


def test_a_thread_that_sends_does_nothing_until_there_is_one_that_claims(worlds: Worlds) -> None:
    limit, ops = Limit(1), Pager()
    world = limited(worlds(ops=ops), limit)
    world.plan("e1", "ops")
    assert world.drain() == 1
    assert ops.messages == []
    limit.room = 1
    assert world.drain() == 0
    assert len(ops.messages) == 1


def test_fewer_threads_than_wished_for_deliver_all_the_same(worlds: Worlds) -> None:
    limit, ops = Limit(2), Pager()
    world = limited(worlds(ops=ops), limit, threads=8)
    for n in range(30):
        world.plan(f"e{n}", "ops", thread="")
    assert world.drain(30) == 0
    assert len({m.event.id for m in ops.messages}) == 30


def test_a_thread_that_hangs_is_replaced_once_one_can_be_had(worlds: Worlds) -> None:
    limit, began, release = Limit(2), threading.Event(), threading.Event()

    def hang() -> Receipt:
        began.set()
        release.wait()
        return Receipt("late")

    mail = Pager()
    world = worlds(ops=Pager(hang), mail=mail, promises={"ops": {"deadline": timedelta(seconds=1)}})
    limited(world, limit, threads=1)
    world.plan("e1", "ops", thread="a")
    assert began.wait(10)
    world.clock.advance(1)
    world.plan("e2", "mail", thread="b")
    world.until(lambda: world.store.deliveries(channel="ops")[0].status is Status.PENDING)
    assert mail.messages == []
    limit.room = 1
    world.clock.advance(1)
    world.worker.wake()
    world.until(lambda: len(mail.messages) == 1)
    release.set()


class Alarm:
    def __init__(self, at: datetime) -> None:
        self.at: datetime | None = at
        self.rung = threading.Event()

    def next_due(self) -> datetime | None:
        return self.at

    def tick(self) -> None:
        self.at = None
        self.rung.set()


def test_timers_wait_for_a_thread_and_are_kept_once_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    clock, limit = ManualClock(), Limit(0)
    alarm = Alarm(clock.now())
    timekeeper = Timekeeper(alarm, clock, begin=limit.begin)
    timekeeper.wake()
    timekeeper.wake()
    assert not alarm.rung.is_set()
    assert [level for level, _ in said(caplog)] == ["ERROR"]
    assert said(caplog)[0][1].startswith(
        "timers wait for a thread that cannot be had: can't start new thread; let this"
    )
    limit.room = 1
    timekeeper.wake()
    assert alarm.rung.wait(10)
    timekeeper.stop()


class Hints:
    def __init__(self) -> None:
        self.asked = threading.Event()

    def wait_hint(self, timeout: float) -> bool:
        self.asked.set()
        return True


def test_hints_are_done_without_where_no_thread_can_be_had(caplog: pytest.LogCaptureFixture) -> None:
    limit, heard = Limit(0), threading.Event()
    listener = Listener(Hints(), SystemClock(), heard.set, begin=limit.begin)
    listener.start()
    listener.stop()
    assert not heard.is_set()
    assert [level for level, _ in said(caplog)] == ["ERROR"]
    again = Listener(Hints(), SystemClock(), heard.set, begin=Limit(1).begin)
    again.start()
    assert heard.wait(10)
    again.stop()
