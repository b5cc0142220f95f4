"""What every outbox promises."""

import multiprocessing
import os
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pendulum
import pytest

from tocsin.store.records import (
    IncidentStep,
    OpenIncident,
    Outcome,
    Plan,
    Planned,
    Status,
    StoreError,
    delivery_id,
)
from tocsin.store.sqlite import LANE_PATIENCE, SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Reason, Receipt
from tocsin_hooks.testing import sample_event, sample_message

NOON = pendulum.datetime(2024, 5, 6, 12)
MINUTE = timedelta(minutes=1)
KEY = "etl/load"


@pytest.fixture
def outbox(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "folder" / "tocsin.db")


def event(name: str) -> Event:
    return sample_event(id=name, time=NOON, sequence=None)


def send_to(*channels: str, step: IncidentStep = IncidentStep.OPEN, action: Action = Action.OPEN) -> Plan:
    return Plan(step, tuple(Planned(channel, "pages", action) for channel in channels))


def add(outbox: SqliteStore, name: str, plan: Plan, now=NOON) -> None:
    outbox.append(event(name), KEY, lambda _: plan, now=now)


def delivered(delivery, at=NOON, reference=None) -> Outcome:
    return Outcome(delivery, at, timedelta(0), receipt=Receipt("ok", reference or {}))


