"""What can be done inside one transaction of an outbox: all of it or nothing, read back as it was written."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pendulum
import pytest

from support.outboxes import KEY, MINUTE, NOON, Database, Writing
from tocsin.store.coding import load
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, Incident, Planned, Suppression, delivery_id
from tocsin_hooks.messages import Action

ODD = 'ünï\ncode "quoted" \x00 \x1f 🔔'
HALF = "caf\udce9"


def planned(channel: str = "ops", **more: object) -> Planned:
    return Planned(channel, "pages", Action.OPEN, **more)  # type: ignore[arg-type]


def everything(tx: Transaction) -> tuple[object, ...]:
    """All that a transaction can see."""
    return (
        tx.sequence_of("e1"),
        tx.event("e1"),
        tx.open_incidents(),
        tx.cells("group"),
        tx.due_cells(now=NOON + MINUTE, limit=10),
    )


def do_a_bit_of_all(write: Writing) -> Callable[[Transaction], tuple[object, ...]]:
    def work(tx: Transaction) -> tuple[object, ...]:
        incident = tx.put_incident(Incident(KEY, NOON))
        event = tx.add_event(write.event("e1"), incident.number)
        tx.deliver(event, incident.number, planned(), now=NOON)
        tx.suppress(Suppression(NOON, "e1", "silence", "s1", "silenced"))
        tx.put(Cell("group", "g1", "{}", due_at=NOON))
        return everything(tx)

    return work


def seen(outbox: Store) -> tuple[object, ...]:
    found = outbox.transact(everything, keep=False)
    return (*found, outbox.deliveries(), outbox.suppressions(), outbox.next_cell_due(), outbox.any_open())


# ---------------------------------------------------------------- all or nothing


def test_what_is_kept_is_there_afterwards_in_every_part(outbox: Store, write: Writing) -> None:
    inside = outbox.transact(do_a_bit_of_all(write))
    sequence, event, incidents, cells, due, deliveries, suppressions, next_due, is_open = seen(outbox)
    assert (sequence, event, incidents, cells, due) == inside
    assert (sequence, is_open, next_due) == (1, True, NOON)
    assert [d.id for d in deliveries] == [delivery_id("e1", "ops")]  # type: ignore[attr-defined]
    assert suppressions == [Suppression(NOON, "e1", "silence", "s1", "silenced")]
    assert cells == due == [Cell("group", "g1", "{}", due_at=NOON)]


def test_without_keep_the_work_is_seen_inside_and_nothing_is_left(outbox: Store, write: Writing) -> None:
    before = seen(outbox)
    inside = outbox.transact(do_a_bit_of_all(write), keep=False)
    assert inside[0] == 1, "what is done is seen by the work itself"
    assert seen(outbox) == before == (None, None, [], [], [], [], [], None, False)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_work_that_raises_leaves_nothing_and_its_exception_comes_out(
    outbox: Store, write: Writing, error: type[BaseException]
) -> None:
    def broken(tx: Transaction) -> None:
        do_a_bit_of_all(write)(tx)
        raise error

    before = seen(outbox)
    with pytest.raises(error):
        outbox.transact(broken)
    assert seen(outbox) == before
    assert outbox.transact(do_a_bit_of_all(write))[0] == 1, "the store is as usable as before"


def test_work_that_raises_undoes_only_itself(outbox: Store) -> None:
    outbox.transact(lambda tx: tx.put(Cell("group", "kept", "1")))

    def broken(tx: Transaction) -> None:
        tx.drop("group", "kept")
        tx.put(Cell("group", "lost", "2"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.transact(broken)
    assert outbox.transact(lambda tx: tx.cells("group")) == [Cell("group", "kept", "1")]


# ---------------------------------------------------------------- events


def test_an_event_is_known_by_its_id_and_keeps_its_first_form_and_place(outbox: Store, write: Writing) -> None:
    def work(tx: Transaction) -> None:
        assert tx.sequence_of("e1") is None
        assert tx.event("e1") is None
        first = tx.add_event(write.event("e1", message="first"))
        other = tx.add_event(write.event("e2"))
        again = tx.add_event(write.event("e1", message="again"))
        assert (first.sequence, other.sequence, again.sequence) == (1, 2, 1)
        assert tx.sequence_of("e1") == 1
        assert tx.event("e1") == write.event("e1", message="first").replace(sequence=1)

    outbox.transact(work)
    outbox.transact(work := lambda tx: tx.event("e2"))
    assert outbox.transact(work) == write.event("e2").replace(sequence=2)


def test_events_of_a_time_come_back_in_the_order_of_history(outbox: Store, write: Writing) -> None:
    times = {"late": NOON + MINUTE, "early": NOON, "last": NOON + 2 * MINUTE}
    for name, time in times.items():
        outbox.transact(lambda tx, name=name, time=time: tx.add_event(write.event(name, time=time)))  # type: ignore[misc]
    assert [e.id for e in outbox.events(since=NOON)] == ["late", "early", "last"]
    assert [e.id for e in outbox.events(since=NOON, until=NOON + 2 * MINUTE)] == ["late", "early"], "the end is not in"
    assert [e.id for e in outbox.events(since=NOON + MINUTE)] == ["late", "last"]
    assert [e.id for e in outbox.events(since=NOON, limit=1)] == ["late"]


def test_a_change_of_a_time_zone_is_the_same_moment(outbox: Store, write: Writing) -> None:
    berlin = pendulum.datetime(2024, 10, 27, 2, 30, tz="Europe/Berlin")  # an hour that comes twice
    outbox.transact(lambda tx: tx.add_event(write.event("e1", time=berlin)))
    [found] = outbox.events(since=berlin.in_timezone("UTC"), until=berlin + timedelta(microseconds=1))
    assert found.time.timestamp() == berlin.timestamp()


# ---------------------------------------------------------------- incidents


def test_an_incident_comes_back_as_it_was_written(outbox: Store) -> None:
    full = Incident(
        ODD, NOON, event="e1", state="Failed", run_id="r1", failures=3, hides=500, channels=("mail", "ops"),
        acked_at=NOON + MINUTE, acked_by="Ada",
    )  # fmt: skip
    written = outbox.transact(lambda tx: tx.put_incident(full))
    assert written == replace(full, number=written.number)
    assert written.number is not None
    assert outbox.transact(lambda tx: tx.incident(ODD)) == written
    assert outbox.transact(lambda tx: tx.incident_numbered(written.number or 0)) == written


def test_changing_an_incident_keeps_its_number_and_its_opening(outbox: Store) -> None:
    written = outbox.transact(lambda tx: tx.put_incident(Incident(KEY, NOON, failures=1)))
    outbox.transact(lambda tx: tx.put_incident(replace(written, failures=2, event="e2")))
    found = outbox.transact(lambda tx: tx.incident(KEY))
    assert found == replace(written, failures=2, event="e2")
    closed = replace(written, closed_at=NOON + MINUTE)
    outbox.transact(lambda tx: tx.put_incident(closed))
    assert outbox.transact(lambda tx: tx.incident(KEY)) is None
    assert outbox.transact(lambda tx: tx.incident_numbered(written.number or 0)) == closed


def test_an_incident_that_is_not_there_is_none(outbox: Store) -> None:
    assert outbox.transact(lambda tx: (tx.incident(""), tx.incident_numbered(7), tx.open_incidents())) == (
        None,
        None,
        [],
    )


def test_open_incidents_come_oldest_first_without_those_that_are_closed(outbox: Store, write: Writing) -> None:
    for key in ("c", "a", "b"):
        write.open_incident(outbox, key, NOON)
    write.close_incident(outbox, "a")
    assert [i.key for i in outbox.transact(lambda tx: tx.open_incidents())] == ["c", "b"]


# ---------------------------------------------------------------- deliveries


def test_one_key_is_delivered_once(outbox: Store, write: Writing) -> None:
    def work(tx: Transaction) -> list[str | None]:
        event = tx.add_event(write.event("e1"))
        wanted = [planned(), planned(), planned(nonce="repeat 1"), planned(nonce="repeat 1"), planned("mail")]
        found = [tx.deliver(event, None, each, now=NOON) for each in wanted]
        return [None if sent is None else sent.id for sent in found]

    ops, repeat, mail = (
        delivery_id("e1", "ops"), delivery_id("e1", "ops", "repeat 1"), delivery_id("e1", "mail"),
    )  # fmt: skip
    assert outbox.transact(work) == [ops, None, repeat, None, mail]
    assert outbox.transact(work) == [None] * 5, "nor in a later transaction"
    assert [d.id for d in outbox.deliveries()] == [mail, repeat, ops]


def test_what_was_sent_says_what_was_planned_for_which_event(outbox: Store, write: Writing) -> None:
    def work(tx: Transaction) -> object:
        return tx.deliver(tx.add_event(write.event("e1")), None, planned(say="x"), now=NOON)

    sent = outbox.transact(work)
    assert sent is not None
    assert (sent.id, sent.event.sequence, sent.planned) == (  # type: ignore[attr-defined]
        delivery_id("e1", "ops"), 1, planned(say="x"),
    )  # fmt: skip


# ---------------------------------------------------------------- what was not sent


def test_suppressions_come_oldest_first_of_an_event_or_since_a_time(outbox: Store) -> None:
    full = Suppression(NOON, "e1", "window", "night", "window 'night' is open", "pages", "ops")
    kept = [full, replace(full, event="e2", at=NOON + MINUTE), replace(full, stage="silence", at=NOON + 2 * MINUTE)]

    def work(tx: Transaction) -> None:
        for each in kept:
            tx.suppress(each)

    outbox.transact(work)
    assert outbox.suppressions() == kept
    assert outbox.suppressions(event="e1") == [kept[0], kept[2]]
    assert outbox.suppressions(since=NOON + MINUTE) == kept[1:]
    assert outbox.suppressions(event="e1", since=NOON + MINUTE) == kept[2:]
    assert outbox.suppressions(event="e3") == []


# ---------------------------------------------------------------- documents


def test_a_document_comes_back_as_it_was_written(outbox: Store) -> None:
    full = Cell("group", ODD, f'{{"a": "{ODD}"}}', "parent " + ODD, "subject " + ODD, NOON)
    outbox.transact(lambda tx: tx.put(full))
    assert outbox.transact(lambda tx: tx.cell("group", ODD)) == full
    assert outbox.transact(lambda tx: tx.cell("member", ODD)) is None
    assert outbox.transact(lambda tx: tx.cell("group", "")) is None


def test_a_document_is_written_in_place_of_the_one_of_its_kind_and_key(outbox: Store) -> None:
    first = Cell("group", "k", "1", "p", "s", NOON)
    second = Cell("group", "k", "2", "q", "t")
    other = Cell("member", "k", "3", "p", "s")

    def work(tx: Transaction) -> None:
        for cell in (first, other, second):
            tx.put(cell)

    outbox.transact(work)
    assert outbox.transact(lambda tx: tx.cells("group")) == [second]
    assert outbox.transact(lambda tx: tx.cells("group", parent="p")) == []
    assert outbox.transact(lambda tx: tx.cells("group", subject="t")) == [second]
    assert outbox.transact(lambda tx: tx.cells("member")) == [other]
    assert outbox.next_cell_due() is None, "the new one has no time, whatever the old one had"


def test_documents_are_found_by_parent_and_by_subject_in_the_order_of_their_keys(outbox: Store) -> None:
    cells = [
        Cell("m", "b", "", "p1", "s1"), Cell("m", "a", "", "p1", "s2"), Cell("m", "c", "", "p2", "s1"),
        Cell("m", "B", ""), Cell("n", "a", "", "p1", "s1"),
    ]  # fmt: skip
    outbox.transact(lambda tx: [tx.put(cell) for cell in cells])

    def keys(**where: str) -> list[str]:
        return [cell.key for cell in outbox.transact(lambda tx: tx.cells("m", **where))]

    assert keys() == ["B", "a", "b", "c"]
    assert keys(parent="p1") == ["a", "b"]
    assert keys(subject="s1") == ["b", "c"]
    assert keys(parent="p3") == []
    assert keys(parent="") == keys(subject="") == [], "what belongs to nothing is not found by that"


def test_due_documents_come_the_longest_due_first_and_no_more_than_asked_for(outbox: Store) -> None:
    step = timedelta(microseconds=1)
    cells = [
        Cell("z", "later", "", due_at=NOON + step), Cell("b", "2", "", due_at=NOON), Cell("b", "1", "", due_at=NOON),
        Cell("a", "9", "", due_at=NOON), Cell("c", "first", "", due_at=NOON - MINUTE), Cell("a", "never", ""),
    ]  # fmt: skip
    outbox.transact(lambda tx: [tx.put(cell) for cell in cells])

    def due(now: datetime, limit: int = 10) -> list[str]:
        return [cell.key for cell in outbox.transact(lambda tx: tx.due_cells(now=now, limit=limit))]

    assert due(NOON) == ["first", "9", "1", "2"], "at the same time: by kind, then key"
    assert due(NOON, 2) == ["first", "9"]
    assert due(NOON - MINUTE - step) == []
    assert due(NOON + step) == ["first", "9", "1", "2", "later"]
    assert outbox.next_cell_due() == NOON - MINUTE


def test_a_document_that_is_dropped_is_forgotten_and_dropping_none_is_nothing(outbox: Store) -> None:
    outbox.transact(lambda tx: tx.put(Cell("group", "k", "1", due_at=NOON)))
    outbox.transact(lambda tx: (tx.drop("group", "other"), tx.drop("member", "k")))
    assert outbox.next_cell_due() == NOON
    outbox.transact(lambda tx: tx.drop("group", "k"))
    assert outbox.transact(lambda tx: tx.cell("group", "k")) is None
    assert outbox.next_cell_due() is None


# ---------------------------------------------------------------- times and text


@pytest.mark.parametrize(
    "time",
    [
        datetime(2024, 5, 6, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2024, 5, 6, 12, 0, 0, 999_999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 123_457, tzinfo=UTC),
        pendulum.datetime(2024, 3, 31, 3, 0, 0, 7, tz="Europe/Berlin"),
    ],
)
def test_times_are_kept_to_the_microsecond(outbox: Store, write: Writing, time: datetime) -> None:
    def work(tx: Transaction) -> None:
        incident = tx.put_incident(Incident(KEY, time, closed_at=time, acked_at=time))
        assert tx.incident_numbered(incident.number or 0) == incident
        tx.put(Cell("group", "k", "", due_at=time))
        found = tx.cell("group", "k")
        assert found is not None
        assert found.due_at == time
        assert tx.due_cells(now=time - timedelta(microseconds=1), limit=1) == []
        assert tx.due_cells(now=time, limit=1) == [found]
        tx.suppress(Suppression(time, "e1", "silence", "", "why"))
        tx.deliver(tx.add_event(write.event("e1")), None, planned(opened_at=time), now=time)

    outbox.transact(work)
    assert outbox.next_cell_due() == time
    if time.year >= 1970:
        assert outbox.suppressions(since=time)[0].at == time
    [leased] = write.lease(outbox, time)
    assert (leased.created_at, leased.planned.opened_at) == (time, time)


def test_text_of_any_sort_is_kept_and_half_characters_do_no_harm(outbox: Store, write: Writing) -> None:
    def work(tx: Transaction) -> None:
        event = tx.add_event(write.event("e1", message=ODD + HALF))
        tx.deliver(event, None, planned(group={"flow": HALF, ODD: ODD}, say=ODD), now=NOON)
        tx.suppress(Suppression(NOON, "e1", "silence", HALF, f"silenced: {HALF}"))
        tx.put_incident(Incident(KEY, NOON, acked_by=HALF))

    outbox.transact(work)
    [leased] = write.lease(outbox)
    assert leased.event.message == ODD + HALF
    assert (leased.planned.group, leased.planned.say) == ({"flow": "caf?", ODD: ODD}, ODD)
    assert [(s.rule, s.reason) for s in outbox.suppressions()] == [("caf?", "silenced: caf?")]
    assert outbox.transact(lambda tx: tx.open_incidents())[0].acked_by == "caf?"


def test_what_a_later_tocsin_wrote_beside_what_is_known_is_passed_over() -> None:
    text = '{"channel": "ops", "route": "pages", "action": "open", "colour": "red", "count": 2}'
    assert load(Planned, text) == planned(count=2)


# ---------------------------------------------------------------- at the same time


def _count_up(tx: Transaction) -> int:
    cell = tx.cell("count", "k")
    value = 1 + (0 if cell is None else int(cell.body))
    tx.put(Cell("count", "k", str(value)))
    return value


def test_threads_that_read_and_then_write_lose_nothing(outbox: Store) -> None:
    def work() -> None:
        for _ in range(25):
            outbox.transact(_count_up)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.transact(_count_up) == 101


def test_processes_that_read_and_then_write_lose_nothing(database: Database) -> None:
    outbox = database.open()
    outbox.transact(_count_up)
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_count_in_child, args=(outbox,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert outbox.transact(_count_up) == 1 + 3 * 15 + 1
    outbox.close()


def _count_in_child(outbox: Store) -> None:
    for _ in range(15):
        outbox.transact(_count_up)
    outbox.close()
    os._exit(0)


def test_an_event_that_two_processes_publish_at_once_is_sent_by_one(database: Database, write: Writing) -> None:
    stores = [database.open() for _ in range(4)]
    answers: list[str | None] = []
    start = threading.Barrier(len(stores))

    def publish(store: Store) -> None:
        start.wait()
        for n in range(10):
            answers.extend(sent and sent.id for sent in write.add(store, f"e{n}", "ops", thread=""))

    threads = [threading.Thread(target=publish, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [answer for answer in answers if answer is not None]
    assert sorted(sent) == sorted(delivery_id(f"e{n}", "ops") for n in range(10))
    assert len(answers) == 40
    for store in stores:
        store.close()
