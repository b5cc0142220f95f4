"""Every outbox can say how it stands: what waits, what is dead, what fails and since when."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from support.outboxes import MINUTE, NOON, Writing
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell
from tocsin.store.sqlite import SqliteStore
from tocsin.store.summary import DISABLED, ChannelSummary, StoreSummary, summarise
from tocsin_hooks.messages import Action, Reason

HOUR = timedelta(hours=1)


def summary(outbox: Store, now: datetime = NOON, *channels: str) -> dict[str, ChannelSummary]:
    return {channel.name: channel for channel in outbox.summary(now=now, channels=channels).channels}


def test_where_nothing_ever_happened_nothing_stands(outbox: Store) -> None:
    found = outbox.summary(now=NOON)
    assert (found.channels, found.incidents_open, found.timers_due, found.next_timer) == ((), 0, 0, None)
    assert (found.newest_event, found.oldest) == (None, None)


def test_a_channel_that_is_asked_for_is_told_of_though_nothing_happened_there(outbox: Store) -> None:
    assert summary(outbox, NOON, "ops") == {"ops": ChannelSummary("ops")}


def test_what_waits_is_counted_by_channel_and_as_due_once_it_can_be_claimed(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail", thread="")
    write.add(outbox, "e2", "ops", thread="", now=NOON + MINUTE)
    before = summary(outbox)["ops"]
    assert (before.pending, before.due, before.leased, before.waiting) == (2, 1, 0, 2)
    both = summary(outbox, NOON + MINUTE)
    assert (both["ops"].due, both["ops"].oldest, both["ops"].due_since) == (2, NOON, NOON)
    assert both["mail"].pending == 1
    assert outbox.summary(now=NOON).oldest == NOON


def test_what_is_claimed_is_due_again_only_when_its_lease_is_over(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    write.lease(outbox)
    held = summary(outbox)["ops"]
    assert (held.pending, held.leased, held.due, held.due_since) == (0, 1, 0, None)
    over = summary(outbox, NOON + MINUTE)["ops"]
    assert (over.leased, over.due, over.due_since) == (1, 1, NOON + MINUTE)


def test_a_delivery_that_is_tried_later_waits_and_is_not_due(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [claimed] = write.lease(outbox)
    outbox.record([write.failed(claimed, Reason.SERVER, retry_at=NOON + HOUR)])
    found = summary(outbox, NOON + MINUTE)["ops"]
    assert (found.pending, found.due, found.due_since, found.oldest) == (1, 0, None, NOON)


def test_the_dead_are_counted_by_reason_and_no_longer_wait(outbox: Store, write: Writing) -> None:
    for number, reason in enumerate((Reason.AUTH, Reason.AUTH, Reason.GONE)):
        write.add(outbox, f"e{number}", "ops", thread="")
        [claimed] = write.lease(outbox)
        outbox.record([write.failed(claimed, reason)])
    found = summary(outbox)["ops"]
    assert (found.dead, found.dead_reasons, found.waiting, found.oldest) == (3, {"auth": 2, "gone": 1}, 0, None)


def test_the_last_success_is_that_of_the_channel(outbox: Store, write: Writing) -> None:
    for number, channel in enumerate(("ops", "ops", "mail")):
        at = NOON + number * MINUTE
        write.add(outbox, f"e{number}", channel, thread="", now=at)
        [claimed] = write.lease(outbox, at)
        outbox.record([write.delivered(claimed, at)])
    found = summary(outbox, NOON + HOUR, "ops", "mail", "pager")
    assert found["ops"].last_success == NOON + MINUTE
    assert found["mail"].last_success == NOON + 2 * MINUTE
    assert (found["pager"].last_success, found["pager"].last_try) == (None, None)


def test_a_message_that_another_one_stands_for_is_no_success(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", action=Action.OPEN)
    write.add(outbox, "e2", "ops", action=Action.RECOVER)
    assert write.lease(outbox, NOON + MINUTE) == [], "it was over before it was told"
    found = summary(outbox, NOON + MINUTE, "ops")["ops"]
    assert (found.waiting, found.dead, found.last_success) == (0, 0, None)


def test_a_channel_has_failed_since_the_first_try_after_its_last_success(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e0", "ops", thread="")
    [claimed] = write.lease(outbox)
    outbox.record([write.failed(claimed, Reason.NETWORK, retry_at=NOON)])
    [claimed] = write.lease(outbox)
    outbox.record([write.delivered(claimed, NOON + MINUTE)])
    write.add(outbox, "e1", "ops", thread="", now=NOON + MINUTE)
    for at, reason in ((NOON + 2 * MINUTE, Reason.TIMEOUT), (NOON + 5 * MINUTE, Reason.SERVER)):
        [claimed] = write.lease(outbox, at)
        outbox.record([write.failed(claimed, reason, at, retry_at=at + MINUTE)])
    found = summary(outbox, NOON + HOUR)["ops"]
    assert (found.failing_since, found.last_failure) == (NOON + 2 * MINUTE, NOON + 5 * MINUTE)
    assert (found.last_reason, found.last_try) == ("server", NOON + 5 * MINUTE)
    [claimed] = write.lease(outbox, NOON + HOUR)
    outbox.record([write.delivered(claimed, NOON + HOUR)])
    mended = summary(outbox, NOON + HOUR, "ops")["ops"]
    assert (mended.failing_since, mended.last_reason, mended.last_success) == (None, "", NOON + HOUR)


def test_a_dead_delivery_keeps_its_channel_failing_until_one_arrives(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", thread="")
    [claimed] = write.lease(outbox)
    outbox.record([write.failed(claimed, Reason.AUTH)])
    assert summary(outbox, NOON + HOUR)["ops"].failing_since == NOON


def test_failures_are_counted_by_reason_for_an_hour_whatever_became_of_the_delivery(
    outbox: Store, write: Writing
) -> None:
    endings = {"kept": NOON, "dead": None, "delivered": NOON}
    for name, retry_at in endings.items():
        write.add(outbox, name, "ops", thread="")
        [claimed] = write.lease(outbox)
        outbox.record([write.failed(claimed, Reason.RATE_LIMITED, retry_at=retry_at and NOON + HOUR * 3)])
    assert summary(outbox, NOON + HOUR)["ops"].failures == {"rate_limited": 3}
    assert summary(outbox, NOON + HOUR + timedelta(microseconds=1))["ops"].failures == {}


def test_a_dead_delivery_that_was_revived_is_not_forgotten_to_have_failed(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", thread="")
    [claimed] = write.lease(outbox)
    outbox.record([write.failed(claimed, Reason.AUTH)])
    outbox.revive([claimed.number], now=NOON + MINUTE)
    found = summary(outbox, NOON + MINUTE)["ops"]
    assert (found.dead, found.pending, found.failures, found.failing_since) == (0, 1, {"auth": 1}, NOON)


def test_a_channel_that_is_switched_off_says_so(outbox: Store) -> None:
    outbox.transact(lambda tx: tx.put(Cell(DISABLED, "ops", "{}")))
    assert summary(outbox, NOON, "ops", "mail")["ops"].off
    assert not summary(outbox, NOON, "ops", "mail")["mail"].off


def test_timers_are_due_from_their_very_moment_on(outbox: Store) -> None:
    def plan(tx: Transaction) -> None:
        for key, at in (("a", NOON), ("b", NOON + MINUTE), ("c", None)):
            tx.put(Cell("group", key, "{}", due_at=at))

    outbox.transact(plan)
    found = outbox.summary(now=NOON)
    assert (found.timers_due, found.timers_due_since, found.next_timer) == (1, NOON, NOON + MINUTE)
    later = outbox.summary(now=NOON + MINUTE)
    assert (later.timers_due, later.next_timer) == (2, None)


def test_incidents_are_counted_while_they_are_open(outbox: Store, write: Writing) -> None:
    write.open_incident(outbox, "a")
    write.open_incident(outbox, "b")
    write.close_incident(outbox, "a")
    assert outbox.summary(now=NOON).incidents_open == 1


def test_the_newest_event_is_that_of_the_latest_time(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    assert outbox.summary(now=NOON).newest_event == NOON


def test_the_names_of_channels_are_taken_as_they_are(outbox: Store, write: Writing) -> None:
    odd = "o'ps ? %s \N{SNOWMAN}"
    write.add(outbox, "e1", odd, thread="")
    [claimed] = write.lease(outbox)
    outbox.record([write.delivered(claimed)])
    assert summary(outbox, NOON, odd)[odd].last_success == NOON


def test_a_file_says_how_large_it_and_its_log_are(tmp_path: Path, write: Writing) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    write.add(store, "e1", "ops")
    found = store.summary(now=NOON)
    assert found.size == (tmp_path / "tocsin.db").stat().st_size
    assert found.wal == (tmp_path / "tocsin.db-wal").stat().st_size > 0
    store.close()


def test_the_delivered_are_not_looked_through(tmp_path: Path, write: Writing) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    for number in range(20):
        write.add(store, f"e{number}", "ops", thread="")
        [claimed] = write.lease(store)
        store.record([write.delivered(claimed)])
    asked: list[str] = []
    db = sqlite3.connect(tmp_path / "tocsin.db")

    def rows(query: str, *values: object) -> list[tuple[object, ...]]:
        asked.extend(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values))
        return db.execute(query, values).fetchall()

    assert isinstance(summarise(rows, NOON, ["ops"]), StoreSummary)
    db.close()
    store.close()
    scans = [plan for plan in asked if plan.startswith(("SCAN d", "SCAN a"))]
    assert all(" USING INDEX " in plan for plan in scans), asked
