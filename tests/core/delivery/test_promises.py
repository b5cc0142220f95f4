"""What is promised of a channel: a deadline, rest while it fails, a rate, and a word where its messages are lost."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from support.worlds import Pager, World
from tocsin.delivery.breaker import AFTER, Standing
from tocsin.delivery.dead_letters import DeadLetters
from tocsin.delivery.sender import Destination
from tocsin.settings.rate import Rate
from tocsin.store.records import Status
from tocsin_hooks.messages import Action, Reason, Receipt, SendError

Worlds = Callable[..., World]
DOWN = SendError(Reason.SERVER, "503")


# ---------------------------------------------------------------- deadlines


def test_a_send_past_its_deadline_is_recorded_as_unknown_and_its_late_answer_counts(worlds: Worlds) -> None:
    began, release = threading.Event(), threading.Event()

    def hang() -> Receipt:
        began.set()
        release.wait()
        return Receipt("late, but there")

    ops = Pager(hang)
    world = worlds(ops=ops, promises={"ops": {"deadline": timedelta(seconds=20)}})
    world.plan("e1", "ops")
    assert began.wait(10)
    world.clock.advance(20)
    world.drain()
    waiting = world.only()
    assert (waiting.status, waiting.reason, waiting.detail) == (Status.PENDING, "timeout", "no answer within 20 s")
    release.set()
    world.until(lambda: world.only().status is Status.DELIVERED)
    assert world.only().detail == "late, but there"
    assert [a.outcome for a in world.store.attempts(world.only().number)] == ["unknown", "delivered"]
    assert len(ops.messages) == 1, "what has arrived after all is not sent again"


def test_a_late_answer_does_not_settle_what_another_try_has_taken_over(worlds: Worlds) -> None:
    began, release, again = threading.Event(), threading.Event(), threading.Event()

    def hang() -> Receipt:
        began.set()
        release.wait()
        return Receipt("first")

    def second() -> Receipt:
        again.wait()
        return Receipt("second")

    ops = Pager(hang, second)
    world = worlds(ops=ops, promises={"ops": {"deadline": timedelta(seconds=20)}})
    world.plan("e1", "ops")
    assert began.wait(10)
    world.clock.advance(20)
    world.drain()
    world.clock.advance(10)
    world.worker.wake()
    world.until(lambda: len(ops.messages) == 2)
    assert ops.messages[1].may_repeat
    release.set()
    world.until(lambda: len(world.store.attempts(world.only().number)) == 2)
    assert world.only().status is Status.LEASED
    again.set()
    world.until(lambda: world.only().status is Status.DELIVERED)
    assert world.only().detail == "second"


def test_threads_that_hang_are_replaced(worlds: Worlds) -> None:
    release = threading.Event()
    running = threading.Semaphore(0)

    def hang() -> Receipt:
        running.release()
        release.wait()
        return Receipt("late")

    mail = Pager()
    world = worlds(ops=Pager(hang, hang), mail=mail, threads=1, promises={"ops": {"deadline": timedelta(seconds=1)}})
    world.plan("e1", "ops", thread="a")
    world.plan("e2", "ops", thread="b")
    for _ in range(2):
        assert running.acquire(timeout=10)
        world.clock.advance(1)
        world.worker.wake()
    world.plan("e3", "mail", thread="c")
    world.until(lambda: len(mail.messages) == 1)
    release.set()


def test_a_claim_lasts_longer_than_two_deadlines_and_is_prolonged_while_it_is_used(worlds: Worlds) -> None:
    began, release = threading.Event(), threading.Event()

    def slow() -> Receipt:
        began.set()
        release.wait()
        return Receipt("at last")

    world = worlds(ops=Pager(slow), promises={"ops": {"deadline": timedelta(minutes=10)}})
    world.plan("e1", "ops")
    assert began.wait(10)
    claimed = world.store.next_due(now=world.clock.now())
    assert claimed is not None
    assert claimed - world.clock.now() > timedelta(minutes=20)
    world.clock.advance(timedelta(minutes=9))
    world.worker.wake()
    world.until(lambda: (world.store.next_due(now=world.clock.now()) or claimed) > claimed)
    release.set()
    world.drain()
    assert world.only().status is Status.DELIVERED
    assert world.only().attempts == 1


# ---------------------------------------------------------------- breakers


def test_a_channel_that_keeps_failing_is_left_alone_and_its_deliveries_lose_no_try(worlds: Worlds) -> None:
    ops, mail = Pager(*[DOWN] * 6), Pager()
    world = worlds(ops=ops, mail=mail, threads=1)
    for n in range(20):
        world.plan(f"e{n}", "ops", "mail", thread="")
    world.until(lambda: len(mail.messages) == 20)
    world.drain()
    assert len(ops.messages) == AFTER
    assert world.worker.standings()["ops"] is Standing.OPEN
    waiting = world.store.deliveries(channel="ops")
    assert sorted(d.attempts for d in waiting) == [0] * 15 + [1] * 5
    assert {d.status for d in waiting} == {Status.PENDING}

    world.clock.advance(10)
    world.drain()
    assert len(ops.messages) == AFTER + 1, "one message, to see"
    assert world.worker.breakers()["ops"].detail == "server: 503"
    world.clock.advance(20)
    world.drain()
    assert {d.status for d in world.store.deliveries(channel="ops")} == {Status.DELIVERED}
    assert world.worker.standings()["ops"] is Standing.CLOSED
    assert {m.attempt for m in ops.messages} == {1, 2}


def test_errors_of_single_messages_do_not_stop_their_channel(worlds: Worlds) -> None:
    bad = SendError(Reason.PAYLOAD, "too large", permanent=True)
    ops = Pager(*[bad] * 9)
    world = worlds(ops=ops)
    for n in range(12):
        world.plan(f"e{n}", "ops", thread="")
    world.drain()
    assert len(ops.messages) == 12
    assert len(world.store.deliveries(status=Status.DELIVERED)) == 3


def test_a_service_that_asks_for_a_pause_gets_it_from_all_deliveries(worlds: Worlds) -> None:
    ops = Pager(SendError(Reason.RATE_LIMITED, "429", retry_after=30))
    world = worlds(ops=ops, threads=1)
    for n in range(3):
        world.plan(f"e{n}", "ops", thread="")
    world.drain()
    assert len(ops.messages) == 1
    world.clock.advance(31)
    world.drain()
    world.clock.advance(31)
    world.drain()
    assert len(world.store.deliveries(status=Status.DELIVERED)) == 3


GONE = SendError(Reason.GONE, "410 Gone", disable=True)


def test_a_channel_that_is_gone_is_asked_once_until_somebody_revives_a_delivery(
    worlds: Worlds, caplog: pytest.LogCaptureFixture
) -> None:
    ops = Pager(GONE)
    world = worlds(ops=ops, threads=1)
    for n in range(4):
        world.plan(f"e{n}", "ops", thread="")
    world.drain()
    assert len(ops.messages) == 1
    dead = world.store.deliveries(status=Status.DEAD)
    assert len(dead) == 4
    assert dead[0].detail == "not tried, since the channel is switched off: gone: 410 Gone"
    assert [r.levelname for r in caplog.records].count("CRITICAL") == 1
    assert world.worker.standings()["ops"] is Standing.OFF
    world.store.revive([d.number for d in dead], now=world.clock.now())
    world.drain()
    assert {d.status for d in world.store.deliveries()} == {Status.DELIVERED}
    assert world.worker.standings()["ops"] is Standing.CLOSED


def test_a_channel_that_is_gone_is_asked_again_under_another_config(worlds: Worlds) -> None:
    ops, mended = Pager(GONE), Pager()
    world = worlds(ops=ops)
    world.plan("e1", "ops")
    world.drain()
    world.sender.adopt({"ops": Destination(lambda: mended)}, {}, "UTC")
    world.plan("e2", "ops", thread="i2")
    world.drain()
    assert [m.event.id for m in mended.messages] == ["e2"]


# ---------------------------------------------------------------- rates


def test_a_rate_is_kept_over_every_window_and_nothing_is_dropped(worlds: Worlds) -> None:
    times: list[float] = []
    ops, mail = Pager(), Pager()
    world = worlds(ops=ops, mail=mail, promises={"ops": {"rate": Rate.parse("2/s, 3/10s")}})
    note = ops.send

    def send(message, previous=None):
        times.append(world.clock.monotonic())
        return note(message, previous)

    ops.send = send
    for n in range(7):
        world.plan(f"e{n}", "ops", "mail", thread="")
    world.until(lambda: len(mail.messages) == 7)
    world.settle()
    for _ in range(30):
        if len(times) == 7:
            break
        world.clock.advance(1)
        world.worker.wake()
        world.settle()
    assert times == [0.0, 0.0, 1.0, 10.0, 10.0, 11.0, 20.0]
    world.drain()
    assert len(world.store.deliveries(status=Status.DELIVERED)) == 14
    assert {d.attempts for d in world.store.deliveries()} == {1}


def test_processes_share_a_rate(worlds: Worlds) -> None:
    first, second = Pager(), Pager()
    promises = {"ops": {"rate": Rate.parse("1/m")}}
    one = worlds(ops=first, promises=promises)
    two = worlds(ops=second, promises=promises)
    one.plan("e1", "ops", thread="")
    one.until(lambda: len(first.messages) == 1)
    one.drain()
    one.worker.stop()  # or it claims what is planned next
    two.plan("e2", "ops", thread="")
    two.settle()
    assert second.messages == []
    two.clock.advance(60)
    two.worker.wake()
    two.until(lambda: len(second.messages) == 1)


@pytest.mark.timeout(20)  # the drain's own bound is a minute
def test_the_end_of_a_run_does_not_wait_for_what_a_rate_holds_back_for_longer(worlds: Worlds) -> None:
    world = worlds(ops=Pager(), promises={"ops": {"rate": Rate.parse("1/h")}})
    for n in range(3):
        world.plan(f"e{n}", "ops", thread="")
    assert world.worker.drain(timedelta(minutes=1)) == 2
    assert len(world.store.deliveries(status=Status.DELIVERED)) == 1


def test_order_holds_under_a_rate(worlds: Worlds) -> None:
    ops = Pager()
    world = worlds(ops=ops, promises={"ops": {"rate": Rate.parse("1/s")}})
    for n in range(4):
        world.plan(f"e{n}", "ops", action=Action.OPEN if n == 0 else Action.REPEAT)
    for _ in range(12):
        world.settle()
        world.clock.advance(0.5)
        world.worker.wake()
    world.until(lambda: len(ops.messages) == 4)
    assert [m.event.id for m in ops.messages] == ["e0", "e1", "e2", "e3"]


# ---------------------------------------------------------------- dead letters


def test_what_is_dead_is_announced_on_the_fallback_channel_and_stays_replayable(worlds: Worlds) -> None:
    mail = Pager()
    ops = Pager(SendError(Reason.AUTH, "401 bad token", permanent=True))
    world = worlds(ops=ops, mail=mail, promises={"ops": {"fallback": "mail"}})
    world.plan("e1", "ops")
    world.drain()
    [told] = mail.messages
    assert told.title.startswith("Not delivered to 'ops' (auth: 401 bad token): Failed: ")
    assert told.action is Action.EVENT
    [dead] = world.store.deliveries(status=Status.DEAD)
    assert f"tocsin deliveries retry {dead.id[:8]}" in told.text
    assert not told.text.startswith("Not delivered")
    assert told.event.id == "e1"
    assert world.store.revive([dead.number], now=world.clock.now()) == 1
    world.drain()
    assert [m.id for m in ops.messages] == [dead.id, dead.id]


def test_an_announcement_that_does_not_arrive_is_not_announced(worlds: Worlds) -> None:
    refuse = [SendError(Reason.CLIENT, "no", permanent=True)] * 5
    ops, mail, log = Pager(*refuse), Pager(*refuse), Pager()
    fallbacks = {"ops": {"fallback": "mail"}, "mail": {"fallback": "log"}, "log": {"fallback": "ops"}}
    world = worlds(ops=ops, mail=mail, log=log, promises=fallbacks)
    world.plan("e1", "ops")
    world.drain()
    assert (len(ops.messages), len(mail.messages), len(log.messages)) == (1, 1, 0)
    assert len(world.store.deliveries(status=Status.DEAD)) == 2


def test_what_a_gone_channel_cannot_take_is_announced_too(worlds: Worlds) -> None:
    mail = Pager()
    world = worlds(ops=Pager(GONE), mail=mail, promises={"ops": {"fallback": "mail"}}, threads=1)
    for n in range(3):
        world.store_plan(f"e{n}", "ops", thread="")
    world.drain()
    first, rest = mail.messages
    assert first.title.startswith("Not delivered to 'ops' (gone: 410 Gone): ")
    assert rest.title.startswith(
        "2 messages not delivered to 'ops' (gone: not tried, since the channel is switched off"
    )
    for n in range(3):
        [told] = [d for d in world.store.deliveries(event=f"e{n}") if d.channel == "mail"]
        assert told.status is Status.DELIVERED, "by itself or among others, each is told of"


def test_what_dies_at_once_is_announced_together_and_nothing_is_left_out(worlds: Worlds) -> None:
    refuse = SendError(Reason.CLIENT, "400 no such room", permanent=True)
    ops, mail = Pager(*[refuse] * 70), Pager()
    world = worlds(ops=ops, mail=mail, promises={"ops": {"fallback": "mail"}})
    for n in range(70):
        world.store_plan(f"e{n}", "ops", thread="")
    world.drain(30)
    dead = world.store.deliveries(status=Status.DEAD)
    assert len(dead) == 70
    assert len(mail.messages) < 35
    assert sum(message.count for message in mail.messages) == 70
    for n in range(70):
        assert [d.channel for d in world.store.deliveries(event=f"e{n}")].count("mail") == 1


def test_what_could_not_be_recorded_as_dead_is_not_announced_twice(worlds: Worlds) -> None:
    ops, mail = Pager(*[SendError(Reason.CLIENT, "400", permanent=True)] * 2), Pager()
    world = worlds(ops=ops, mail=mail, promises={"ops": {"fallback": "mail"}})
    world.store_plan("e1", "ops", thread="")
    world.store_plan("e2", "ops", thread="")
    leased = world.store.lease(now=world.clock.now(), ttl=timedelta(minutes=1), limit=2, owner="me")
    first, second = [world.sender.attempt(delivery) for delivery in leased]
    letters = DeadLetters(world.store, world.sender)
    letters.announce([first], world.clock.now())
    letters.announce([first, second], world.clock.now())  # the store refused what came after
    told = world.store.deliveries(channel="mail")
    assert sorted(d.event.id for d in told) == ["e1", "e2"]
    letters.recorded([first, second])
    letters.announce([first], world.clock.now())
    assert len(world.store.deliveries(channel="mail")) == 2, "and by the same key it is the same"


# ---------------------------------------------------------------- channels that misbehave


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (lambda: None, "the channel returned NoneType, not a Receipt"),
        (lambda: (receipt for receipt in ()), "the channel returned generator, not a Receipt"),
        (lambda: "ok", "the channel returned str, not a Receipt"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
    ids=["nothing", "a generator", "a text", "exits", "interrupts", "recurses"],
)
def test_junk_from_a_channel_is_an_error_of_the_plugin_and_tried_again(
    worlds: Worlds, answer: object, detail: str
) -> None:
    def misbehave() -> Receipt:
        if isinstance(answer, BaseException):
            raise answer
        return answer()

    world = worlds(ops=Pager(misbehave), threads=1)
    world.plan("e1", "ops")
    world.drain()
    failed = world.only()
    assert (failed.status, failed.reason, failed.detail) == (Status.PENDING, "plugin", detail)
    world.clock.advance(10)
    world.drain()
    assert world.only().status is Status.DELIVERED, "the thread goes on"


@pytest.mark.parametrize(
    "answer",
    [
        Receipt(None, {"ts": object(), 3: None}),
        Receipt("x" * 10_000, ["no", "mapping"]),
        SendError("unheard of", None, retry_after="soon"),
        SendError(Reason.SERVER, object(), retry_after=float("nan")),
        SendError(Reason.SERVER, "\udcff", retry_after=float("inf")),
    ],
    ids=["odd reference", "long detail", "odd reason", "odd detail", "half a character"],
)
def test_fields_of_odd_types_harm_nobody(worlds: Worlds, answer: object) -> None:
    mail = Pager()
    world = worlds(ops=Pager(answer), mail=mail)
    world.plan("e1", "ops", "mail")
    world.drain()
    assert len(mail.messages) == 1
    world.clock.advance(10)
    world.drain()
    assert {d.status for d in world.store.deliveries()} == {Status.DELIVERED}
    assert len(world.store.deliveries(channel="ops")[0].detail) <= 2000
