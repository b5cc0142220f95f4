"""What a clock that was ahead, and a revived message, leave behind: nothing waits longer for them than it has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.outboxes import KINDS, NOON, Writing
from tocsin.store.protocol import Store
from tocsin.store.records import Leased
from tocsin_hooks.messages import Reason

AHEAD = NOON + timedelta(days=2)

Write = Callable[[Store, Leased], object]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = request.param.open(tmp_path)
    yield store
    store.close()


def given_back(store: Store, claimed: Leased) -> object:
    return store.give_back([claimed], now=AHEAD)


def released(store: Store, claimed: Leased) -> object:
    return store.release(lambda _: False, now=AHEAD)


def revived(store: Store, claimed: Leased) -> object:
    assert store.record([Writing().failed(claimed, Reason.GONE)]) == [True]
    return store.revive([claimed.number], now=AHEAD)


@pytest.mark.parametrize("write", [given_back, released, revived])
def test_what_was_made_due_at_once_by_a_clock_that_was_ahead_is_due_at_once(outbox: Store, write: Write) -> None:
    writing = Writing()
    writing.add(outbox, "e1", "ops")
    [claimed] = writing.lease(outbox)
    assert write(outbox, claimed) == 1
    later = NOON + timedelta(minutes=5)
    assert [each.number for each in writing.lease(outbox, later)] == [claimed.number]


def test_what_a_revived_message_held_up_is_due_when_that_has_ended(outbox: Store) -> None:
    writing = Writing()
    late = NOON + timedelta(hours=2)
    for name in ("e1", "e2", "e3"):
        writing.add(outbox, name, "ops")
    [dead] = writing.lease(outbox, limit=1)
    outbox.record([writing.failed(dead, Reason.GONE)])
    [again] = writing.lease(outbox, limit=1)
    outbox.record([writing.failed(again, Reason.SERVER, retry_at=late + timedelta(hours=1))])
    outbox.revive([dead.number], now=late)
    [revived] = writing.lease(outbox, late)
    assert revived.number == dead.number, "in the order of their thread"
    assert writing.lease(outbox, late + timedelta(seconds=1)) == [], "the third waits for it"
    outbox.record([writing.delivered(revived, late + timedelta(seconds=2))])
    after = writing.lease(outbox, late + timedelta(seconds=3))
    assert [each.event.id for each in after] == ["e3"], "the second, which is to be retried, is too old to hold it up"
