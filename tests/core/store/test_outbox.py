"""What every outbox promises of deliveries: claimed once, in order, tried again, never forgotten while they wait."""

import multiprocessing
import os
import threading
from datetime import timedelta

import pytest

from support.outboxes import KEY, MINUTE, NOON, Database, Writing
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, Incident, Planned, Sent, Status, delivery_id
from tocsin.store.sqlite import LANE_PATIENCE
from tocsin_hooks.messages import Action, Item, Reason, Receipt
from tocsin_hooks.testing import sample_message


def test_a_lease_that_runs_out_makes_the_delivery_due_again(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [first] = write.lease(outbox)
    assert (first.event.id, first.channel, first.attempt, first.may_repeat) == ("e1", "ops", 1, False)
    assert write.lease(outbox) == []
    [again] = write.lease(outbox, NOON + MINUTE, owner="other")
    assert (again.id, again.attempt, again.may_repeat) == (first.id, 2, True)


def test_an_owner_that_lost_its_lease_settles_nothing(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [stale] = write.lease(outbox)
    [held] = write.lease(outbox, NOON + MINUTE, owner="other")
    assert outbox.record([write.failed(stale, Reason.CLIENT, detail="no")]) == [False]
    assert outbox.deliveries()[0].status is Status.LEASED
    assert outbox.record([write.delivered(held)]) == [True]
    assert outbox.deliveries()[0].status is Status.DELIVERED
    assert [a.outcome for a in outbox.attempts(held.number)] == ["lease lost", "delivered"]


def test_an_event_reported_twice_is_stored_and_sent_once(outbox: Store, write: Writing) -> None:
    [first, _] = write.add(outbox, "e1", "ops", "mail")
    assert first is not None
    assert first.event.sequence == 1
    assert outbox.transact(lambda tx: tx.sequence_of("e1")) == 1
    assert write.add(outbox, "e1", "ops", "mail") == [None, None]
    assert [d.channel for d in outbox.deliveries()] == ["mail", "ops"]
    assert len(outbox.events(since=NOON)) == 1


def test_an_incident_is_open_from_its_first_event_until_it_is_closed(outbox: Store, write: Writing) -> None:
    assert not outbox.is_open(KEY)
    assert not outbox.any_open()
    opened = write.open_incident(outbox)
    assert outbox.is_open(KEY)
    assert outbox.any_open()
    assert not outbox.is_open("etl/other")
    found = outbox.transact(lambda tx: tx.incident(KEY))
    assert found == opened
    assert (opened.key, opened.opened_at, opened.closed_at) == (KEY, NOON, None)
    write.close_incident(outbox, at=NOON + MINUTE)
    assert not outbox.is_open(KEY)
    assert not outbox.any_open()
    assert outbox.transact(lambda tx: tx.incident(KEY)) is None
    again = write.open_incident(outbox, at=NOON + MINUTE)
    assert again.number != opened.number


def test_what_was_undone_is_not_open(outbox: Store) -> None:
    def open_and_fail(tx: Transaction) -> None:
        tx.put_incident(Incident(KEY, NOON))
        raise ZeroDivisionError

    assert not outbox.is_open(KEY)
    with pytest.raises(ZeroDivisionError):
        outbox.transact(open_and_fail)
    assert not outbox.is_open(KEY)
    outbox.transact(lambda tx: tx.put_incident(Incident(KEY, NOON)), keep=False)
    assert not outbox.is_open(KEY)
    outbox.transact(lambda tx: tx.put_incident(Incident(KEY, NOON)))
    assert outbox.is_open(KEY)


def test_what_another_process_opened_is_seen(database: Database, write: Writing) -> None:
    here, elsewhere = database.open(), database.open()
    assert not here.is_open(KEY)
    write.open_incident(elsewhere)
    assert here.is_open(KEY)
    write.close_incident(elsewhere)
    assert not here.is_open(KEY)
    here.close()
    elsewhere.close()


def test_a_dead_delivery_leaves_no_receipt_to_what_follows_it(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail")
    ops, mail = write.lease(outbox)
    outbox.record([write.failed(ops, Reason.GONE, detail="gone"), write.delivered(mail, reference={"id": "7"})])
    write.add(outbox, "e2", "ops", "mail", action=Action.RECOVER)
    assert [(d.channel, d.previous) for d in write.lease(outbox)] == [
        ("ops", None),
        ("mail", Receipt("ok", {"id": "7"})),
    ]


def test_messages_of_one_thread_reach_a_channel_in_order(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail")
    write.add(outbox, "e2", "ops", "mail", action=Action.UPDATE)
    first = write.lease(outbox)
    assert [(d.event.id, d.channel) for d in first] == [("e1", "ops"), ("e1", "mail")]
    outbox.record([write.delivered(first[0])])
    [second] = write.lease(outbox)
    assert (second.event.id, second.channel) == ("e2", "ops")


def test_messages_of_different_threads_do_not_wait_for_each_other(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", thread="i1")
    write.add(outbox, "e2", "ops", thread="i2")
    assert [d.event.id for d in write.lease(outbox)] == ["e1", "e2"]


def test_a_delivery_that_keeps_failing_holds_up_its_thread_only_for_a_while(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [first] = write.lease(outbox)
    outbox.record([write.failed(first, Reason.SERVER, retry_at=NOON + timedelta(hours=3))])
    write.add(outbox, "e2", "ops", action=Action.UPDATE)
    assert write.lease(outbox, NOON + MINUTE) == []
    [second] = write.lease(outbox, NOON + LANE_PATIENCE + MINUTE)
    assert second.event.id == "e2"


def test_what_is_put_together_is_claimed_no_more_however_long_the_store_was_left_alone(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops")
    write.add(outbox, "e2", "ops", action=Action.RECOVER)
    assert write.lease(outbox, NOON + LANE_PATIENCE * 4) == [], "it was over before it was told"
    assert {(d.event.id, d.status, d.reason) for d in outbox.deliveries()} == {
        ("e1", Status.DELIVERED, "coalesced"),
        ("e2", Status.DELIVERED, "coalesced"),
    }


def test_deliveries_without_a_thread_do_not_wait_for_each_other(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", thread="")
    write.add(outbox, "e2", "ops", thread="")
    first, _ = write.lease(outbox)
    outbox.record([write.delivered(first, reference={"ts": "1"})])
    write.add(outbox, "e3", "ops", thread="")
    assert [d.previous for d in write.lease(outbox)] == [None], "nor do they share a receipt"


def test_a_receipt_comes_back_with_the_next_message_of_the_thread_on_that_channel(
    outbox: Store, write: Writing
) -> None:
    write.add(outbox, "e1", "ops", "mail", incident=KEY, opened_at=NOON)
    ops, _ = write.lease(outbox)
    assert ops.previous is None
    outbox.record([write.delivered(ops, reference={"ts": "17.5"})])
    write.add(outbox, "e2", "ops", action=Action.RECOVER, incident=KEY, opened_at=NOON)
    [after] = write.lease(outbox)
    assert after.previous == Receipt("ok", {"ts": "17.5"})
    assert (after.planned.thread, after.planned.incident, after.planned.opened_at) == ("i1", KEY, NOON)


def test_a_receipt_of_what_sent_nothing_does_not_take_the_place_of_one_that_did(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [first] = write.lease(outbox)
    outbox.record([write.delivered(first, reference={"ts": "17.5"})])
    write.add(outbox, "e2", "ops", action=Action.UPDATE)
    [second] = write.lease(outbox)
    nothing = write.delivered(second)
    outbox.record([type(nothing)(second, NOON, timedelta(0), receipt=Receipt("nothing to edit", sent=False))])
    write.add(outbox, "e3", "ops", action=Action.RECOVER)
    [third] = write.lease(outbox)
    assert third.previous == Receipt("ok", {"ts": "17.5"})


def test_all_that_was_planned_comes_back_with_the_claim(outbox: Store, write: Writing) -> None:
    planned = Planned(
        "ops", "pages", Action.UPDATE, "short", "new", "g7", "pages {flow=etl}", NOON.add(microseconds=1), "g7 2",
        {"flow": "etl", "größe": "Ω"}, ("e0", "e1"), (Item("etl/load", "Failed", NOON.isoformat(), "text"),),
        count=2, recovered=1, within=timedelta(minutes=90), silent=True, say="still nobody", hides=14,
        acknowledged_by="Ada",
    )  # fmt: skip

    def work(tx: Transaction) -> Sent | None:
        return tx.deliver(tx.add_event(write.event("e1")), None, planned, now=NOON)

    sent = outbox.transact(work)
    assert sent is not None
    assert sent.id == delivery_id("e1", "ops", "g7 2")
    [leased] = write.lease(outbox)
    assert leased.planned == planned
    assert (leased.id, leased.channel, leased.route, leased.action, leased.template) == (
        sent.id, "ops", "pages", Action.UPDATE, "short",
    )  # fmt: skip
    assert leased.event == write.event("e1").replace(sequence=1)


def test_a_retry_is_due_at_its_time_and_not_before(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [first] = write.lease(outbox)
    later = NOON + timedelta(minutes=7)
    outbox.record([write.failed(first, Reason.SERVER, detail="500", retry_at=later, unknown=True)])
    assert outbox.next_due(now=NOON) == later
    assert write.lease(outbox, later - timedelta(microseconds=1)) == []
    [second] = write.lease(outbox, later)
    assert (second.attempt, second.may_repeat, second.id) == (2, True, first.id)


def test_the_claims_of_a_dead_process_are_due_at_once(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    write.lease(outbox, owner="gone")
    assert outbox.release(lambda owner: owner != "gone", now=NOON) == 1
    [again] = write.lease(outbox)
    assert again.may_repeat
    assert outbox.release(lambda owner: owner != "gone", now=NOON) == 0


def test_dead_deliveries_can_be_revived_under_the_same_key(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [first] = write.lease(outbox)
    outbox.record([write.failed(first, Reason.CLIENT, detail="refused")])
    [dead] = outbox.deliveries(status=Status.DEAD)
    assert (dead.reason, dead.detail, dead.id) == ("client", "refused", delivery_id("e1", "ops"))
    assert outbox.revive([dead.number], now=NOON) == 1
    assert outbox.revive([dead.number], now=NOON) == 0
    [again] = write.lease(outbox)
    assert (again.id, again.attempt) == (first.id, 1)


def test_waiting_counts_what_is_due_and_what_the_owner_holds(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "a", "b", "c")
    [held] = write.lease(outbox, limit=1)
    assert outbox.waiting(before=NOON, owner="me", now=NOON) == 3
    assert outbox.waiting(before=NOON, owner="other", now=NOON) == 2
    outbox.record([write.failed(held, Reason.SERVER, retry_at=NOON + timedelta(hours=1))])
    assert outbox.waiting(before=NOON + MINUTE, owner="me", now=NOON) == 2


def test_history_is_found_by_status_channel_run_and_id(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail")
    assert {d.channel for d in outbox.deliveries()} == {"ops", "mail"}
    assert [d.channel for d in outbox.deliveries(channel="mail")] == ["mail"]
    assert len(outbox.deliveries(run_ids=[write.event("e1").run_id])) == 2
    assert outbox.deliveries(run_ids=["another"]) == []
    assert [d.channel for d in outbox.delivery(delivery_id("e1", "ops")[:8])] == ["ops"]
    assert outbox.deliveries(status=Status.DELIVERED) == []


def test_the_inbox_keeps_a_message_once(outbox: Store) -> None:
    message = sample_message(channel="home")
    outbox.add_to_inbox(message, now=NOON)
    outbox.add_to_inbox(message, now=NOON + MINUTE)
    [item] = outbox.inbox()
    assert (item.title, item.text, item.at, item.channel) == (message.title, message.text, NOON, "home")


def test_pruning_forgets_what_ended_long_ago_and_nothing_that_waits(outbox: Store, write: Writing) -> None:
    write.open_incident(outbox)
    write.add(outbox, "e1", "ops", "mail")
    ops, _ = write.lease(outbox)
    outbox.record([write.delivered(ops)])
    assert outbox.prune(before=NOON) == 0
    assert outbox.prune(before=NOON + MINUTE) == 1
    assert [d.channel for d in outbox.deliveries()] == ["mail"]
    assert outbox.is_open(KEY)
    assert outbox.transact(lambda tx: tx.event("e1")) is not None, "a delivery that waits needs its event"


def test_an_attempt_of_what_was_pruned_meanwhile_is_refused_and_leaves_nothing(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops", "mail", thread="")
    [slow] = write.lease(outbox, limit=1)
    [other] = write.lease(outbox, limit=1)
    later = NOON + 2 * MINUTE
    [again] = [each for each in write.lease(outbox, later) if each.number == slow.number]
    outbox.record([write.delivered(again, later)])
    assert outbox.prune(before=later + MINUTE) == 1
    assert outbox.record([write.delivered(slow, later), write.delivered(other, later)]) == [False, False]
    assert outbox.attempts(slow.number) == []
    assert [each.outcome for each in outbox.attempts(other.number)] == ["lease lost"]


def test_pruning_keeps_the_events_of_an_open_incident_until_it_is_closed(outbox: Store, write: Writing) -> None:
    opened = write.open_incident(outbox)
    outbox.transact(lambda tx: tx.add_event(write.event("e1"), opened.number))
    outbox.transact(lambda tx: tx.add_event(write.event("e2")))
    outbox.prune(before=NOON + MINUTE)
    assert [event.id for event in outbox.events(since=NOON)] == ["e1"]
    write.close_incident(outbox)
    outbox.prune(before=NOON + MINUTE)
    assert outbox.events(since=NOON) == []
    assert outbox.transact(lambda tx: tx.incident_numbered(opened.number or 0)) is None


def test_pruning_keeps_the_receipt_of_a_group_that_will_be_told_to_be_over(outbox: Store, write: Writing) -> None:
    for thread in ("i1", "i2"):
        write.add(outbox, f"e {thread}", "ops", thread=thread)
    outbox.record([write.delivered(d, reference={"ts": d.planned.thread}) for d in write.lease(outbox)])
    outbox.transact(lambda tx: tx.put(Cell("group", "single", "{}", subject="i1")))
    assert outbox.prune(before=NOON + MINUTE) == 2
    for thread in ("i1", "i2"):
        write.add(outbox, f"e {thread} over", "ops", thread=thread, action=Action.RECOVER)
    assert [d.previous for d in write.lease(outbox)] == [Receipt("ok", {"ts": "i1"}), None]


def test_threads_of_one_process_publish_together(outbox: Store, write: Writing) -> None:
    def publish(worker: int) -> None:
        for n in range(20):
            write.add(outbox, f"{worker}-{n}", "ops", thread=f"i{worker}")

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox.deliveries(limit=None)) == 80


def test_processes_publish_together_and_a_forked_child_opens_its_own_connection(
    database: Database, write: Writing
) -> None:
    outbox = database.open()
    write.add(outbox, "parent", "ops", thread="")
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_publish_in_child, args=(outbox, write, n)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(outbox.deliveries(limit=None)) == 1 + 3 * 10
    outbox.close()


def _publish_in_child(outbox: Store, write: Writing, child: int) -> None:
    for n in range(10):
        write.add(outbox, f"{child}-{n}", "ops", thread="")
    outbox.close()
    os._exit(0)


def test_two_workers_never_hold_the_same_delivery(database: Database, write: Writing) -> None:
    outbox, other = database.open(), database.open()
    for n in range(40):
        write.add(outbox, f"e{n}", "ops", thread="")
    claimed: list[str] = []

    def claim(store: Store) -> None:
        while got := write.lease(store, limit=3, owner="x"):
            claimed.extend(d.id for d in got)

    threads = [threading.Thread(target=claim, args=(store,)) for store in (outbox, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 40
    outbox.close()
    other.close()


def test_what_one_claim_leaves_out_it_does_not_hold_as_well(outbox: Store, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    [lost] = write.lease(outbox, owner="gone")
    write.add(outbox, "e2", "ops", action=Action.UPDATE, now=NOON + 5 * MINUTE)
    late = NOON + 16 * MINUTE  # by when e2 need not wait for e1 any longer, and is due before it
    assert outbox.release(lambda owner: owner != "gone", now=late) == 1
    write.add(outbox, "e3", "ops", action=Action.UPDATE, now=late)
    claimed = write.lease(outbox, late, limit=4)
    assert lost.id in {each.id for each in claimed}
    left_out = {each.id for each in outbox.deliveries() if each.reason == "coalesced"}
    assert not left_out & {each.id for each in claimed}
    assert all(outbox.record([write.delivered(each, late) for each in claimed]))
