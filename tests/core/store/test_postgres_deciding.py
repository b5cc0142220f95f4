"""What it takes PostgreSQL to decide, counted in round trips, and that what was taken for granted is seen to."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.outboxes import KEY, MINUTE, NOON, Writing
from support.postgres import CutCommits, Server
from tocsin.store.postgres import PostgresStore
from tocsin.store.postgres_deciding import Piece
from tocsin.store.postgres_schema import lock_number
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell, Incident, Planned, Sent, Status, StoreError
from tocsin_hooks.messages import Action, Reason

PLANNED = Planned("ops", "pages", Action.EVENT)


class Trips:
    """Stands between a store and its server, and counts how often the server is asked, and answers."""

    def __init__(self, server: Server) -> None:
        with server.connect() as db:
            self._host, self._port = db.info.host, db.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            server = socket.create_connection((self._host, self._port))
        with suppress(OSError), client, server:
            asked = False
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source, sink in ((client, server), (server, client)):
                    if source in ready:
                        if not (data := source.recv(65536)):
                            return
                        self.count += source is client and not asked
                        asked = source is client
                        sink.sendall(data)


@pytest.fixture
def trips(server: Server) -> Iterator[Trips]:
    proxy = Trips(server)
    yield proxy
    proxy.close()


Open = Callable[..., PostgresStore]


@pytest.fixture
def counted(trips: Trips, open_store: Open, write: Writing) -> PostgresStore:
    """A store whose trips are counted, and which has decided before."""
    store = open_store(host="127.0.0.1", port=str(trips.port), sslmode="disable", gssencmode="disable")
    for n in range(8):
        append(store, write, f"before {n}")
    return store


def appending(write: Writing, name: str) -> Callable[[Transaction], Sent | int | None]:
    """What the hub does with an event, without what it looks at."""

    def work(tx: Transaction) -> Sent | int | None:
        if (sequence := tx.sequence_of(name)) is not None:
            return sequence
        return tx.deliver(tx.add_event(write.event(name)), None, PLANNED, now=NOON)

    return work


def append(store: PostgresStore, write: Writing, name: str) -> Sent | int | None:
    return store.transact(appending(write, name))


def told(store: PostgresStore) -> dict[str, int | None]:
    return {event.id: event.sequence for event in store.events(since=NOON)}


def carry_out(store: PostgresStore, *works: Callable[[Transaction], Any]) -> list[Piece]:
    """Do this in one transaction; those that are left are those whose threads would do them by themselves."""
    pieces = [Piece(work, keep=True) for work in works]
    store._own.deciders.take_turn(Piece(lambda _: None, keep=True))
    store._own.deciders._carry_out(pieces)
    return [piece for piece in pieces if not piece.done]


# ---------------------------------------------------------------- how often the server is asked


def test_an_event_and_its_delivery_are_stored_in_one_round_trip(
    counted: PostgresStore, trips: Trips, write: Writing
) -> None:
    before = trips.count
    for n in range(7):
        append(counted, write, f"e{n}")
    assert trips.count - before == 7
    assert told(counted) == {f"before {n}": n + 1 for n in range(8)} | {f"e{n}": n + 9 for n in range(7)}


def test_what_many_threads_store_at_once_takes_one_round_trip(
    counted: PostgresStore, trips: Trips, write: Writing
) -> None:
    before = trips.count
    assert carry_out(counted, *(appending(write, f"e{n}") for n in range(100))) == []
    assert trips.count - before == 1
    assert [told(counted)[f"e{n}"] for n in range(100)] == list(range(9, 109))
    assert [each.event.id for each in write.lease(counted, limit=200)][8:] == [f"e{n}" for n in range(100)]


def test_beside_another_process_it_takes_two(
    counted: PostgresStore, trips: Trips, open_store: Open, write: Writing
) -> None:
    other = open_store()
    for n in range(3):
        append(other, write, f"other {n}")
        append(counted, write, f"e{n}")
    before = trips.count
    for n in range(3, 8):
        append(other, write, f"other {n}")
        append(counted, write, f"e{n}")
    assert trips.count - before == 10
    assert sorted(sequence or 0 for sequence in told(counted).values()) == list(range(1, 25))


def test_an_event_about_an_incident_takes_as_many_as_it_asks_and_two_more(
    counted: PostgresStore, trips: Trips, write: Writing
) -> None:
    def work(tx: Transaction) -> None:
        assert tx.sequence_of("e1") is None
        assert tx.incident(KEY) is None  # begins the transaction, then asks
        tx.deliver(tx.add_event(write.event("e1")), None, PLANNED, now=NOON)

    before = trips.count
    counted.transact(work)
    assert trips.count - before == 3


def test_settling_takes_two_however_many_there_are(counted: PostgresStore, trips: Trips, write: Writing) -> None:
    counted.record([write.delivered(each) for each in write.lease(counted, limit=1)])
    for count in (1, 6):
        claimed = write.lease(counted, limit=count)
        before = trips.count
        assert counted.record([write.delivered(each) for each in claimed]) == [True] * count
        assert trips.count - before == 2


def test_settling_and_claiming_take_four_however_many_there_are(
    counted: PostgresStore, trips: Trips, write: Writing
) -> None:
    carry_out(counted, *(appending(write, f"e{n}") for n in range(60)))
    counted.next_due(now=NOON)  # opens a connection
    outcomes = [write.delivered(each) for each in write.lease(counted, limit=1)]  # and another
    for count in (1, 20, 46):
        before = trips.count
        held, claimed = counted.exchange(outcomes, now=NOON, ttl=MINUTE, limit=count, owner="me")
        assert (held, len(claimed)) == ([True] * len(outcomes), count)
        assert trips.count - before == 4
        outcomes = [write.delivered(each) for each in claimed]
    before = trips.count
    assert counted.exchange(outcomes, now=NOON, ttl=MINUTE, limit=5, owner="me") == ([True] * len(outcomes), [])
    assert trips.count - before == 3, "where nothing is due nothing is claimed"
    before = trips.count
    assert counted.next_due(now=NOON) is None
    assert trips.count - before == 1


# ---------------------------------------------------------------- what was taken for granted


def test_an_event_that_another_process_has_stored_meanwhile_is_known(open_store: Open, write: Writing) -> None:
    store, other = open_store(), open_store()
    for n in range(3):
        append(store, write, f"e{n}")
    append(other, write, "new")
    assert append(store, write, "new") == 4
    assert append(store, write, "e1") == 2
    assert append(store, write, "last") is not None
    assert told(store) == {"e0": 1, "e1": 2, "e2": 3, "new": 4, "last": 5}
    assert len(store.deliveries()) == 5


def test_work_that_was_told_wrong_and_has_done_nothing_is_done_again(open_store: Open, write: Writing) -> None:
    store = open_store()
    for n in range(3):
        append(store, write, f"e{n}")
    calls = []

    def look(tx: Transaction) -> int | None:
        calls.append(1)
        return tx.sequence_of("e1")

    assert store.transact(look) == 2
    assert len(calls) == 2
    assert store.transact(look, keep=False) == 2
    assert len(calls) == 3, "what is not kept is not told anything that is not known"


def test_an_error_that_came_of_what_was_told_wrong_is_not_raised(open_store: Open, write: Writing) -> None:
    store = open_store()
    for n in range(3):
        append(store, write, f"e{n}")

    def work(tx: Transaction) -> int:
        if (found := tx.sequence_of("e2")) is None:
            raise LookupError("e2 is not there")
        return found

    def of_another(tx: Transaction) -> None:
        tx.sequence_of("none")
        raise LookupError("as it is")

    assert store.transact(work) == 3
    with pytest.raises(LookupError, match="as it is"):
        store.transact(of_another)


def test_in_one_transaction_each_piece_has_its_own_answer_though_one_event_was_known(
    open_store: Open, write: Writing
) -> None:
    store = open_store()
    append(store, write, "known")
    works = [appending(write, name) for name in ("a", "known", "b", "a", "c")]
    pieces = [Piece(work, keep=True) for work in works]
    store._own.deciders._carry_out(pieces)
    assert all(piece.done for piece in pieces)
    assert [piece.result for piece in pieces][1::2] == [1, 2]
    assert told(store) == {"known": 1, "a": 2, "b": 3, "c": 4}
    assert [each.event.id for each in write.lease(store)] == ["known", "a", "b", "c"]


def test_one_event_under_two_spellings_of_what_cannot_be_stored_is_one(open_store: Open, write: Writing) -> None:
    store = open_store()
    assert carry_out(store, appending(write, "a\udce9"), appending(write, "a?"), appending(write, 'b\0"\\,{}')) == []
    assert told(store) == {"a?": 1, 'b\0"\\,{}': 2}
    assert append(store, write, 'b\0"\\,{}') == 2
    assert carry_out(store, appending(write, 'b\0"\\,{}'), appending(write, "c\0")) == []
    assert told(store) == {"a?": 1, 'b\0"\\,{}': 2, "c\0": 3}


def test_an_event_is_found_before_it_is_written(open_store: Open, write: Writing) -> None:
    store = open_store()

    def work(tx: Transaction) -> list[Any]:
        stored = tx.add_event(write.event("e1"))
        again = tx.add_event(write.event("e1", flow="another"))
        sent = [tx.deliver(each, None, PLANNED, now=NOON) is not None for each in (stored, again)]
        return [stored.sequence, again.sequence, tx.sequence_of("e1"), tx.event("e1") == stored, tx.event("e2"), *sent]

    for _ in range(2):
        store.transact(lambda tx: tx.add_event(write.event("e0")))
    assert store.transact(work) == [2, 2, 2, True, None, True, False]
    assert store.transact(work, keep=False) == [2, 2, 2, True, None, False, False]


def test_deliveries_go_in_the_order_in_which_they_were_planned_whenever_their_events_came(
    open_store: Open, write: Writing
) -> None:
    store = open_store()
    old = store.transact(lambda tx: tx.add_event(write.event("old")))

    def work(tx: Transaction) -> None:
        one, two = (Planned("ops", "pages", Action.EVENT, thread="i1", say="by itself", nonce=n) for n in ("1", "2"))
        new = tx.add_event(write.event("new"))
        for event, planned in ((new, one), (old, one), (new, two), (old, two)):
            assert tx.deliver(event, None, planned, now=NOON) is not None

    store.transact(work)
    numbers = sorted((each.number, each.event.id if each.event else "") for each in store.deliveries())
    assert [name for _, name in numbers] == ["new", "old", "new", "old"]


def test_what_another_process_stores_before_the_first_question_is_seen_by_what_was_told_before_it(
    open_store: Open, write: Writing
) -> None:
    store, other = open_store(), open_store()
    for n in range(3):
        append(store, write, f"e{n}")
    append(other, write, "of another")

    def work(tx: Transaction) -> int | None:
        stored = tx.add_event(write.event("mine"))
        tx.incident(KEY)
        return stored.sequence

    assert store.transact(work) == 5
    assert told(store)["mine"] == 5


@pytest.mark.parametrize("adds", [True, False])
def test_nothing_is_kept_of_what_was_changed_because_of_something_told_wrong(
    open_store: Open, write: Writing, adds: bool
) -> None:
    store = open_store()
    for n in range(3):
        append(store, write, f"e{n}")

    def work(tx: Transaction) -> str:
        tx.put(Cell("group", "n", "always"))
        if tx.sequence_of("e1") is None:
            tx.put(Cell("group", "g", "wrong"))
        if adds:
            tx.add_event(write.event("new"))
        return "done"

    assert store.transact(work) == "done"
    cells = store.transact(lambda tx: tx.documents([("group", "g"), ("group", "n"), ("group", "n")]), keep=False)
    assert cells == [Cell("group", "n", "always")]
    assert told(store) == {"e0": 1, "e1": 2, "e2": 3} | ({"new": 4} if adds else {})


def test_documents_are_found_with_one_question_whatever_their_keys(counted: PostgresStore, trips: Trips) -> None:
    long = "/".join(f"käse {n}" for n in range(3000))
    cells = [Cell("group", key, str(n), due_at=NOON) for n, key in enumerate((long, 'a"\\{,}', "NULL", "", "a\0b"))]
    counted.transact(lambda tx: [tx.put(cell) for cell in cells])
    names = [("group", cell.key) for cell in cells]
    found = counted.transact(lambda tx: tx.documents([*names, ("member", long), ("group", long[:-1])]), keep=False)
    assert sorted(found, key=lambda cell: cell.body) == cells
    before = trips.count
    assert len(counted.transact(lambda tx: tx.documents(names[1:]), keep=False)) == 4
    assert trips.count - before == 3, "to begin, to ask, to end"
    assert counted.transact(lambda tx: tx.documents([]), keep=False) == []


def test_a_late_receipt_in_the_same_breath_as_the_failure_settles_it(open_store: Open, write: Writing) -> None:
    store = open_store()
    for name in ("e1", "e2"):
        write.add(store, name, "ops", thread="")
    one, two = write.lease(store)
    outcomes = [write.failed(one, Reason.SERVER, unknown=True), write.delivered(two), write.delivered(one)]
    assert store.record(outcomes) == [True, True, True]
    assert {each.status for each in store.deliveries()} == {Status.DELIVERED}
    assert [each.outcome for each in store.attempts(one.number)] == ["unknown", "delivered"]


# ---------------------------------------------------------------- what fails


def test_a_piece_that_fails_after_it_changed_something_leaves_nothing_and_the_others_stay(
    open_store: Open, write: Writing
) -> None:
    store = open_store()

    def failing(tx: Transaction) -> None:
        tx.put(Cell("group", "g", "failed"))
        tx.add_event(write.event("failed"))
        raise ZeroDivisionError

    def counting(tx: Transaction) -> None:
        cell = tx.cell("group", "n")
        tx.put(Cell("group", "n", "1" if cell is None else str(int(cell.body) + 1)))
        tx.add_event(write.event(f"e{0 if cell is None else cell.body}"))

    left = carry_out(store, counting, failing, counting, counting)
    assert [piece.work for piece in left] == [failing]
    assert store.transact(lambda tx: [cell.body for cell in tx.cells("group")], keep=False) == ["3"]
    assert told(store) == {"e0": 1, "e1": 2, "e2": 3}


def test_what_failed_beside_others_and_goes_well_by_itself_has_no_error(open_store: Open, write: Writing) -> None:
    store, tries = open_store(), []

    def work(tx: Transaction) -> str:
        tries.append(tx.add_event(write.event("of its own")))
        if len(tries) == 1:
            raise ZeroDivisionError
        return "done"

    [left] = carry_out(store, appending(write, "e1"), work)
    assert isinstance(left.error, ZeroDivisionError)
    store._own.deciders.take_turn(left)
    assert left.result == "done"
    assert told(store) == {"e1": 1, "of its own": 2}


def test_an_event_that_the_database_refuses_is_refused_alone(open_store: Open, write: Writing) -> None:
    store = open_store()
    long = "".join(chr(0x4E00 + n * 37 % 20000) for n in range(9000))  # longer than an index holds
    append(store, write, "e0")
    left = carry_out(store, appending(write, "e1"), appending(write, long), appending(write, "e2"))
    assert len(left) == 1
    assert isinstance(left[0].error, StoreError)
    with pytest.raises(StoreError, match="index row"):
        append(store, write, long)
    assert told(store) == {"e0": 1, "e1": 2, "e2": 3}


def test_a_delivery_of_an_event_that_is_not_there_is_refused(open_store: Open, write: Writing) -> None:
    store = open_store()
    stranger = write.event("stranger").replace(sequence=77)
    with pytest.raises(psycopg.IntegrityError):
        store.transact(lambda tx: tx.deliver(stranger, None, PLANNED, now=NOON))
    assert append(store, write, "e1") is not None


def test_a_store_that_was_alone_waits_for_another_that_decides(
    open_store: Open, server: Server, tmp_path: Path, write: Writing
) -> None:
    store = open_store()
    for n in range(3):
        append(store, write, f"e{n}")
    store._own.deciding.look(lambda db: db.execute("SET lock_timeout = '50ms'"))
    with psycopg.connect(server.url(tmp_path)) as db:
        db.execute(f"SELECT pg_advisory_xact_lock({lock_number(server.schema(tmp_path))})".encode())
        with pytest.raises(StoreError, match="another process is in the middle of a change"):
            append(store, write, "e3")
    append(store, write, "e4")
    assert told(store) == {"e0": 1, "e1": 2, "e2": 3, "e4": 4}


def test_an_event_whose_only_answer_was_lost_is_stored_once(server: Server, open_store: Open, write: Writing) -> None:
    cut = CutCommits(server)
    store = open_store(host="127.0.0.1", port=str(cut.port), sslmode="disable", gssencmode="disable")
    for n in range(8):
        append(store, write, f"e{n}")
    cut.cutting = True
    assert append(store, write, "of COMMIT") == 9, "which is in what is sent"
    assert cut.cut == 1
    append(store, write, "after")
    assert told(store) == {f"e{n}": n + 1 for n in range(8)} | {"of COMMIT": 9, "after": 10}
    assert len(store.deliveries()) == 10
    cut.close()


def test_what_two_processes_store_at_once_comes_in_order_and_without_a_gap(
    open_store: Open, server: Server, tmp_path: Path, write: Writing
) -> None:
    stores, gaps, ended = [open_store(), open_store()], [], threading.Event()
    stores[0].any_open()

    def watch() -> None:
        with psycopg.connect(server.url(tmp_path), autocommit=True) as db:
            while not ended.is_set():
                [found] = db.execute("SELECT count(*), coalesce(max(sequence), 0) FROM events").fetchall()
                if found[0] != found[1]:
                    gaps.append(found)

    def publish(worker: int) -> None:
        store = stores[worker % 2]
        for n in range(25):
            append(store, write, f"{worker}-{n}")
            if n % 10 == 3:
                store.transact(lambda tx: tx.put_incident(Incident(f"{worker}/{n}", NOON)))  # noqa: B023

    watcher = threading.Thread(target=watch)
    threads = [threading.Thread(target=publish, args=(n,)) for n in range(6)]
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    watcher.join()
    assert gaps == []
    assert sorted(told(stores[0])) == sorted(f"{worker}-{n}" for worker in range(6) for n in range(25))
    assert sorted(sequence or 0 for sequence in told(stores[0]).values()) == list(range(1, 151))
    assert len(write.lease(stores[1], limit=999)) == 150
    assert len(stores[0].lease(now=NOON + 2 * MINUTE, ttl=MINUTE, limit=999, owner="me")) == 150
