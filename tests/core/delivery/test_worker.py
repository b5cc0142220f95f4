"""The worker delivers what the store holds: once when all is well, again when it is not, and never for ever."""

import socket
import threading
from collections.abc import Callable
from datetime import timedelta

from support.worlds import Pager, World
from tocsin.clock import SystemClock
from tocsin.delivery.owner import is_alive, this_process
from tocsin.store.records import Status
from tocsin_hooks.messages import Action, Reason, Receipt, SendError


def test_what_was_planned_is_delivered_once_and_its_answer_kept(worlds: Callable[..., World]) -> None:
    ops = Pager(Receipt("202 accepted"))
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    assert world.drain() == 0
    delivery = world.only()
    assert (delivery.status, delivery.detail, delivery.attempts) == (Status.DELIVERED, "202 accepted", 1)
    assert [m.id for m in ops.messages] == [delivery.id]
    assert world.told.heard == [("delivered", "202 accepted")]


def test_a_failed_attempt_is_made_again_when_it_is_due_with_the_same_key(worlds: Callable[..., World]) -> None:
    ops = Pager(SendError(Reason.SERVER, "500"), SendError(Reason.TIMEOUT, "no answer", unknown=True))
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    assert world.drain() == 0, "what is due later than the bound is not waited for"
    assert world.only().status is Status.PENDING
    world.clock.advance(10)
    world.drain()
    world.clock.advance(20)
    world.drain()
    assert world.only().status is Status.DELIVERED
    assert len({m.id for m in ops.messages}) == 1
    assert [(m.attempt, m.may_repeat) for m in ops.messages] == [(1, False), (2, False), (3, True)]
    assert [h for h, _ in world.told.heard] == ["failed", "failed", "delivered"]
    assert world.told.heard[0] == ("failed", "server again in 10.0")


def test_retry_after_is_honoured(worlds: Callable[..., World]) -> None:
    world = worlds(ops=Pager(SendError(Reason.RATE_LIMITED, retry_after=77)))
    world.plan("e1", "ops")
    world.drain()
    assert world.store.next_due(now=world.clock.now()) == world.clock.now() + timedelta(seconds=77)


def test_tries_that_are_used_up_leave_the_delivery_dead_and_visible(worlds: Callable[..., World]) -> None:
    world = worlds(ops=Pager(*[SendError(Reason.SERVER, "500")] * 9))
    world.plan("e1", "ops")
    for _ in range(4):
        world.drain()
        world.clock.advance(3600)
    dead = world.only()
    assert (dead.status, dead.attempts, dead.reason, dead.detail) == (Status.DEAD, 3, "server", "500")
    assert world.told.heard[-1] == ("dead", "server")
    assert len(world.store.attempts(dead.number)) == 3


def test_a_permanent_error_is_not_tried_again(worlds: Callable[..., World]) -> None:
    ops = Pager(SendError(Reason.CLIENT, "bad request", permanent=True))
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    world.drain()
    assert world.only().status is Status.DEAD
    assert len(ops.messages) == 1


def test_one_failing_channel_holds_up_no_other(worlds: Callable[..., World]) -> None:
    mail = Pager()
    world = worlds(ops=Pager(*[SendError(Reason.SERVER)] * 9), mail=mail)
    world.plan("e1", "ops", "mail")
    world.drain()
    assert [d.channel for d in world.store.deliveries(status=Status.DELIVERED)] == ["mail"]
    assert len(mail.messages) == 1


def test_the_recovery_waits_for_the_message_it_follows_and_gets_its_receipt(worlds: Callable[..., World]) -> None:
    unsure = SendError(Reason.TIMEOUT, unknown=True)  # it may have arrived, so it is told to be over
    ops = Pager(unsure, Receipt("posted", {"ts": "1"}))
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    world.plan("e2", "ops", action=Action.RECOVER)
    world.drain()
    assert [m.action for m in ops.messages] == ["open"]
    world.clock.advance(10)
    world.drain()
    assert [m.action for m in ops.messages] == ["open", "open", "recover"]
    assert ops.previous[2] == Receipt("posted", {"ts": "1"})


