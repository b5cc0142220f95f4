"""While results come together, what could go at once is not kept waiting; and nobody is told who does not listen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from support.worlds import Pager, World
from tocsin.clock import SystemClock
from tocsin.delivery.sender import Attempt, Sender
from tocsin.delivery.worker import _GATHER
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin_hooks.messages import Reason, Receipt, SendError

Worlds = Callable[..., World]


class Still(SystemClock):
    """A clock whose seconds do not pass; who gathers does so until told to go on."""

    def monotonic(self) -> float:
        return 0.0

    def wait(self, waitable, timeout=None):
        return waitable.wait(60 if timeout == _GATHER else timeout)


def test_a_message_for_another_channel_waits_for_none_that_is_slow(worlds: Worlds) -> None:
    goes_on = threading.Event()

    def hang() -> Receipt:
        goes_on.wait(60)
        return Receipt("late")

    ops, slow = Pager(), Pager(hang, hang, hang)
    world = worlds(clock=Still(), ops=ops, slow=slow)
    try:
        for n in range(5):
            world.plan(f"s{n}", "slow", thread=f"t{n}")
        world.until(lambda: len(slow.messages) == 3 and world.worker._gathering)
        world.plan("e1", "ops", thread="other")
        world.until(lambda: len(ops.messages) == 1)
        assert len(slow.messages) == 3
    finally:
        goes_on.set()


def test_only_who_listens_is_told_what_became_of_a_message(worlds: Worlds) -> None:
    gone = SendError(Reason.GONE, "gone", permanent=True)

    def attempts(hooks: Hooks) -> list[Attempt]:
        pager = Pager(Receipt("ok"), SendError(Reason.SERVER, "later"), gone)
        world = worlds(ops=pager)
        for n in range(3):
            world.store_plan(f"{id(hooks)} {n}", "ops", thread=f"{id(hooks)} {n}")
        sender = Sender(world.destinations, hooks, world.clock)
        leased = world.store.lease(now=world.clock.now(), ttl=timedelta(minutes=1), limit=3, owner="me")
        assert len(leased) == 3
        return [sender.attempt(each) for each in leased]

    nobody = Catalog()
    assert [each.tell for each in attempts(Hooks(nobody))] == [None] * 3
    heard = worlds().told
    nobody.register(heard)
    for each in attempts(Hooks(nobody)):
        assert each.tell is not None
        each.tell()
    assert heard.heard == [("delivered", "ok"), ("failed", "server again in 10.0"), ("dead", "gone")]
