"""What has piled up for one thread and channel is put together: nothing that is over, nothing twice, no alarm lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.outboxes import MINUTE, NOON, Writing
from tocsin.store.protocol import Store
from tocsin.store.records import Status
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Action, Reason, Why

LATER = NOON + timedelta(minutes=5)
OPEN, UPDATE, REPEAT, RECOVER, EVENT = Action.OPEN, Action.UPDATE, Action.REPEAT, Action.RECOVER, Action.EVENT


@pytest.fixture
def outbox(tmp_path: Path) -> Store:
    return SqliteStore(tmp_path / "t.db")


def sent(outbox: Store, write: Writing, at: Any = LATER) -> list[str]:
    """The names of the events that are told when all is claimed and delivered in turn."""
    names = []
    while claimed := write.lease(outbox, at):
        names += [each.event.id for each in claimed]
        outbox.record([write.delivered(each) for each in claimed])
    return names


def fill(outbox: Store, write: Writing, *steps: Action | tuple[Action, dict[str, Any]]) -> None:
    for number, step in enumerate(steps):
        action, more = step if isinstance(step, tuple) else (step, {})
        write.add(outbox, f"e{number}", "ops", action=action, **more)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([OPEN, RECOVER], []),
        ([OPEN, UPDATE, UPDATE, RECOVER], []),
        ([OPEN, RECOVER, OPEN], ["e2"]),
        ([OPEN, RECOVER, OPEN, RECOVER], []),
        ([OPEN, UPDATE, UPDATE, UPDATE], ["e0", "e3"]),
        ([OPEN, REPEAT, RECOVER], ["e0", "e1", "e2"]),
        ([OPEN, UPDATE, REPEAT, UPDATE, UPDATE], ["e0", "e1", "e2", "e4"]),
        ([EVENT, EVENT], ["e0", "e1"]),
        ([OPEN, (UPDATE, {"reason": Why.ESCALATION}), RECOVER], ["e0", "e1", "e2"]),
        ([OPEN, (UPDATE, {"say": "look"}), (UPDATE, {"say": "look again"})], ["e0", "e1", "e2"]),
        ([OPEN, UPDATE, (UPDATE, {"silent": True})], ["e0", "e1", "e2"]),
        ([OPEN, (UPDATE, {"silent": True}), UPDATE], ["e0", "e2"]),
        ([OPEN, UPDATE, (UPDATE, {"acknowledged_by": "ann"})], ["e0", "e1", "e2"]),
        ([OPEN, UPDATE, (UPDATE, {"reason": Why.RECOVERED})], ["e0", "e1", "e2"]),
        ([RECOVER], ["e0"]),
    ],
)
def test_only_what_still_says_something_is_sent(
    outbox: Store, write: Writing, steps: list[Any], told: list[str]
) -> None:
    fill(outbox, write, *steps)
    assert sent(outbox, write) == told
    assert {d.status for d in outbox.deliveries()} == {Status.DELIVERED}
    left_out = {d.event.id for d in outbox.deliveries() if d.reason == "coalesced"}
    assert left_out == {f"e{n}" for n in range(len(steps))} - set(told)


def test_what_was_left_out_stands_in_history_with_its_reason(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN, RECOVER)
    assert sent(outbox, write) == []
    for delivery in outbox.deliveries():
        assert delivery.detail == "coalesced: it was over before it was told"
        assert [a.outcome for a in outbox.attempts(delivery.number)] == ["coalesced"]


def test_what_was_told_is_told_to_be_over(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN)
    assert sent(outbox, write) == ["e0"]
    write.add(outbox, "u1", "ops", action=UPDATE)
    write.add(outbox, "u2", "ops", action=UPDATE)
    write.add(outbox, "r", "ops", action=RECOVER)
    assert sent(outbox, write) == ["u2", "r"]


def test_what_may_have_arrived_is_told_to_be_over(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN)
    [first] = write.lease(outbox)
    outbox.record([write.failed(first, Reason.TIMEOUT, retry_at=NOON + MINUTE, unknown=True)])
    write.add(outbox, "r", "ops", action=RECOVER)
    assert sent(outbox, write) == ["e0", "r"]


def test_a_lease_that_ran_out_may_have_been_sent(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN, RECOVER)
    write.lease(outbox, owner="gone")
    assert sent(outbox, write) == ["e0", "e1"]


def test_what_has_only_just_been_planned_is_not_put_together(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN, RECOVER)
    assert sent(outbox, write, NOON) == ["e0", "e1"]


def test_what_failed_and_is_over_is_not_tried_again(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN)
    [first] = write.lease(outbox)
    outbox.record([write.failed(first, Reason.SERVER, retry_at=NOON + timedelta(seconds=2))])
    write.add(outbox, "r", "ops", action=RECOVER)
    assert sent(outbox, write, NOON + timedelta(seconds=2)) == []


def test_each_channel_and_thread_is_judged_by_itself(outbox: Store, write: Writing) -> None:
    write.add(outbox, "a", "ops", "mail", thread="i1")
    write.add(outbox, "b", "ops", thread="i2")
    write.add(outbox, "a over", "ops", action=RECOVER, thread="i1")
    claimed = {(each.event.id, each.channel) for each in write.lease(outbox, LATER)}
    assert claimed == {("a", "mail"), ("b", "ops")}


def test_what_follows_a_message_that_backs_off_is_not_judged_without_it(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN)
    [first] = write.lease(outbox)
    much_later = NOON + timedelta(hours=1)
    outbox.record([write.failed(first, Reason.SERVER, retry_at=much_later + MINUTE)])
    write.add(outbox, "u", "ops", action=UPDATE)
    write.add(outbox, "r", "ops", action=RECOVER)
    claimed = write.lease(outbox, much_later)
    assert [each.event.id for each in claimed] == ["u", "r"][: len(claimed)]
    assert not [d for d in outbox.deliveries() if d.reason == "coalesced"]


def test_claims_are_prolonged_and_given_back_by_those_who_hold_them_only(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail", thread="")
    held = write.lease(outbox)
    outbox.record([write.delivered(held[0])])
    until = NOON + timedelta(hours=1)
    assert outbox.renew(held, until=until) == 1
    assert outbox.next_due(now=NOON) == until
    assert outbox.give_back(held, now=NOON) == 1
    [again] = write.lease(outbox)
    assert (again.attempt, again.may_repeat, again.id) == (1, False, held[1].id)
    assert outbox.renew(held, until=until) == outbox.give_back(held, now=NOON) == 0, "another claim"


def test_channels_can_be_left_out(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail")
    rest = {"now": NOON, "but": ["ops"]}
    assert [d.channel for d in outbox.lease(ttl=MINUTE, limit=9, owner="me", **rest)] == ["mail"]
    assert outbox.waiting(before=NOON, owner="me", **rest) == 1
    assert outbox.waiting(before=NOON, owner="me", now=NOON) == 2
    assert outbox.next_due(**rest) == NOON + MINUTE
    assert outbox.next_due(now=NOON) == NOON


def test_results_and_claims_go_in_one_step(outbox: Store, write: Writing) -> None:
    fill(outbox, write, OPEN, REPEAT)
    [first] = write.lease(outbox)
    held, claimed = outbox.exchange([write.delivered(first)], now=NOON, ttl=MINUTE, limit=5, owner="me")
    assert held == [True]
    assert [each.event.id for each in claimed] == ["e1"]
