"""What the outbox on PostgreSQL promises beside what every outbox does: across processes, and when the server fails."""

import multiprocessing
import os
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.outboxes import KEY, MINUTE, NOON, Writing
from support.postgres import CutCommits, Server, own_server
from tocsin.clock import ManualClock
from tocsin.store.lanes import LANE_PATIENCE
from tocsin.store.postgres import PostgresStore
from tocsin.store.postgres_answering import ANSWER_WITHIN
from tocsin.store.postgres_connection import RECONNECT_FOR
from tocsin.store.postgres_schema import MIGRATIONS, lock_number
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell, Incident, Planned, Status, StoreError
from tocsin_hooks.messages import Action, Reason

Open = Callable[..., PostgresStore]


@pytest.fixture
def database(server: Server, tmp_path: Path, open_store: Open) -> Iterator[Any]:
    """A connection of somebody else to the tables of the store."""
    open_store().any_open()
    with psycopg.connect(server.url(tmp_path), autocommit=True) as db:
        yield db


# ---------------------------------------------------------------- many workers


def test_two_processes_never_hold_the_same_delivery(open_store: Open, write: Writing) -> None:
    store = open_store()

    def work(tx: Transaction) -> None:
        for n in range(300):
            tx.deliver(tx.add_event(write.event(f"e{n}")), None, Planned("ops", "pages", Action.OPEN), now=NOON)

    store.transact(work)
    fork = multiprocessing.get_context("fork")
    claimed: Any = fork.SimpleQueue()
    start = fork.Barrier(2)
    children = [fork.Process(target=_claim_all, args=(store, start, claimed)) for _ in range(2)]
    for child in children:
        child.start()
    found = [claimed.get() for _ in children]
    for child in children:
        child.join()
    ids = [key for part in found for key in part]
    assert len(ids) == len(set(ids)) == 300
    assert all(found), "each had some"


def _claim_all(store: PostgresStore, start: Any, claimed: Any) -> None:
    store.any_open()
    start.wait()
    mine: list[str] = []
    while got := store.lease(now=NOON, ttl=MINUTE, limit=5, owner=str(multiprocessing.current_process().pid)):
        mine += [delivery.id for delivery in got]
    claimed.put(mine)
    store.close()


def test_what_is_behind_a_head_that_is_just_being_claimed_is_not_claimed(
    open_store: Open, database: Any, write: Writing
) -> None:
    store = open_store()
    for name in ("e1", "e2"):
        write.add(store, name, "ops", say="told by itself")
    write.add(store, "other", "ops", thread="i2")
    with database.transaction():
        database.execute(
            "UPDATE deliveries SET status = 'leased', due_at = due_at + 1 WHERE number = 1"
        )  # of a worker that has not committed
        assert [d.event.id for d in write.lease(store)] == ["other"], "and nobody is waited for"
    assert write.lease(store) == []


def test_what_one_that_was_revived_held_up_waits_no_longer_than_for_those_that_are_left(
    open_store: Open, write: Writing
) -> None:
    store, late = open_store(), NOON + LANE_PATIENCE - MINUTE
    write.add(store, "e1", "ops", say="told by itself")
    [first] = write.lease(store)
    store.record([write.failed(first, Reason.GONE)])
    for name in ("e2", "e3"):
        write.add(store, name, "ops", say="told by itself")
    assert store.revive([first.number], now=late) == 1
    [again] = write.lease(store, late)
    store.record([write.delivered(again, late)])
    assert [delivery.event.id for delivery in write.lease(store, late)] == ["e2"]
    assert [delivery.event.id for delivery in write.lease(store, NOON + LANE_PATIENCE)] == ["e2", "e3"]