def test_a_recovery_of_what_never_arrived_is_not_sent(worlds: Callable[..., World]) -> None:
    ops = Pager(SendError(Reason.CLIENT, permanent=True))
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    world.plan("e2", "ops", action=Action.RECOVER)
    world.drain()
    assert [m.action for m in ops.messages] == ["open"]
    [recovery] = world.store.deliveries(status=Status.DELIVERED)
    assert recovery.detail.startswith("nothing to recover")


def test_a_channel_that_is_not_in_the_config_is_a_dead_letter_that_names_it(worlds: Callable[..., World]) -> None:
    world = worlds(ops=Pager())
    world.plan("e1", "opps")
    world.drain()
    assert world.only().status is Status.DEAD
    assert world.only().detail == "channel 'opps' is not in the config; there are: ops"


def test_a_channel_that_cannot_be_made_is_tried_again_later(worlds: Callable[..., World]) -> None:
    made: list[int] = []

    def make() -> Pager:
        made.append(1)
        if len(made) == 1:
            raise ValueError("environment variable 'TOKEN' is not set")
        return Pager()

    world = worlds(make=make)
    world.plan("e1", "ops")
    world.drain()
    assert world.only().reason == "config"
    assert "environment variable 'TOKEN' is not set" in world.only().detail
    world.clock.advance(10)
    world.drain()
    assert world.only().status is Status.DELIVERED


def test_secrets_in_an_answer_are_not_stored(worlds: Callable[..., World]) -> None:
    error = SendError(Reason.SERVER, "POST https://hooks.example.org/T0/s3cr3t failed")
    receipt = Receipt("sent to https://hooks.example.org/T0/s3cr3t")
    world = worlds(ops=Pager(error, receipt))
    world.plan("e1", "ops")
    world.drain()
    assert "s3cr3t" not in world.only().detail
    world.clock.advance(10)
    world.drain()
    assert world.only().status is Status.DELIVERED
    assert world.only().detail == "sent to https://hooks.example.org/..."


def test_a_channel_that_hangs_holds_up_neither_the_others_nor_the_end(worlds: Callable[..., World]) -> None:
    release = threading.Event()

    def hang() -> Receipt:
        release.wait()
        return Receipt("late")

    mail = Pager()
    world = worlds(ops=Pager(hang), mail=mail, clock=SystemClock())
    world.plan("e1", "ops", "mail")
    assert world.drain(seconds=0.3) == 1
    assert len(mail.messages) == 1
    world.worker.stop(within=timedelta(0))
    release.set()


def test_what_a_dead_process_had_claimed_is_taken_up_at_once_and_marked(worlds: Callable[..., World]) -> None:
    ops = Pager()
    world = worlds(ops=ops)
    world.store_plan("e1", "ops")
    assert is_alive(this_process())
    host, boot, space, pid, started = this_process().split("|")
    assert host == socket.gethostname()
    assert is_alive(f"elsewhere|{boot}|{space}|{pid}|0"), "nobody here can know that another host's process is gone"
    assert is_alive(f"{host}|{boot}|another|{pid}|0"), "nor that another container's is"
    assert not is_alive(f"{host}|earlier|{space}|{pid}|{started}"), "a host that has booted since has ended them all"
    gone = "|".join((host, boot, space, pid, "0"))
    assert not is_alive(gone), "the same pid started at another time is another process"
    world.store.lease(now=world.clock.now(), ttl=timedelta(hours=1), limit=1, owner=gone)
    world.drain()
    assert world.only().status is Status.DELIVERED
    assert ops.messages[0].may_repeat


def test_many_deliveries_over_few_threads_all_arrive_once(worlds: Callable[..., World]) -> None:
    ops = Pager()
    world = worlds(ops=ops)
    for n in range(100):
        world.plan(f"e{n}", "ops", thread="")
    assert world.drain(30) == 0
    assert len(ops.messages) == len({m.id for m in ops.messages}) == 100


def test_a_stopped_worker_claims_nothing(worlds: Callable[..., World]) -> None:
    ops = Pager()
    world = worlds(ops=ops)
    world.worker.start()
    world.worker.stop()
    world.plan("e1", "ops")
    assert world.only().status is Status.PENDING
    assert ops.messages == []
