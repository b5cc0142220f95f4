"""A worker whose clock is set while it works, and rows that it cannot read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pendulum
import pytest

from support.worlds import Pager, World
from tocsin.clock import ManualClock
from tocsin.delivery.leaps import Leaps
from tocsin.settings.rate import Rate
from tocsin.store.records import Status
from tocsin_hooks.messages import Reason, SendError

DAY = timedelta(days=1)
REFUSED = SendError(Reason.SERVER, "503")
ELSEWHERE = "another host|boot|1|1"


class SetClock(ManualClock):
    """A hand-moved clock whose time of day can be set while time passes as ever."""

    ahead = timedelta(0)

    def now(self) -> pendulum.DateTime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> SetClock:
    return SetClock(chance=0.0)


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_delivery_grows_no_older_by_a_clock_that_is_set(
    worlds: Callable[..., World], clock: SetClock, by: timedelta
) -> None:
    def set_and_refuse() -> Any:
        clock.ahead = by
        raise REFUSED

    ops = Pager(set_and_refuse)
    world = worlds(clock=clock, ops=ops)
    world.plan("e1", "ops")
    world.drain()
    assert world.only().status is Status.PENDING, "it is a day old by the clock, and given up after 6 hours"
    clock.advance(10)
    world.drain()
    assert (world.only().status, world.only().attempts) == (Status.DELIVERED, 2)


def test_the_claim_of_another_is_respected_until_it_had_time_to_prolong_it(
    worlds: Callable[..., World], clock: SetClock
) -> None:
    ops, mail = Pager(), Pager()
    world = worlds(clock=clock, ops=ops, mail=mail)
    world.store_plan("e1", "ops")
    world.store.lease(now=clock.now(), ttl=timedelta(hours=1), limit=1, owner=ELSEWHERE)
    world.plan("e2", "mail")
    world.until(lambda: len(mail.messages) == 1)  # it has seen what time it is
    clock.ahead = DAY
    world.plan("e3", "mail")
    world.until(lambda: len(mail.messages) == 2)
    assert ops.messages == []
    clock.advance(timedelta(hours=2))
    world.worker.wake()
    world.until(lambda: len(ops.messages) == 1)
    assert ops.messages[0].may_repeat


def test_a_channel_with_a_rate_goes_on_when_the_clock_is_set_back(
    worlds: Callable[..., World], clock: SetClock
) -> None:
    ops = Pager()
    world = worlds(clock=clock, ops=ops, promises={"ops": {"rate": Rate.parse("1/m")}})
    for name in ("e1", "e2"):
        world.plan(name, "ops", thread="")
    world.until(lambda: len(ops.messages) == 1)
    clock.ahead = -DAY

    def second_has_come() -> bool:
        clock.advance(1)
        return len(ops.messages) == 2

    world.until(second_has_come)  # within 2000 s, which is far from a day


def test_leaps_add_up_whichever_way_they_go() -> None:
    noon, leaps = pendulum.datetime(2024, 5, 6, 12), Leaps()
    leaps.look(noon, 0.0)
    leaps.look(noon - DAY, 0.0)
    leaps.look(noon, 0.0)
    assert leaps.expired(noon, 1.0, lease=60.0) == noon - DAY, "one that was written in between seems a day too old"
    assert leaps.age(noon - timedelta(seconds=1), noon) == timedelta(seconds=1)
    leaps.look(noon + DAY, 0.0)
    assert leaps.expired(noon + DAY, 1.0, lease=60.0) == noon - DAY
    assert leaps.age(noon - timedelta(seconds=9), noon + DAY) == timedelta(seconds=9)


def test_a_row_that_cannot_be_read_ends_by_itself_and_the_others_arrive(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    ops = Pager()
    world = worlds(ops=ops)
    for name in ("e1", "e2", "e3"):
        world.store_plan(name, "ops", thread="i1")
    with world.store._connection.write() as db:
        db.execute("UPDATE events SET body = '{' WHERE id = 'e1'")
        db.execute("UPDATE deliveries SET action = 'sing' WHERE number = 2")
    with caplog.at_level(logging.ERROR):
        assert world.drain() == 0
    assert [message.event.id for message in ops.messages] == ["e3"]
    rows = sorted(world.store.deliveries(), key=lambda row: row.number)
    assert [(row.status, row.reason) for row in rows] == [
        (Status.DEAD, "payload"), (Status.DEAD, "payload"), (Status.DELIVERED, ""),
    ]  # fmt: skip
    assert all(row.detail.startswith("it cannot be read: ") for row in rows[:2])
    assert world.told.heard == [("delivered", "ok")], "nobody can be told what it was about"
    assert sum("is dead: it cannot be read" in record.message for record in caplog.records) == 2