def test_workers_that_claim_at_once_keep_the_order_of_every_thread(open_store: Open, write: Writing) -> None:
    store, lanes, long = open_store(), 6, 8
    for n in range(long):
        for lane in range(lanes):
            write.add(store, f"e{n:02}-{lane}", "ops", thread=f"i{lane}", say="told by itself")
    sent: dict[str, list[str]] = defaultdict(list)
    held: dict[str, int] = defaultdict(int)
    wrong: list[str] = []

    def deliver(worker: PostgresStore, owner: str) -> None:
        outcomes: list[Any] = []
        while sum(map(len, sent.values())) < lanes * long:
            _, got = worker.exchange(outcomes, now=NOON, ttl=MINUTE, limit=3, owner=owner)
            for delivery in got:
                held[delivery.planned.thread] += 1
                if held[delivery.planned.thread] > 1:
                    wrong.append(delivery.event.id)
            for delivery in got:
                sent[delivery.planned.thread].append(delivery.event.id)
                held[delivery.planned.thread] -= 1
            outcomes = [write.delivered(delivery) for delivery in got]
        worker.record(outcomes)

    threads = [threading.Thread(target=deliver, args=(open_store(), str(n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert dict(sent) == {f"i{lane}": [f"e{n:02}-{lane}" for n in range(long)] for lane in range(lanes)}


def test_threads_that_publish_at_once_share_commits_and_each_has_its_own_answer(
    open_store: Open, write: Writing
) -> None:
    store = open_store()
    answers: dict[int, Any] = {}
    transactions: dict[str, str] = {}

    def publish(worker: int) -> None:
        for n in range(12):
            name = f"{worker}-{n}"

            def work(tx: Any, name: str = name) -> str:
                [transaction] = tx._db.execute("SELECT pg_current_xact_id()::text").fetchone()
                transactions[name] = transaction
                event = tx.add_event(write.event(name))
                tx.deliver(event, None, Planned("ops", "pages", Action.OPEN), now=NOON)
                if name == "3-5":
                    raise ZeroDivisionError(name)
                return name

            try:
                answers[worker * 100 + n] = store.transact(work, keep=n != 7)
            except ZeroDivisionError as error:
                answers[worker * 100 + n] = error

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert str(answers.pop(305)) == "3-5"
    assert answers == {w * 100 + n: f"{w}-{n}" for w in range(8) for n in range(12) if (w, n) != (3, 5)}
    kept = {f"{w}-{n}" for w in range(8) for n in range(12) if n != 7 and (w, n) != (3, 5)}
    assert {event.id for event in store.events(since=NOON)} == kept
    assert sorted(event.sequence or 0 for event in store.events(since=NOON)) == list(range(1, len(kept) + 1))
    assert len({transactions[name] for name in kept}) < len(kept)


def test_a_hint_is_heard_when_another_process_planned_something_and_only_then(open_store: Open, write: Writing) -> None:
    store, other = open_store(), open_store()
    assert store.wait_hint(0.0) is False
    other.transact(lambda tx: tx.put(Cell("group", "g", "", due_at=NOON)), keep=False)
    write.open_incident(other)
    assert store.wait_hint(0.0) is False
    write.add(other, "e1", "ops")
    assert store.wait_hint(20.0) is True
    assert store.wait_hint(0.0) is False
    other.transact(lambda tx: tx.put(Cell("group", "g", "", due_at=NOON)))
    assert store.wait_hint(20.0) is True


# ---------------------------------------------------------------- what is on disk


def test_a_commit_is_on_disk_even_where_the_server_would_not_wait_for_that(open_store: Open) -> None:
    for given, wanted in (("off", "on"), ("local", "on"), ("on", "on"), ("remote_write", "remote_write")):
        store = open_store(options=f"-csynchronous_commit={given}")
        for lane in (store._own.deciding, store._own.claiming, store._own.settling):
            assert lane.look(lambda db: db.execute("SHOW synchronous_commit").fetchone()) == (wanted,)


def test_what_work_made_of_an_error_that_it_swallowed_is_not_taken_for_stored(open_store: Open, write: Writing) -> None:
    store = open_store()

    def work(tx: Any) -> str:
        tx.add_event(write.event("e1"))
        with pytest.raises(psycopg.Error):
            tx._db.execute("SELECT 1/0")
        return "done"

    with pytest.raises(StoreError, match="nothing of it is stored"):
        store.transact(work)
    assert store.events(since=NOON) == []


def test_an_incident_of_a_very_long_name_is_found_again(open_store: Open) -> None:
    store, key = open_store(), "/".join(f"käse {n}" for n in range(3000))
    opened = store.transact(lambda tx: tx.put_incident(Incident(key, NOON)))
    store.transact(lambda tx: tx.put(Cell("group", key, "1", key, key)))
    store.transact(lambda tx: tx.put(Cell("group", key, "2", key, key)))
    assert store.is_open(key)
    assert store.transact(lambda tx: tx.incident(key)) == opened
    assert store.transact(lambda tx: tx.cells("group", parent=key)) == [Cell("group", key, "2", key, key)]
    assert store.transact(lambda tx: tx.cells("group", subject=key[:-1])) == []


def test_what_pruning_takes_in_several_steps_is_all_that_was_old(open_store: Open, write: Writing) -> None:
    store = open_store()

    def work(tx: Transaction) -> None:
        for n in range(2100):
            tx.add_event(write.event(f"e{n}"))
        tx.add_event(write.event("new", time=NOON + MINUTE))

    store.transact(work)
    assert store.prune(before=NOON + MINUTE) == 0
    assert [event.id for event in store.events(since=NOON)] == ["new"]


def test_pruning_forgets_what_ended_long_ago_by_a_clock_behind_that_of_its_event(
    open_store: Open, write: Writing
) -> None:
    store = open_store()
    planned, late = Planned("ops", "pages", Action.OPEN), write.event("e1", time=NOON + 2 * MINUTE)
    store.transact(lambda tx: tx.deliver(tx.add_event(late), None, planned, now=NOON))
    store.record([write.delivered(each) for each in write.lease(store)])
    assert store.prune(before=NOON + MINUTE) == 1
    assert store.deliveries() == []
    assert [event.id for event in store.events(since=NOON)] == ["e1"]


# ---------------------------------------------------------------- a server that fails


@pytest.fixture
def cut(server: Server) -> Iterator[CutCommits]:
    proxy = CutCommits(server)
    yield proxy
    proxy.close()


@pytest.fixture
def through(cut: CutCommits, open_store: Open) -> PostgresStore:
    store = open_store(host="127.0.0.1", port=str(cut.port), sslmode="disable", gssencmode="disable")
    store.any_open()
    return store


def test_an_event_whose_commit_was_not_answered_is_stored_and_sent_once(
    through: PostgresStore, cut: CutCommits, write: Writing
) -> None:
    cut.cutting = True
    write.add(through, "e1", "ops")
    assert cut.cut == 1
    assert [event.id for event in through.events(since=NOON)] == ["e1"]
    assert [delivery.event.id for delivery in write.lease(through)] == ["e1"]


def test_a_server_process_that_stands_still_is_given_up_and_the_event_stored_once(
    server: Server, tmp_path: Path, open_store: Open, write: Writing
) -> None:
    server = server if server.handle else own_server()  # its processes must be of this machine
    clock, name = ManualClock(), f"standing-{tmp_path.name}"
    url = server.url(tmp_path, application_name=name)
    store = PostgresStore(lambda: url, clock)
    write.add(store, "before", "ops")
    with server.connect() as db:
        stopped = [
            pid for (pid,) in db.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (name,))
        ]
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        adding = threading.Thread(target=write.add, args=(store, "e1", "ops"), daemon=True)
        adding.start()
        while adding.is_alive():
            clock.advance(1)
            adding.join(0.01)
        assert clock.monotonic() >= ANSWER_WITHIN.total_seconds()
        assert [event.id for event in store.events(since=NOON)] == ["before", "e1"]
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    store.close()
    assert [event.id for event in open_store().events(since=NOON)] == ["before", "e1"]


def test_a_server_that_stands_still_is_refused_for_longer_than_it_was_waited_for() -> None:
    class Slow(ManualClock):
        tries = 0

    clock = Slow()

    def url() -> str:
        clock.tries += 1
        clock.advance(4)  # as long as the connection took to fail
        return "postgresql://127.0.0.1:1/none"

    store = PostgresStore(url, clock)
    for _ in range(12):
        with pytest.raises(StoreError, match="cannot be reached"):
            store.any_open()
        clock.advance(2)
    assert clock.tries == 2, "at 0 s and, five times 4 s later, at 24 s"


def test_an_outcome_whose_commit_was_not_answered_is_recorded_once_as_its_owners(
    through: PostgresStore, cut: CutCommits, write: Writing
) -> None:
    write.add(through, "e1", "ops")
    [delivery] = write.lease(through)
    cut.cutting = True
    assert through.record([write.delivered(delivery)]) == [True]
    assert cut.cut == 1
    assert [attempt.outcome for attempt in through.attempts(delivery.number)] == ["delivered"]
    assert through.record([write.failed(delivery, Reason.SERVER)]) == [False], "later it is not its owner's any more"


def test_a_claim_whose_commit_was_not_answered_comes_back_nevertheless(
    through: PostgresStore, cut: CutCommits, write: Writing
) -> None:
    for n in range(4):
        write.add(through, f"e{n}", "ops", thread="")
    first = write.lease(through, limit=1)
    cut.cutting = True
    held, claimed = through.exchange(
        [write.delivered(first[0])], now=NOON + timedelta(seconds=1), ttl=MINUTE, limit=2, owner="me"
    )
    assert (cut.cut, held) == (1, [True])
    assert [(delivery.event.id, delivery.attempt) for delivery in claimed] == [("e1", 1), ("e2", 1)]
    assert [delivery.event.id for delivery in write.lease(through)] == ["e3"]


def test_a_transaction_that_the_server_breaks_off_is_done_once_more(open_store: Open, server: Server) -> None:
    store = open_store(application_name="breaks off")
    tries = []

    def work(tx: Transaction) -> int:
        tries.append(1)
        tx.put_incident(Incident(KEY, NOON))
        if len(tries) == 1:
            with server.connect() as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'breaks off'"
                )
        return len(tx.open_incidents())

    assert store.transact(work) == 1
    assert len(tries) == 2
    assert store.is_open(KEY)


def test_a_writer_waits_a_bounded_time_for_another_and_is_then_refused(
    open_store: Open, database: Any, server: Server, tmp_path: Path, write: Writing
) -> None:
    store = open_store()
    store._own.deciding.look(lambda db: db.execute("SET lock_timeout = '50ms'"))
    with database.transaction():
        database.execute(f"SELECT pg_advisory_xact_lock({lock_number(server.schema(tmp_path))})")
        with pytest.raises(StoreError, match="another process is in the middle of a change"):
            write.add(store, "e1", "ops")
        assert store.any_open() is False, "looking waits for nobody"
        assert write.lease(store) == [], "nor does claiming"
    write.add(store, "e1", "ops")
    assert len(store.deliveries()) == 1


def test_an_outcome_that_cannot_wake_what_waits_behind_it_is_not_recorded_and_can_be_later(
    open_store: Open, database: Any, write: Writing
) -> None:
    store = open_store()
    for name in ("e1", "e2"):
        write.add(store, name, "ops", say="told by itself")
    [first] = write.lease(store)
    assert write.lease(store) == [], "which puts off the second"
    store._own.settling.look(lambda db: db.execute("SET lock_timeout = '50ms'"))
    with database.transaction():
        database.execute("SELECT FROM deliveries WHERE number = %s FOR UPDATE", (first.number + 1,))
        with pytest.raises(StoreError, match="another process is in the middle of a change"):
            store.record([write.delivered(first)])
    assert store.attempts(first.number) == []
    assert store.record([write.delivered(first)]) == [True]
    assert [attempt.outcome for attempt in store.attempts(first.number)] == ["delivered"]
    assert [delivery.event.id for delivery in write.lease(store)] == ["e2"]


def test_a_server_that_is_not_there_is_named_with_what_would_do_and_not_asked_again_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock = ManualClock()
    store = PostgresStore(lambda: f"postgresql://ann:hunter2-and-more@127.0.0.1:{port}/alerts", clock)
    with pytest.raises(StoreError) as caught:
        store.any_open()
    said = str(caught.value)
    assert said.startswith(f"store 'postgresql://127.0.0.1:{port}/alerts' cannot be reached: ")
    assert said.endswith("; see that the server runs and that [store] url names it")
    assert "\n" not in said
    assert "hunter2" not in said + repr(store) + repr(caught.value.__cause__)
    assert clock.slept == [], "one that was never there is not waited for"
    with socket.create_server(("127.0.0.1", port)) as silent:
        silent.settimeout(0)
        with pytest.raises(StoreError, match="cannot be reached"):
            store.any_open()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_server_that_was_there_is_waited_for_a_bounded_time_and_found_again(
    server: Server, cut: CutCommits, tmp_path: Path
) -> None:
    clock, port = ManualClock(), [cut.port]

    def url() -> str:
        return server.url(tmp_path, host="127.0.0.1", port=str(port[0]), sslmode="disable", gssencmode="disable")

    store = PostgresStore(url, clock)
    assert store.any_open() is False
    cut.close()
    with pytest.raises(StoreError, match="cannot be reached"):
        store.any_open()
    waited = sum(clock.slept)
    assert 1 < waited <= RECONNECT_FOR.total_seconds()
    with pytest.raises(StoreError, match="cannot be reached"):
        store.any_open()
    assert sum(clock.slept) == waited, "while it stays away nobody is kept waiting"
    again = CutCommits(server)
    port[0] = again.port
    clock.advance(2)
    assert store.any_open() is False
    store.close()
    again.close()


def test_a_password_that_is_refused_is_not_shown(server: Server) -> None:
    url = psycopg.conninfo.make_conninfo(server.dsn, user="nobody at all", password="hunter2-and-more")
    with pytest.raises(StoreError, match="nobody at all") as caught:
        PostgresStore(lambda: url).any_open()
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_schema_of_a_newer_tocsin_is_refused_and_left_alone(open_store: Open, database: Any) -> None:
    database.execute("UPDATE schema_version SET version = 999")
    known = rf"written by a newer tocsin \(schema 999, this one knows {len(MIGRATIONS)}\); upgrade tocsin"
    with pytest.raises(StoreError, match=known):
        open_store().any_open()
    assert database.execute("SELECT version FROM schema_version").fetchone() == (999,)


def test_the_tables_of_another_program_are_not_touched(open_store: Open, server: Server, tmp_path: Path) -> None:
    schema = server.schema(tmp_path)
    with server.connect() as db:
        db.execute(f"CREATE SCHEMA {schema} CREATE TABLE events (mine text)")
    with pytest.raises(
        StoreError, match=rf"\"events\" already exists; schema '{schema}' holds tables of another program"
    ):
        open_store().any_open()
    with server.connect() as db:
        found = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    assert found == [("events",)]


def test_a_database_that_cannot_hold_every_text_is_refused(server: Server) -> None:
    name = "tocsin_test_latin1"
    with server.connect() as db:
        db.execute(f"DROP DATABASE IF EXISTS {name}")
        db.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        store = PostgresStore(lambda: psycopg.conninfo.make_conninfo(server.dsn, dbname=name))
        with pytest.raises(StoreError, match=r"keeps text as LATIN1.* made with ENCODING 'UTF8'"):
            store.any_open()
    finally:
        with server.connect() as db:
            db.execute(f"DROP DATABASE {name}")


def test_stores_in_two_schemas_of_one_database_do_not_meet(server: Server, tmp_path: Path, write: Writing) -> None:
    urls = [server.url(tmp_path / name) for name in ("a", "b")]
    one, two = PostgresStore(lambda: urls[0]), PostgresStore(lambda: urls[1])
    write.add(one, "e1", "ops")
    assert (len(one.deliveries()), len(two.deliveries())) == (1, 0)
    assert two.wait_hint(0.0) is False
    one.close()
    two.close()


def test_nothing_is_lost_when_the_server_is_killed_and_started_again_under_load(write: Writing, tmp_path: Path) -> None:
    server = own_server()
    url = server.url(tmp_path)
    stores = [PostgresStore(lambda: url) for _ in range(2)]
    reported: list[str] = []
    changed, enough = threading.Condition(), threading.Event()

    def publish(store: PostgresStore, worker: int) -> None:
        n = 0
        while not enough.is_set():
            try:
                write.add(store, f"{worker}-{n}", "ops", thread="")
            except StoreError:
                continue  # the hub would spill it, and give it again
            with changed:
                reported.append(f"{worker}-{n}")
                changed.notify()
            n += 1

    def wait_for(count: int) -> None:
        with changed:
            assert changed.wait_for(lambda: len(reported) >= count, timeout=30)

    threads = [threading.Thread(target=publish, args=(stores[n % 2], n)) for n in range(3)]
    for thread in threads:
        thread.start()
    wait_for(30)
    server.kill()
    before = len(reported)
    server.restart()
    wait_for(before + 30)
    enough.set()
    for thread in threads:
        thread.join()
    assert {event.id for event in stores[0].events(since=NOON)} == set(reported)
    got = write.lease(stores[1], limit=9999)
    assert sorted(delivery.event.id for delivery in got) == sorted(reported)
    assert stores[0].record([write.delivered(delivery) for delivery in got]) == [True] * len(reported)
    assert {delivery.status for delivery in stores[1].deliveries(limit=None)} == {Status.DELIVERED}
    for store in stores:
        store.close()
