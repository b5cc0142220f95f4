"""What a clock that is set does to an outbox: nothing waits longer than was planned, and nobody loses a claim."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from support.outboxes import MINUTE, NOON, Writing
from tocsin.store.lanes import LANE_PATIENCE
from tocsin.store.protocol import Store
from tocsin.store.records import Cell, Leased, Status
from tocsin_hooks.messages import Action, Reason

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
WAIT = timedelta(minutes=10)


def retrying(outbox: Store, write: Writing, now: datetime, name: str = "e1", **more: object) -> Leased:
    """A delivery whose first attempt failed at `now`; the next is planned after `WAIT`."""
    write.add(outbox, name, "ops", now=now, **more)  # type: ignore[arg-type]
    [first] = write.lease(outbox, now)
    assert outbox.record([write.failed(first, Reason.SERVER, now, retry_at=now + WAIT)]) == [True]
    return first


@pytest.mark.parametrize("back", [DAY, timedelta(days=400), timedelta(hours=1), timedelta(minutes=5)])
def test_a_retry_waits_no_longer_than_was_planned_when_the_clock_is_set_back(
    outbox: Store, write: Writing, back: timedelta
) -> None:
    retrying(outbox, write, NOON)
    now = NOON - back
    assert outbox.next_due(now=now) == now + WAIT, "whoever only looks is told so"
    assert outbox.waiting(before=now + WAIT, owner="me", now=now) == 1
    assert outbox.waiting(before=now + WAIT - SECOND, owner="me", now=now) == 0
    assert write.lease(outbox, now) == [], "and no sooner either"
    assert outbox.next_due(now=now) == now + WAIT
    assert write.lease(outbox, now + WAIT - SECOND) == []
    [again] = write.lease(outbox, now + WAIT)
    assert again.attempt == 2


def test_a_retry_that_was_planned_while_the_clock_was_ahead_is_due_in_time_when_it_is_set_right(
    outbox: Store, write: Writing
) -> None:
    retrying(outbox, write, NOON + DAY)
    assert write.lease(outbox, NOON) == [], "its wait begins when that is noticed"
    assert outbox.next_due(now=NOON) == NOON + WAIT
    [again] = write.lease(outbox, NOON + WAIT)
    assert (again.channel, again.attempt) == ("ops", 2)


def test_what_waits_is_told_by_the_clock_that_there_is_each_time_it_is_set(outbox: Store, write: Writing) -> None:
    retrying(outbox, write, NOON)
    for days in (1, 2, 3):
        assert write.lease(outbox, NOON - DAY * days) == []
    [again] = write.lease(outbox, NOON - DAY * 3 + WAIT)
    assert again.attempt == 2


def test_what_was_planned_by_a_clock_that_was_ahead_is_due_at_once_when_it_is_set_right(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops", thread="", now=NOON + DAY)
    assert outbox.next_due(now=NOON) == NOON
    assert [each.event.id for each in write.lease(outbox, NOON)] == ["e1"]


def test_what_was_planned_before_the_clock_was_set_back_goes_though_more_was_planned_since(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops", thread="")
    write.add(outbox, "e2", "ops", thread="", now=NOON - DAY)
    assert outbox.next_due(now=NOON - DAY) == NOON - DAY
    assert {each.event.id for each in write.lease(outbox, NOON - DAY)} == {"e1", "e2"}


def test_a_claim_outlives_a_clock_that_is_set_back_and_ends_in_time_if_its_owner_has(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops")
    [held] = write.lease(outbox, NOON)
    now = NOON - DAY
    assert write.lease(outbox, now, owner="other") == []
    assert write.lease(outbox, now + MINUTE - SECOND, owner="other") == []
    [taken] = write.lease(outbox, now + MINUTE, owner="other")
    assert (taken.id, taken.may_repeat) == (held.id, True)
    assert outbox.record([write.delivered(held, now)]) == [False]


def test_a_claim_that_is_prolonged_after_the_clock_was_set_back_lasts_from_then_on(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops")
    held = write.lease(outbox, NOON)
    now = NOON - DAY
    assert outbox.renew(held, until=now + 2 * MINUTE, now=now) == 1
    assert write.lease(outbox, now + MINUTE, owner="other") == []
    [taken] = write.lease(outbox, now + 2 * MINUTE, owner="other")
    assert taken.id == held[0].id


def test_a_lease_that_only_a_leap_of_the_clock_has_ended_is_respected_while_that_is_asked_for(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops", thread="")
    write.add(outbox, "e2", "ops", thread="", now=NOON + SECOND)
    [held] = write.lease(outbox, NOON, limit=1)
    now = NOON + DAY
    claim = {"now": now, "ttl": MINUTE, "limit": 9, "owner": "other"}
    assert [each.event.id for each in outbox.lease(**claim, expired=now - DAY)] == ["e2"], "what waits is claimed"
    assert outbox.record([write.delivered(held, now)]) == [True]
    assert outbox.lease(**{**claim, "now": now + MINUTE}) != [], "one that is over is claimed"


def test_what_the_dead_had_claimed_is_due_though_leases_are_respected(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    write.lease(outbox, NOON, owner="gone")
    now = NOON + DAY
    assert outbox.release(lambda owner: owner != "gone", now=now) == 1
    [again] = outbox.lease(now=now, ttl=MINUTE, limit=9, owner="other", expired=NOON)
    assert again.may_repeat


def test_a_thread_is_held_up_for_as_long_as_ever_when_the_clock_is_set_back(outbox: Store, write: Writing) -> None:
    retrying(outbox, write, NOON)
    write.add(outbox, "e2", "ops", action=Action.UPDATE)
    now = NOON - DAY
    assert write.lease(outbox, now) == []
    [first] = write.lease(outbox, now + WAIT)
    outbox.record([write.failed(first, Reason.SERVER, now + WAIT, retry_at=now + DAY)])
    assert write.lease(outbox, now + LANE_PATIENCE - SECOND) == [], "in order"
    [second] = write.lease(outbox, now + LANE_PATIENCE)
    assert second.event.id == "e2", "and no longer than that"


def test_order_is_kept_when_the_clock_is_set_back_before_anything_was_tried(outbox: Store, write: Writing) -> None:
    for name in ("e1", "e2", "e3"):
        write.add(outbox, name, "ops", action=Action.EVENT)
    now, told = NOON - DAY, []
    for _ in range(3):
        [each] = write.lease(outbox, now)
        told.append(each.event.id)
        outbox.record([write.delivered(each, now)])
    assert told == ["e1", "e2", "e3"]


def test_what_is_held_up_is_let_go_when_the_one_before_it_ends_whatever_the_clock_did(
    outbox: Store, write: Writing
) -> None:
    for name in ("e1", "e2"):
        write.add(outbox, name, "ops", action=Action.EVENT)
    [first] = write.lease(outbox, NOON)
    assert write.lease(outbox, NOON) == []
    now = NOON - DAY
    outbox.record([write.delivered(first, now)])
    [second] = write.lease(outbox, now)
    assert second.event.id == "e2"


def test_a_timer_keeps_its_time_however_far_ahead_it_is(outbox: Store, write: Writing) -> None:
    outbox.transact(lambda tx: tx.put(Cell("silence", "s1", "{}", due_at=NOON + 30 * DAY)))
    retrying(outbox, write, NOON)
    write.lease(outbox, NOON - DAY)
    assert outbox.next_cell_due() == NOON + 30 * DAY


def test_history_shows_when_things_were_planned_though_the_clock_was_set_back(outbox: Store, write: Writing) -> None:
    retrying(outbox, write, NOON)
    now = NOON - DAY
    write.lease(outbox, now)
    [row] = outbox.deliveries(status=Status.PENDING)
    assert (row.created_at, row.due_at) == (NOON, now + WAIT)