def test_a_lease_that_runs_out_makes_the_delivery_due_again(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    [first] = outbox.lease(now=NOON, ttl=MINUTE, limit=5, owner="me")
    assert (first.event.id, first.channel, first.attempt, first.may_repeat) == ("e1", "ops", 1, False)
    assert outbox.lease(now=NOON, ttl=MINUTE, limit=5, owner="me") == []
    [again] = outbox.lease(now=NOON + MINUTE, ttl=MINUTE, limit=5, owner="other")
    assert (again.id, again.attempt, again.may_repeat) == (first.id, 2, True)


def test_an_owner_that_lost_its_lease_settles_nothing(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    [stale] = outbox.lease(now=NOON, ttl=MINUTE, limit=5, owner="me")
    [held] = outbox.lease(now=NOON + MINUTE, ttl=MINUTE, limit=5, owner="other")
    dead = Outcome(stale, NOON, timedelta(0), reason=Reason.CLIENT, detail="no")
    assert outbox.record([dead]) == [False]
    assert outbox.deliveries()[0].status is Status.LEASED
    assert outbox.record([delivered(held)]) == [True]
    assert outbox.deliveries()[0].status is Status.DELIVERED
    assert [a.outcome for a in outbox.attempts(held.number)] == ["lease lost", "delivered"]


def test_an_event_reported_twice_is_stored_and_sent_once(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    again = outbox.append(event("e1"), KEY, lambda _: send_to("ops", "mail"), now=NOON)
    assert again.known
    assert again.event.sequence == 1
    assert len(outbox.deliveries()) == 1


def test_a_plan_that_raises_leaves_nothing_behind(outbox: SqliteStore) -> None:
    def broken(_: OpenIncident | None) -> Plan:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.append(event("e1"), KEY, broken, now=NOON)
    assert not outbox.is_open(KEY)
    assert outbox.append(event("e1"), KEY, lambda _: send_to("ops"), now=NOON).known is False


def test_what_is_not_worth_keeping_is_not_kept(outbox: SqliteStore) -> None:
    stored = outbox.append(event("e1"), KEY, lambda _: Plan(keep=False), now=NOON)
    assert stored.event.sequence is None
    assert outbox.append(event("e1"), KEY, lambda _: send_to("ops"), now=NOON).known is False


def test_an_incident_is_open_from_its_first_event_until_it_is_closed(outbox: SqliteStore) -> None:
    assert not outbox.is_open(KEY)
    add(outbox, "e1", send_to("ops"))
    assert outbox.is_open(KEY)
    assert not outbox.is_open("etl/other")
    seen: list[OpenIncident | None] = []
    outbox.append(event("e2"), KEY, lambda i: seen.append(i) or send_to(step=IncidentStep.CLOSE), now=NOON)
    assert seen[0] is not None
    assert (seen[0].key, seen[0].opened_at, seen[0].told) == (KEY, NOON, {"ops"})
    assert not outbox.is_open(KEY)
    outbox.append(event("e3"), KEY, lambda i: seen.append(i) or send_to("ops"), now=NOON)
    assert seen[1] is None


def test_what_another_process_opened_is_seen(outbox: SqliteStore) -> None:
    assert not outbox.is_open(KEY)
    add(SqliteStore(outbox.path), "e1", send_to("ops"))
    assert outbox.is_open(KEY)


def test_a_dead_delivery_did_not_tell_its_channel(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", "mail"))
    ops, _ = outbox.lease(now=NOON, ttl=MINUTE, limit=5, owner="me")
    outbox.record([Outcome(ops, NOON, timedelta(0), reason=Reason.GONE, detail="gone")])
    seen: list[OpenIncident | None] = []
    outbox.append(event("e2"), KEY, lambda i: seen.append(i) or Plan(), now=NOON)
    assert seen[0] is not None
    assert seen[0].told == {"mail"}


def test_messages_of_one_incident_reach_a_channel_in_order(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", "mail"))
    add(outbox, "e2", send_to("ops", "mail", step=IncidentStep.UPDATE, action=Action.UPDATE))
    first = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert [(d.event.id, d.channel) for d in first] == [("e1", "ops"), ("e1", "mail")]
    outbox.record([delivered(first[0])])
    [second] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert (second.event.id, second.channel) == ("e2", "ops")


def test_a_delivery_that_keeps_failing_holds_up_its_incident_only_for_a_while(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    [first] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    failed = Outcome(first, NOON, timedelta(0), reason=Reason.SERVER, retry_at=NOON + timedelta(hours=3))
    outbox.record([failed])
    add(outbox, "e2", send_to("ops", step=IncidentStep.UPDATE))
    assert outbox.lease(now=NOON + MINUTE, ttl=MINUTE, limit=9, owner="me") == []
    [second] = outbox.lease(now=NOON + LANE_PATIENCE + MINUTE, ttl=MINUTE, limit=9, owner="me")
    assert second.event.id == "e2"


def test_deliveries_without_an_incident_do_not_wait_for_each_other(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", step=IncidentStep.NONE))
    add(outbox, "e2", send_to("ops", step=IncidentStep.NONE))
    assert len(outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")) == 2


def test_a_receipt_comes_back_with_the_next_message_of_the_incident_on_that_channel(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", "mail"))
    ops, _ = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert ops.previous is None
    outbox.record([delivered(ops, reference={"ts": "17.5"})])
    add(outbox, "e2", send_to("ops", step=IncidentStep.CLOSE))
    [after] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert after.previous == Receipt("ok", {"ts": "17.5"})
    assert after.incident is not None
    assert (after.incident.key, after.incident.opened_at) == (KEY, NOON)


def test_a_retry_is_due_at_its_time_and_not_before(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    [first] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    later = NOON + timedelta(minutes=7)
    outbox.record(
        [Outcome(first, NOON, timedelta(0), reason=Reason.SERVER, detail="500", retry_at=later, unknown=True)]
    )
    assert outbox.next_due(now=NOON) == later
    assert outbox.lease(now=later - timedelta(microseconds=1), ttl=MINUTE, limit=9, owner="me") == []
    [second] = outbox.lease(now=later, ttl=MINUTE, limit=9, owner="me")
    assert (second.attempt, second.may_repeat, second.id) == (2, True, first.id)


def test_the_claims_of_a_dead_process_are_due_at_once(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="gone")
    assert outbox.release(lambda owner: owner != "gone", now=NOON) == 1
    [again] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert again.may_repeat
    assert outbox.release(lambda owner: owner != "gone", now=NOON) == 0


def test_dead_deliveries_can_be_revived_under_the_same_key(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    [first] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    outbox.record([Outcome(first, NOON, timedelta(0), reason=Reason.CLIENT, detail="refused")])
    [dead] = outbox.deliveries(status=Status.DEAD)
    assert (dead.reason, dead.detail, dead.id) == ("client", "refused", delivery_id("e1", "ops"))
    assert outbox.revive([dead.number], now=NOON) == 1
    assert outbox.revive([dead.number], now=NOON) == 0
    [again] = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    assert (again.id, again.attempt) == (first.id, 1)


def test_waiting_counts_what_is_due_and_what_the_owner_holds(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("a", "b", "c"))
    [held] = outbox.lease(now=NOON, ttl=MINUTE, limit=1, owner="me")
    assert outbox.waiting(before=NOON, owner="me", now=NOON) == 3
    assert outbox.waiting(before=NOON, owner="other", now=NOON) == 2
    outbox.record([Outcome(held, NOON, timedelta(0), reason=Reason.SERVER, retry_at=NOON + timedelta(hours=1))])
    assert outbox.waiting(before=NOON + MINUTE, owner="me", now=NOON) == 2


def test_history_is_found_by_status_channel_run_and_id(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", "mail"))
    assert {d.channel for d in outbox.deliveries()} == {"ops", "mail"}
    assert [d.channel for d in outbox.deliveries(channel="mail")] == ["mail"]
    assert len(outbox.deliveries(run_ids=[event("e1").run_id])) == 2
    assert outbox.deliveries(run_ids=["another"]) == []
    assert [d.channel for d in outbox.delivery(delivery_id("e1", "ops")[:8])] == ["ops"]
    assert outbox.deliveries(status=Status.DELIVERED) == []


def test_the_inbox_keeps_a_message_once(outbox: SqliteStore) -> None:
    message = sample_message(channel="home")
    outbox.add_to_inbox(message, now=NOON)
    outbox.add_to_inbox(message, now=NOON + MINUTE)
    [item] = outbox.inbox()
    assert (item.title, item.text, item.at, item.channel) == (message.title, message.text, NOON, "home")


def test_pruning_forgets_what_ended_long_ago_and_nothing_that_waits(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops", "mail"))
    ops, _ = outbox.lease(now=NOON, ttl=MINUTE, limit=9, owner="me")
    outbox.record([delivered(ops)])
    assert outbox.prune(before=NOON) == 0
    assert outbox.prune(before=NOON + MINUTE) == 1
    assert [d.channel for d in outbox.deliveries()] == ["mail"]
    assert outbox.is_open(KEY)


def test_threads_of_one_process_publish_together(outbox: SqliteStore) -> None:
    def publish(worker: int) -> None:
        for n in range(20):
            outbox.append(event(f"{worker}-{n}"), f"key {worker}", lambda _: send_to("ops"), now=NOON)

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox.deliveries(limit=None)) == 80


def test_processes_publish_together_and_a_forked_child_opens_its_own_connection(outbox: SqliteStore) -> None:
    add(outbox, "parent", send_to("ops", step=IncidentStep.NONE))
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_publish_in_child, args=(outbox, n)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(outbox.deliveries(limit=None)) == 1 + 3 * 10


def _publish_in_child(outbox: SqliteStore, child: int) -> None:
    for n in range(10):
        add(outbox, f"{child}-{n}", send_to("ops", step=IncidentStep.NONE))
    outbox.close()
    os._exit(0)


def test_two_workers_never_hold_the_same_delivery(outbox: SqliteStore) -> None:
    for n in range(40):
        add(outbox, f"e{n}", send_to("ops", step=IncidentStep.NONE))
    other = SqliteStore(outbox.path)
    claimed: list[str] = []

    def claim(store: SqliteStore) -> None:
        while got := store.lease(now=NOON, ttl=MINUTE, limit=3, owner="x"):
            claimed.extend(d.id for d in got)

    threads = [threading.Thread(target=claim, args=(store,)) for store in (outbox, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 40


def test_every_commit_is_synced_and_the_file_is_its_owners_alone(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    with outbox._connection.read() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox.path.stat().st_mode & 0o077 == 0


def test_a_store_written_by_a_newer_tocsin_is_refused_and_left_alone(outbox: SqliteStore) -> None:
    outbox.path.parent.mkdir()
    with sqlite3.connect(outbox.path) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreError, match=r"written by a newer tocsin \(schema 999"):
        outbox.is_open(KEY)


def test_a_file_that_is_no_database_is_refused_by_name(outbox: SqliteStore) -> None:
    outbox.path.parent.mkdir()
    outbox.path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match=r"tocsin\.db' cannot be opened: file is not a database"):
        outbox.is_open(KEY)


def test_a_folder_that_cannot_be_made_is_told_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"set \[store\] path to a place that can be written"):
        SqliteStore(tmp_path / "file" / "tocsin.db").is_open(KEY)


def test_a_locked_database_is_waited_for_a_bounded_time_and_then_refused(outbox: SqliteStore) -> None:
    add(outbox, "e1", send_to("ops"))
    with outbox._connection.read() as db:
        db.execute("PRAGMA busy_timeout = 50")
    blocker = sqlite3.connect(outbox.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        add(outbox, "e2", send_to("ops"))
    blocker.execute("ROLLBACK")
    blocker.close()
    add(outbox, "e2", send_to("ops", step=IncidentStep.UPDATE))
    assert len(outbox.deliveries()) == 2
